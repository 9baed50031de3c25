from . import billing_scenario
from . import billing_scenario_rule
from . import billing_scenario_default
from . import ir_module_module
