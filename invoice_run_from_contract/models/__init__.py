from . import billing_takeover_contract
from . import contract_contract
