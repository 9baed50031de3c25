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

function waitForWorker() {
    return {
        content: "The work is queued for the background",
        trigger: ".o_form_view .alert:contains('Working in the background')",
    };
}

// The scheduled action is carried out by the test between these tours.

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
        waitForWorker(),
    ],
});

tours.add("invoice_run_save_and_return", {
    steps: () => [
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

tours.add("invoice_run_approve_to_invoices", {
    steps: () => [
        {
            content: "The reviewer sees the amount",
            trigger: ".o_field_widget[name='amount_total']:contains('100.00')",
        },
        clickHeaderButton("action_approve"),
        clickHeaderButton("action_generate_invoices"),
        waitForWorker(),
    ],
});

tours.add("invoice_run_open_invoice", {
    steps: () => [
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
