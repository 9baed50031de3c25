from . import invoice_run_dashboard
from . import invoice_run_onboarding
from . import onboarding_step
from . import invoice_run_sample
from . import invoice_run_today
