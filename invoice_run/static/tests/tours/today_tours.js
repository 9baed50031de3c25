import {goBack, openPage} from "./browser_history";
import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

function finding(key) {
    return `.o_invoice_run_today .o_finding[data-key='${key}']`;
}

tours.add("invoice_run_today", {
    steps: () => [
        {
            content: "One invoice has no way of sending",
            trigger: `${finding("no_way")} .o_count:contains('1')`,
        },
        {
            content: "Use email",
            trigger: `${finding("no_way")} .o_solve:visible`,
            run: "click",
        },
        {content: "Yes", trigger: ".modal-footer .btn-primary", run: "click"},
        {
            content: "It says what was done",
            trigger: ".o_notification:contains('Waiting to be sent by email: 1')",
        },
        {
            content: "It waits to be sent now, and nothing else is said of it",
            trigger: `.o_invoice_run_today:not(:has([data-key='no_way'])) [data-key='send'] .o_count:contains('1')`,
        },
        {
            content: "Open the contracts without a price",
            trigger: `${finding("unpriced")} .o_open`,
            run: "click",
        },
        {
            content: "Only that contract is listed",
            trigger: ".o_list_view .o_data_row:only-child:contains('Free of charge')",
        },
        {
            content: "Open it",
            trigger: ".o_list_view .o_data_row .o_data_cell[name='title']",
            run: "click",
        },
        {content: "The contract", trigger: ".o_form_view"},
        openPage("Open its prices", ".o_form_view button[name='action_view_prices']"),
        goBack("The prices", ".o_pivot_view"),
        goBack("Back at the contract", ".o_form_view button[name='action_view_prices']"),
        {
            content: "Still only that contract",
            trigger: ".o_list_view .o_data_row:only-child:contains('Free of charge')",
        },
        {
            content: "Back to the dashboard",
            trigger: ".o_breadcrumb .o_back_button a",
            run: "click",
        },
        {
            content: "Review the run that waits",
            trigger: `${finding("approve")} .o_open`,
            run: "click",
        },
        {
            content: "Its review",
            trigger: ".o_invoice_run_review",
        },
    ],
});

tours.add("invoice_run_today_empty", {
    steps: () => [
        {
            content: "Nothing waits",
            trigger: ".o_invoice_run_today:contains('Nothing waits for you')",
        },
    ],
});

tours.add("invoice_run_back", {
    steps: () => [
        {
            content: "Open the documents of the run",
            trigger: ".o-form-buttonbox button[name='action_view_documents']",
            run: "click",
        },
        {
            content: "Only its own",
            trigger: ".o_list_view .o_data_row:only-child:contains('Second')",
        },
        {
            content: "Open the document",
            trigger: ".o_list_view .o_data_row .o_data_cell:contains('Second')",
            run: "click",
        },
        openPage("Open its invoice", ".o_form_view button[name='action_open_invoice']:visible"),
        goBack("The invoice", ".o_form_view .o_field_widget[name='invoice_line_ids']"),
        goBack("Back at the document", ".o_form_view button[name='action_open_invoice']"),
        {
            content: "Still only the documents of this run",
            trigger: ".o_list_view .o_data_row:only-child:contains('Second')",
        },
        {
            content: "The run is in the breadcrumb",
            trigger: ".o_breadcrumb .o_back_button:contains('IVR-')",
        },
    ],
});

tours.add("invoice_run_reload", {
    steps: () => [
        {
            content: "By its address: only the documents of this run",
            trigger: ".o_list_view .o_data_row:only-child:contains('Second')",
        },
    ],
});

tours.add("invoice_run_buttons", {
    steps: () => [
        {
            content: "The status is seen, with two buttons and a menu beside it",
            trigger:
                ".o_form_statusbar:has(.o_arrow_button_current:contains('To Approve')) .o_statusbar_buttons:not(:has(button:nth-of-type(4)))",
        },
        {
            content: "Open the menu",
            trigger: ".o_form_statusbar .o_statusbar_buttons button.dropdown-toggle",
            run: "click",
        },
        {
            content: "Reject is in it",
            trigger: ".o-dropdown--menu button[name='action_ask_reject_reason']",
            run: "click",
        },
        {
            content: "It asks why",
            trigger: ".modal .o_field_widget[name='reason']",
        },
        {
            content: "Close",
            trigger: ".modal-header .btn-close",
            run: "click",
        },
        {content: "Closed", trigger: "body:not(:has(.modal)) .o_form_view"},
    ],
});
