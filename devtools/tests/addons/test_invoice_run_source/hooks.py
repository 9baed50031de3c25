def post_init_hook(env):
    """Give every company the scenario of this addon."""
    companies = env["res.company"].with_context(active_test=False).search([])
    env["billing.scenario"]._create_default_scenarios(companies, prefix="test_invoice_run_source.")
