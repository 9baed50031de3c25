"""The screens that the project shows and checks: pictures and accessibility use one list."""

from dataclasses import dataclass

ACTION = "/odoo/action-invoice_run."

MANAGER = "/odoo/invoice-manager"
FETCH = ".o_invoice_manager_fetch:enabled"
CONTINUE = ".o_invoice_manager_continue >> nth=0"
PROCESS = ".o_invoice_manager_process:enabled >> nth=0"
MANAGER_ROW = ".o_invoice_manager_table tbody tr"
MANAGER_DONE = ".o_invoice_manager_done"
REVIEW = f"{ACTION}invoice_run_action/{{waiting}}/invoice-run-review"
REVIEW_LINES = ".o_invoice_run_review_row:has(.o_invoice_run_reason) .o_lines >> nth=0"
WIDE = (1440, 900)
NARROW = (390, 844)
TIMELINE_TAB = ".o_notebook a[name='timeline']"
TIMELINE = ".o_invoice_run_timeline"
BRIDGE = ".o_invoice_run_bridge"
INVOICE_NOW = ".o_form_view button[name='action_invoice_now'] >> nth=0"
MORE_BUTTONS = ".o_statusbar_buttons_dropdown, .o_cp_action_menus button >> nth=0"
CHANGE_PRICES = ".o_statusbar_buttons button:has-text('…')"
TAKEOVER = "/odoo/action-invoice_run_takeover.billing_takeover"
EXPECTED = "/odoo/action-invoice_run_takeover.billing_expected_invoice_action"
TAKEOVER_SIZES = (
    ("", WIDE, ".o_data_row td[name='name'] >> nth=0"),
    ("_narrow", NARROW, ".o_kanban_record:not(.o_kanban_ghost) >> nth=0"),
)
OTHER_INFO = ".o_notebook a[name='other_information']"


def _choose(scenario: str) -> tuple[str, ...]:
    """The clicks on the card of a scenario in the Invoice Manager, and on to its second step."""
    card = f".o_invoice_manager_card[data-id='{{{scenario}}}']"
    return (card, ".o_invoice_manager_next:enabled")


@dataclass(frozen=True)
class Screen:
    """One screen; the ids in its path and clicks are what `devtools/inside/screens.py` returns."""

    name: str
    path: str
    clicks: tuple[str, ...] = ()
    login: str = "admin"
    until: str = ""  # what is waited for
    show: str = ""  # what is waited for and scrolled to the top
    size: tuple[int, int] = WIDE
    in_store: bool = False
    with_peers: bool = False  # beside the modules that contracts are taken over from


SCREENS = (
    Screen("dashboard", f"{ACTION}invoice_run_dashboard_action", in_store=True),
    Screen("dashboard_narrow", f"{ACTION}invoice_run_dashboard_action", size=NARROW),
    Screen("first_steps", f"{ACTION}invoice_run_dashboard_action", login="newcomer"),
    Screen("contracts", f"{ACTION}billing_contract_action", in_store=True),
    Screen("contract", f"{ACTION}billing_contract_action/{{contract}}", in_store=True),
    Screen(
        "explanation",
        f"{ACTION}billing_contract_action/{{contract}}",
        clicks=("button[name='action_explain_billing']",),
        until=".modal [name='answer'] p",
    ),
    Screen("usage", f"{ACTION}billing_usage_action"),
    Screen("to_invoice", f"{ACTION}invoice_run_line_action_to_invoice"),
    Screen("schedules", f"{ACTION}invoice_run_schedule_action"),
    Screen("schedule", f"{ACTION}invoice_run_schedule_action/{{schedule}}", in_store=True),
    Screen("runs", f"{ACTION}invoice_run_action"),
    Screen("run_waiting", f"{ACTION}invoice_run_action/{{waiting}}", in_store=True),
    Screen("run_invoiced", f"{ACTION}invoice_run_action/{{invoiced}}"),
    Screen("document", f"{ACTION}invoice_run_document_action/{{document}}"),
    Screen("documents", f"{ACTION}invoice_run_document_action"),
    Screen("review", REVIEW, clicks=(REVIEW_LINES,), until=".o_invoice_run_review_line"),
    Screen("run_on_hold", f"{ACTION}invoice_run_action/{{run_on_hold}}"),
    Screen("run_submitted", f"{ACTION}invoice_run_action/{{run_submitted}}"),
    Screen("run_cancelled", f"{ACTION}invoice_run_action/{{run_cancelled}}"),
    Screen("run_reversed", f"{ACTION}invoice_run_action/{{run_reversed}}"),
    Screen("orders", "/odoo/action-sale.action_orders"),
    Screen("order", "/odoo/action-sale.action_orders/{order}", clicks=(OTHER_INFO,)),
    Screen("exceptions", f"{ACTION}invoice_run_exception_action"),
    Screen("invoice", "/odoo/action-account.action_move_out_invoice_type/{move}"),
    Screen("scenario", f"{ACTION}billing_scenario_action/{{scenario}}"),
    Screen(
        "forecast",
        f"{ACTION}invoice_run_dashboard_action",
        clicks=(
            "[data-menu-xmlid='invoice_run.invoice_run_menu_root']",
            "[data-menu-xmlid='invoice_run.billing_forecast_menu']",
            ".modal-footer .btn-primary",
        ),
        show=".o_graph_renderer, .o_pivot, .o_list_view",
    ),
    Screen(
        "uninvoiced",
        f"{ACTION}invoice_run_dashboard_action",
        clicks=(
            "[data-menu-xmlid='invoice_run.invoice_run_menu_root']",
            "[data-menu-xmlid='invoice_run.billing_uninvoiced_menu']",
            ".modal-footer .btn-primary",
        ),
        show=".o_list_view",
    ),
    Screen(
        "setup",
        f"{ACTION}invoice_run_dashboard_action",
        clicks=(
            "[data-menu-xmlid='invoice_run.invoice_run_menu_root']",
            "[data-menu-xmlid='invoice_run.billing_setup_menu']",
        ),
        until=".modal .o_form_view",
        login="newcomer",
    ),
    Screen(
        "invoice_now",
        f"{ACTION}billing_contract_action/{{contract}}",
        clicks=(INVOICE_NOW,),
        until=".modal .o_form_view",
    ),
    Screen(
        "invoice_now_narrow",
        f"{ACTION}billing_contract_action/{{contract}}",
        clicks=(MORE_BUTTONS, INVOICE_NOW),
        until=".modal .o_form_view",
        size=NARROW,
    ),
    Screen(
        "price_change",
        f"{ACTION}billing_contract_action/{{contract}}",
        clicks=(CHANGE_PRICES,),
        until=".modal .o_form_view",
    ),
    Screen("price_updates", f"{ACTION}billing_price_update_action"),
    Screen("tariffs", f"{ACTION}billing_tariff_action"),
    Screen("indexes", f"{ACTION}billing_index_action"),
    Screen("price_lines", f"{ACTION}billing_contract_line_action_import"),
    Screen("planned_prices", f"{ACTION}billing_contract_line_price_action"),
    Screen("index_clauses", f"{ACTION}billing_index_clause_action"),
    Screen("index_values", f"{ACTION}billing_index_value_action"),
    Screen("contracts_narrow", f"{ACTION}billing_contract_action", size=NARROW),
    Screen("contract_narrow", f"{ACTION}billing_contract_action/{{contract}}", size=NARROW),
    Screen("runs_narrow", f"{ACTION}invoice_run_action", size=NARROW),
    Screen("recurring", f"{ACTION}billing_contract_line_action"),
    Screen(
        "bridge",
        f"{ACTION}invoice_run_dashboard_action",
        clicks=(
            "[data-menu-xmlid='invoice_run.invoice_run_menu_root']",
            "[data-menu-xmlid='invoice_run.billing_bridge_menu']",
            ".modal-footer .btn-primary",
        ),
        show=BRIDGE,
    ),
    Screen(
        "timeline",
        f"{ACTION}billing_contract_action/{{contract}}",
        clicks=(TIMELINE_TAB,),
        until=TIMELINE,
    ),
    Screen(
        "timeline_narrow",
        f"{ACTION}billing_contract_action/{{contract}}",
        clicks=(TIMELINE_TAB,),
        show=TIMELINE,
        size=NARROW,
    ),
    Screen(
        "portal_contract_narrow",
        "/my/contracts/{portal_contract}",
        login="portal",
        show=".o_invoice_run_timeline_row",
        size=NARROW,
    ),
    Screen(
        "cutoff",
        f"{ACTION}invoice_run_dashboard_action",
        clicks=(
            "[data-menu-xmlid='invoice_run.invoice_run_menu_root']",
            "[data-menu-xmlid='invoice_run.billing_cutoff_menu']",
            ".modal-footer .btn-primary",
        ),
        show=".o_list_view",
    ),
    Screen(
        "customer",
        "/odoo/action-base.action_partner_form/{customer}",
        clicks=(".o_notebook a[name='accounting']",),
    ),
    Screen(
        "settings",
        "/odoo/settings",
        clicks=(".settings_tab [data-key='account']",),
        show="#invoice_run_steps",
    ),
    Screen("runs_kanban", f"{ACTION}invoice_run_action", clicks=(".o_switch_view.o_kanban",)),
    Screen("runs_calendar", f"{ACTION}invoice_run_action", clicks=(".o_switch_view.o_calendar",)),
    Screen("manager", MANAGER),
    Screen("manager_asked", MANAGER, clicks=_choose("asking")),
    Screen("manager_rows", MANAGER, clicks=(*_choose("contracts_due"), FETCH), until=MANAGER_ROW),
    Screen("manager_done", MANAGER, clicks=(CONTINUE, PROCESS), until=MANAGER_DONE),
    Screen("manager_narrow", MANAGER, size=NARROW),
    Screen("manager_asked_narrow", MANAGER, clicks=_choose("asking"), size=NARROW),
    Screen(
        "manager_rows_narrow",
        MANAGER,
        clicks=(*_choose("orders_due"), FETCH),
        until=MANAGER_ROW,
        size=NARROW,
    ),
    Screen(
        "manager_done_narrow",
        MANAGER,
        clicks=(CONTINUE, PROCESS),
        until=MANAGER_DONE,
        size=NARROW,
    ),
    Screen(
        "review_narrow",
        REVIEW,
        clicks=(REVIEW_LINES,),
        until=".o_invoice_run_review_line",
        size=NARROW,
    ),
    Screen("run_narrow", f"{ACTION}invoice_run_action/{{waiting}}", size=NARROW),
    Screen("portal_home", "/my/home", login="portal"),
    Screen("portal_contracts", "/my/contracts", login="portal"),
    Screen("portal_contract", "/my/contracts/{portal_contract}", login="portal", in_store=True),
    *(
        Screen(
            f"takeover_{source}{suffix}",
            f"{TAKEOVER}_wizard_action/{{{source}}}",
            until=row,
            size=size,
            with_peers=True,
        )
        for source in ("contracts", "subscriptions")
        for suffix, size, row in TAKEOVER_SIZES
    ),
    *(
        Screen(
            f"takeover_report{suffix}",
            f"{TAKEOVER}_wizard_action/{{contracts}}",
            clicks=(row,),
            until=".modal [name='comparison'] tbody tr",
            size=size,
            with_peers=True,
        )
        for suffix, size, row in TAKEOVER_SIZES
    ),
    Screen("takeover_done", f"{TAKEOVER}_action/{{takeover}}", with_peers=True),
    Screen("expected_invoices", EXPECTED, with_peers=True),
    Screen("expected_invoices_narrow", EXPECTED, size=NARROW, with_peers=True),
)
