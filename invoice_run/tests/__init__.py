from . import test_run_flow
