def post_init_hook(env):
    """Give every company the scenarios of this addon."""
    companies = env["res.company"].with_context(active_test=False).search([])
    env["billing.scenario"]._create_default_scenarios(companies, prefix="invoice_run_crm.")
