from . import test_periods_in_xml
