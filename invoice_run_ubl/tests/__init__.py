from . import test_periods_in_xml
from . import test_translations
