from . import test_periods_in_xml
from . import test_translations
from . import test_usage_in_xml
