from . import test_plan
from . import test_expected_invoices
