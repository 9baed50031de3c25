import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

const BRIDGE = ".o_invoice_run_bridge";
const TIMELINE = ".o_invoice_run_timeline";

// From last month to this one: 100.00 became 110.00, 30.00 is new.

tours.add("invoice_run_bridge", {
    steps: () => [
        {
            content: "Show the changes from last month to this one",
            trigger: ".modal-footer button[name='action_compute']",
            run: "click",
        },
        {
            content: "What was there before",
            trigger: `${BRIDGE} tr:contains('Before'):contains('100.00')`,
        },
        {
            content: "What it is now",
            trigger: `${BRIDGE} tr:contains('After'):contains('140.00')`,
        },
        {
            content: "What is new",
            trigger: `${BRIDGE} tr:contains('New'):contains('30.00')`,
        },
        {
            content: "Open the contracts whose price changed",
            trigger: `${BRIDGE} tr:contains('Price Changes'):contains('10.00') button`,
            run: "click",
        },
        {
            content: "It is one contract, with what it charges now",
            trigger: ".o_list_view .o_data_row:contains('Raised'):contains('110.00')",
        },
        {
            content: "And no other",
            trigger: ".o_list_view:not(:has(.o_data_row:contains('Fresh')))",
        },
        {
            content: "Back to the bridge",
            trigger: ".o_breadcrumb .o_back_button a",
            run: "click",
        },
        {
            content: "Look at the rows",
            trigger: "button[name='action_open_details']",
            run: "click",
        },
        {
            content: "They are grouped by what changed",
            trigger: ".o_list_view .o_group_header:contains('Price Changes'):contains('10.00')",
        },
    ],
});

tours.add("invoice_run_timeline", {
    steps: () => [
        {
            content: "The contract says what it charges",
            trigger: "button[name='action_view_prices']:contains('110.00')",
        },
        {
            content: "Open the timeline",
            trigger: ".o_notebook a[name='timeline']",
            run: "click",
        },
        {
            content: "This month is in a run",
            trigger: `${TIMELINE} li.o_invoice_run_timeline_run:contains('In a run'):contains('110.00')`,
        },
        {
            content: "Next month is to come",
            trigger: `${TIMELINE} li.o_invoice_run_timeline_future:contains('To come')`,
        },
        {
            content: "Look at later months",
            trigger: `${TIMELINE} button[aria-label='Later months']`,
            run: "click",
        },
        {
            content: "No invoice is that late",
            trigger: `${TIMELINE}:not(:has(.o_invoice_run_timeline_invoiced))`,
        },
        {
            content: "And back",
            trigger: `${TIMELINE} button[aria-label='Earlier months']`,
            run: "click",
        },
        {
            content: "Open the invoice of last month",
            trigger: `${TIMELINE} li.o_invoice_run_timeline_invoiced:contains('100.00') button`,
            run: "click",
        },
        {
            content: "It is the invoice",
            trigger: ".o_form_view .o_field_widget[name='invoice_line_ids']:contains('Rent')",
        },
    ],
});
