from . import test_bulk_equality
from . import test_core
from . import test_kept
from . import test_numbers
from . import test_rendering
from . import test_sending
from . import test_stylesheet
from . import test_translations
