from . import test_kinds
from . import test_report
from . import test_rpc
from . import test_take_over
from . import test_tours
