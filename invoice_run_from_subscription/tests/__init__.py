from . import test_take_over
