from . import billing_takeover_subscription
from . import sale_subscription
