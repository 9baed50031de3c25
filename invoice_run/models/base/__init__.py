from . import base
from . import invoice_run_guarded
from . import invoice_run_states
from . import billing_change
from . import invoice_run_stale_mixin
from . import invoice_run_import_mixin
from . import billing_selection
from . import res_users
