from . import test_take_over
from . import test_tours
