from . import test_expected_invoices
from . import test_expected_tours
from . import test_plan
