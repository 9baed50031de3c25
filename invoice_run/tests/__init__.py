from . import test_grouping, test_run_flow, test_sending
