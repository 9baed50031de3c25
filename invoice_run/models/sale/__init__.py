from . import invoice_run_sale
from . import sale_order
from . import sale_order_line
from . import sale_order_source
from . import sale_order_invoicing
from . import sale_order_explanation
