import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

const DIALOG = ".modal .o_form_view";

function click(content, trigger) {
    return {content, trigger, run: "click"};
}

function type(content, trigger, text) {
    return {content, trigger, run: `edit ${text}`};
}

/** Fail where more than `allowed` of the steps are clicks; fields are reached with the keyboard. */
function countClicks(steps, allowed) {
    const clicks = steps.filter((step) => step.run === "click").length;
    return {
        content: `${clicks} clicks, at most ${allowed}`,
        trigger: "body",
        run: () => {
            if (clicks > allowed) {
                throw new Error(`${clicks} clicks to the first sent invoice`);
            }
        },
    };
}

// From nothing to the first sent invoice. Three clicks are spent before: the app, its menu, the
// dashboard.
tours.add("invoice_run_first_invoice", {
    steps: () => {
        const steps = [
            click("Set up", ".o_invoice_run_first_steps .o_setup button"),
            {
                content: "Contracts are proposed",
                trigger: `${DIALOG} .o_field_widget[name='scenario_ids'] input:checked`,
            },
            type(
                "Sender",
                `${DIALOG} .o_field_widget[name='email'] input`,
                "invoices@first.example.com"
            ),
            click("Set up", ".modal-footer button[name='action_set_up']"),
            type(
                "The customer",
                ".o_form_view .o_field_widget[name='partner_id'] input",
                "First Customer"
            ),
            click("Enter the customer", ".o_m2o_dropdown_option_create_edit a"),
            type(
                "The address",
                `${DIALOG} .o_field_widget[name='email'] input`,
                "first.customer@example.com"
            ),
            click("Save the customer", ".modal-footer .o_form_button_save"),
            click(
                "Add a price",
                "body:not(:has(.modal)) .o_field_widget[name='line_ids'] .o_field_x2many_list_row_add a"
            ),
            type("The product", ".o_selected_row [name='product_id'] input", "First rent"),
            click("Create the product", ".o_m2o_dropdown_option_create a"),
            type("The price", ".o_selected_row [name='price_unit'] input", "250"),
            click("Activate", ".o_form_statusbar button[name='action_activate']"),
            click("Invoice now", ".o_form_statusbar button[name='action_invoice_now']:visible"),
            {
                content: "It shows the amount, and to whom it goes",
                trigger: `${DIALOG} .o_field_widget[name='preview']:contains('250.00'):contains('first.customer@example.com')`,
            },
            click("Create and send", ".modal-footer button[name='action_create_and_send']:visible"),
            {
                content: "The invoice is there",
                trigger:
                    "body:not(:has(.modal)) .o_form_view .o_arrow_button_current:contains('Posted')",
            },
        ];
        return [...steps, countClicks(steps, 12 - 3)];
    },
});

tours.add("invoice_run_invoice_now", {
    steps: () => [
        click("Invoice now", ".o_form_statusbar button[name='action_invoice_now']:visible"),
        {
            content: "Something in it has the focus",
            trigger: `${DIALOG}:has(input:focus)`,
        },
        {
            content: "No calendar lies over what is due",
            trigger: "body:not(:has(.o_datetime_picker))",
        },
        {
            content: "It shows what is due",
            trigger: `${DIALOG} .o_field_widget[name='preview']:contains('Apartment 2B'):contains('100.00')`,
        },
        {
            content: "Without the role it can only be submitted",
            trigger: ".modal-footer:not(:has(button[name='action_create']))",
        },
        click("Submit for approval", ".modal-footer button:contains('Submit for Approval')"),
        {
            content: "It says who was asked",
            trigger: ".o_notification:contains('was asked to approve it')",
        },
        click("Again", ".o_form_statusbar button[name='action_invoice_now']:visible"),
        {
            content: "Now nothing is due, and it says which run holds it",
            trigger: `${DIALOG} .o_field_widget[name='preview']:contains('Nothing is due'):contains('IVR-')`,
        },
        click("Close", ".modal-footer button:contains('Close')"),
        {content: "It is closed", trigger: "body:not(:has(.modal))"},
    ],
});
