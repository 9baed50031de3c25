from . import invoice_run_source
from . import invoice_run_source_registry
from . import billing_default_price
from . import billing_asset
from . import billing_category
from . import billing_cluster
from . import billing_tariff
