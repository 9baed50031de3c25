import {registry} from "@web/core/registry";
import {stepUtils} from "@web_tour/tour_utils";

const tours = registry.category("web_tour.tours");

function pickMany2one(field, text) {
    return [
        {
            content: `Search ${text}`,
            trigger: `.o_field_widget[name='${field}'] input`,
            run: `edit ${text}`,
        },
        {
            content: `Choose ${text}`,
            trigger: `.o-autocomplete--dropdown-item:contains('${text}')`,
            run: "click",
        },
    ];
}

function clickHeaderButton(name) {
    return {
        content: `Press ${name}`,
        trigger: `.o_form_statusbar button[name='${name}']:enabled`,
        run: "click",
    };
}

/** Press a button of a run that is in the menu beside its first buttons. */
function clickMenuButton(name) {
    return [
        {
            content: "Open the menu of the other buttons",
            trigger: ".o_form_statusbar .o_statusbar_buttons button.dropdown-toggle",
            run: "click",
        },
        {
            content: `Press ${name}`,
            trigger: `.o-dropdown--menu button[name='${name}']:enabled`,
            run: "click",
        },
    ];
}

function confirmDialog() {
    return {content: "Yes", trigger: ".modal-footer .btn-primary", run: "click"};
}

function checkState(name) {
    return {
        content: `The run is: ${name}`,
        trigger: `.o_form_view .o_arrow_button_current:contains('${name}')`,
    };
}

function goBack(name) {
    return {content: `Back to ${name}`, trigger: ".o_breadcrumb .o_back_button a", run: "click"};
}

// What a click queues for the background is done before its answer: see the test.

tours.add("invoice_run_schedule_to_amounts", {
    steps: () => [
        {
            content: "Name the schedule",
            trigger: ".o_field_widget[name='name'] input",
            run: "edit Monthly rent",
        },
        ...pickMany2one("scenario_id", "All contracts"),
        {
            content: "Open the first day of the first period",
            trigger:
                ".o_field_widget[name='date_from'] button, .o_field_widget[name='date_from'] input",
            run: "click",
        },
        {
            content: "Fill in the first day of the first period",
            trigger: ".o_field_widget[name='date_from'] input",
            run: "edit 01/01/2024 && click body",
        },
        {
            content: "Two runs",
            trigger: ".o_field_widget[name='run_count'] input",
            run: "edit 2",
        },
        ...stepUtils.saveForm(),
        clickHeaderButton("action_generate_runs"),
        {
            content: "The button counts them",
            trigger: "button[name='action_view_runs']:contains('2')",
        },
        {
            content: "Look at the runs",
            trigger: ".o_notebook a[name='runs']",
            run: "click",
        },
        {
            content: "Both runs are listed",
            trigger: ".o_field_widget[name='next_run_ids'] tbody:has(.o_data_row:nth-child(2))",
        },
        {
            content: "Open the first run",
            trigger: ".o_field_widget[name='next_run_ids'] .o_data_row:first-child button.btn-link",
            run: "click",
        },
        clickHeaderButton("action_submit"),
        clickHeaderButton("action_generate_amounts"),
        checkState("To Approve"),
        {
            content: "The amount is there",
            trigger: ".o_field_widget[name='amount_total']:contains('100.00')",
        },
        goBack("the schedule"),
        {
            content: "The schedule is there again",
            trigger: ".o_form_statusbar button[name='action_save_and_return']",
        },
        {
            content: "Rename the schedule",
            trigger: ".o_field_widget[name='name'] input",
            run: "edit Rent of halls",
        },
        clickHeaderButton("action_save_and_return"),
        {
            content: "The list shows the new name",
            trigger: ".o_list_view .o_data_row:contains('Rent of halls')",
        },
        {
            content: "Nothing is left to save",
            trigger: "body:not(:has(.o_form_view))",
        },
    ],
});

tours.add("invoice_run_reject_then_approve", {
    steps: () => [
        {
            content: "The reviewer sees the amount",
            trigger: ".o_field_widget[name='amount_total']:contains('100.00')",
        },
        ...clickMenuButton("action_ask_reject_reason"),
        {
            content: "Say why",
            trigger: ".modal .o_field_widget[name='reason'] input",
            run: "edit The price is old",
        },
        {
            content: "Reject",
            trigger: ".modal-footer button:contains('Reject Amounts')",
            run: "click",
        },
        {
            content: "The responsible reads why",
            trigger: ".o-mail-Message:contains('Rejected: The price is old')",
        },
        clickHeaderButton("action_approve"),
        checkState("Approved"),
    ],
});

tours.add("invoice_run_invoices_to_sent", {
    steps: () => [
        clickHeaderButton("action_generate_invoices"),
        checkState("Invoiced"),
        clickHeaderButton("action_ask_send"),
        {
            content: "Layout, bank account, due date: it is asked",
            trigger: ".modal button[name='action_confirm']",
            run: "click",
        },
        {
            content: "Nothing is left to send",
            trigger: ".o_form_statusbar:not(:has(button[name='action_ask_send']))",
        },
        {
            content: "Open the documents",
            trigger: ".o-form-buttonbox button[name='action_view_documents']",
            run: "click",
        },
        {
            content: "It was sent",
            trigger: ".o_list_view .o_data_row:contains('Debtor'):contains('Sent')",
        },
        goBack("the run"),
        {
            content: "Open the invoices of the run",
            trigger: ".o-form-buttonbox button[name='action_view_invoices']",
            run: "click",
        },
        {
            content: "Open the invoice",
            trigger: ".o_list_view .o_data_row .o_data_cell:contains('Debtor')",
            run: "click",
        },
        {
            content: "It is confirmed, with its number",
            trigger: ".o_form_view .o_arrow_button_current:contains('Posted')",
        },
        {
            content: "It names its contract",
            trigger: ".o_form_view:contains('CTR-')",
        },
    ],
});

tours.add("invoice_run_repair_and_reverse", {
    steps: () => [
        {
            content: "One failed: see why",
            trigger: ".o_form_view .alert-danger button[name='action_view_failed']",
            run: "click",
        },
        {
            content: "Open the document",
            trigger: ".o_list_view .o_data_row .o_data_cell:contains('Silent')",
            run: "click",
        },
        {
            content: "It says what is missing",
            trigger: ".o_form_view .alert-danger:contains('email address')",
        },
        {
            content: "Open the customer",
            trigger: ".o_form_view .o_field_widget[name='partner_id'] a",
            run: "click",
        },
        {
            content: "Fill in the address",
            trigger: ".o_form_view .o_field_widget[name='email'] input",
            run: "edit found@example.com",
        },
        ...stepUtils.saveForm(),
        goBack("the document"),
        {
            content: "The document is there again",
            trigger: ".o_form_view .alert-danger:contains('email address')",
        },
        goBack("what failed"),
        {
            content: "The list is there again",
            trigger: ".o_list_view .o_data_row:contains('Silent')",
        },
        goBack("the run"),
        clickHeaderButton("action_retry_failed"),
        {
            content: "Nothing failed any more",
            trigger: ".o_form_view:not(:has(button[name='action_view_failed'])) .o_form_statusbar",
        },
        ...clickMenuButton("action_reverse"),
        confirmDialog(),
        {
            content: "Two credit notes",
            trigger: ".o_list_view:contains('RINV') tbody:has(.o_data_row:nth-child(2))",
        },
    ],
});

// Here the queue is worked off only after the tour.
tours.add("invoice_run_stop_reversing", {
    steps: () => [
        ...clickMenuButton("action_reverse"),
        confirmDialog(),
        {
            content: "The run shows how far it is",
            trigger: ".o_form_view .o_invoice_run_progress:contains('0 of 2')",
        },
        ...clickMenuButton("action_stop_reversing"),
        {
            content: "It stopped, and says so",
            trigger: ".o-mail-Message:contains('Reversing was stopped by hand.')",
        },
        {
            content: "The run is at rest",
            trigger: ".o_form_view:not(:has(.o_invoice_run_progress)) .o_form_statusbar",
        },
    ],
});

const FIRST_STEPS = ".o_invoice_run_first_steps";

tours.add("invoice_run_first_use", {
    steps: () => [
        {
            content: "The contract is still to be made",
            trigger: `${FIRST_STEPS} li:contains('A contract'):not(:has(.o_done))`,
        },
        {
            content: "Load sample data",
            trigger: `${FIRST_STEPS} .o_sample button:contains('Load sample data')`,
            run: "click",
        },
        {
            content: "Open the first run",
            trigger: ".o_list_view .o_data_row .o_data_cell[name='name']",
            run: "click",
        },
        clickHeaderButton("action_submit"),
        clickHeaderButton("action_generate_amounts"),
        checkState("To Approve"),
        clickHeaderButton("action_approve"),
        clickHeaderButton("action_generate_invoices"),
        checkState("Invoiced"),
        {
            content: "Open the menu",
            trigger: "[data-menu-xmlid='invoice_run.invoice_run_menu_root']",
            run: "click",
        },
        {
            content: "Back to the dashboard",
            trigger: "[data-menu-xmlid='invoice_run.invoice_run_dashboard_menu']",
            run: "click",
        },
        {
            content: "The first run is done",
            trigger: `${FIRST_STEPS} li:contains('The first run'):has(.o_done)`,
        },
        {
            content: "Remove sample data",
            trigger: `${FIRST_STEPS} .o_sample button:contains('Remove sample data')`,
            run: "click",
        },
        confirmDialog(),
        {
            content: "The contract is to be made again",
            trigger: `${FIRST_STEPS} li:contains('A contract'):not(:has(.o_done))`,
        },
        {
            content: "Make an own contract",
            trigger: `${FIRST_STEPS} button[data-method='action_open_step_invoice_run_contract']`,
            run: "click",
        },
        {
            content: "An empty contract",
            trigger: ".o_form_view .o_field_widget[name='partner_id'] input",
        },
    ],
});

function askWhy(answer) {
    return [
        {
            content: `It says: ${answer}`,
            trigger: `.modal .o_field_widget[name='answer']:contains('${answer}')`,
        },
        {
            content: "Close the dialog",
            trigger: ".modal-footer button:contains('Close')",
            run: "click",
        },
        {content: "It is closed", trigger: "body:not(:has(.modal))"},
    ];
}

tours.add("invoice_run_explain_contract", {
    steps: () => [
        clickHeaderButton("action_explain_billing"),
        ...askWhy("The contract is on hold: quarrel. Lift the hold"),
        {
            content: "Change the title: the dialog loses nothing that is not saved",
            trigger: ".o_field_widget[name='title'] input",
            run: "edit Typed before asking",
        },
        clickHeaderButton("action_explain_billing"),
        {
            content: "Another run",
            trigger: ".modal .o_field_widget[name='run_id'] input",
            run: "edit Earlier",
        },
        {
            content: "Choose it",
            trigger: ".o-autocomplete--dropdown-item:contains('Earlier')",
            run: "click",
        },
        {
            content: "The old answer is gone",
            trigger: ".modal:not(:has(.alert .o_field_widget[name='answer']))",
        },
        {content: "Ask", trigger: ".modal-footer button[name='action_ask']", run: "click"},
        ...askWhy("Choose a run with a later target date"),
        {
            content: "What was typed is there",
            trigger: ".o_field_widget[name='title'] input:value('Typed before asking')",
        },
    ],
});

tours.add("invoice_run_find_missing", {
    steps: () => [
        clickHeaderButton("action_find_missing"),
        {
            content: "Search the contract",
            trigger: ".modal .o_field_widget[name='res_id'] input",
            run: "edit Missing",
        },
        {
            content: "Choose the contract",
            trigger: ".o-autocomplete--dropdown-item:contains('CTR-')",
            run: "click",
        },
        {content: "Ask", trigger: ".modal-footer button[name='action_ask']", run: "click"},
        ...askWhy("The contract is a draft. Activate it"),
    ],
});
