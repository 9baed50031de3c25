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

// 100.00 a month, invoiced for last month; the dialog proposes this month's first day.

const CHANGE = ".modal .o_form_view";

tours.add("invoice_run_change_from_date", {
    steps: () => [
        {
            content: "Change the price",
            trigger: "button:contains('Change from Date')",
            run: "click",
        },
        {
            content: "By how much?",
            trigger: `${CHANGE} [name='percentage'] input`,
            run: "edit 10 && press Tab",
        },
        {
            content: "Round the new price",
            trigger: `${CHANGE} [name='price_step'] input`,
            run: "edit 5 && press Tab",
        },
        {
            content: "Old and new per month",
            trigger: `${CHANGE} .o_invoice_run_change_totals:contains('100.00'):contains('110.00')`,
        },
        {
            content: "And per year",
            trigger: `${CHANGE} .o_invoice_run_change_totals:contains('1,320.00')`,
        },
        {
            content: "Nothing is credited from the proposed day on",
            trigger: `${CHANGE}:not(:has(.alert-warning))`,
        },
        {
            content: "Send letters",
            trigger: `${CHANGE} [name='letters'] label:contains('By Email')`,
            run: "click",
        },
        {
            content: "There is a template for them",
            trigger: `${CHANGE} [name='mail_template_id'] input`,
        },
        {
            content: "Apply",
            trigger: ".modal-footer button[name='action_apply']",
            run: "click",
        },
        {
            content: "It says what was done",
            trigger: `${CHANGE} .alert-success:contains('1 price lines of 1 contracts'):contains('1,320.00'):contains('outgoing mail: 1')`,
        },
        {
            content: "Open the contract",
            trigger: ".modal-footer button[name='action_open_contracts']",
            run: "click",
        },
        {
            content: "Both prices are in the chatter",
            trigger: ".o-mail-Chatter .o-mail-Message:contains('100.00'):contains('110.00')",
        },
        {
            content: "Overwrite a price",
            trigger: ".o_field_widget[name='line_ids'] .o_data_row:first td[name='price_unit']",
            run: "click",
        },
        {
            content: "With another one",
            trigger: ".o_field_widget[name='line_ids'] .o_selected_row [name='price_unit'] input",
            run: "edit 90 && press Tab",
        },
        {
            content: "Invoiced days stay as they are",
            trigger: ".o_notification:contains('Invoiced days stay as they are')",
        },
        {
            content: "Leave it as it was",
            trigger: ".o_form_button_cancel",
            run: "click",
        },
        {
            content: "It is saved as before",
            trigger: ".o_form_saved",
        },
    ],
});

// Two items, one without a price: filled in, in the list.

tours.add("invoice_run_edit_usage", {
    steps: () => [
        {
            content: "The item without a price",
            trigger: ".o_list_view .o_data_row:contains('Trip') td[name='price_unit']",
            run: "click",
        },
        {
            content: "Fill in its price",
            trigger: ".o_list_view .o_selected_row [name='price_unit'] input",
            run: "edit 12.5",
        },
        {
            content: "Save it",
            trigger: ".o_list_button_save:visible",
            run: "click",
        },
        {
            content: "It has an amount",
            trigger:
                ".o_list_view .o_data_row:contains('Trip'):contains('12.50'):not(.o_selected_row)",
        },
    ],
});

tours.add("invoice_run_rules_by_label", {
    steps: () => [
        {
            content: "Open the rules",
            trigger: ".o_notebook a[name='rules']",
            run: "click",
        },
        {
            content: "The field has its labels",
            trigger:
                ".o_field_widget[name='rule_ids'] .o_data_row:contains('Customer'):contains('Country')",
        },
        {
            content: "And no technical name",
            trigger: ".o_field_widget[name='rule_ids']:not(:contains('country_id'))",
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

// A price of 100.00 a month since last month; a higher one is planned for next year.

tours.add("invoice_run_planned_price", {
    steps: () => [
        {
            content: "Open the price line",
            trigger: ".o_field_widget[name='line_ids'] .o_list_record_open_form_view button",
            run: "click",
        },
        {
            content: "See what its first periods come to",
            trigger: ".o_field_widget[name='example_html']:contains('100.00')",
        },
        {
            content: "Plan another price",
            trigger: ".o_field_widget[name='price_ids'] .o_field_x2many_list_row_add a",
            run: "click",
        },
        {
            content: "From which day on?",
            trigger: ".o_selected_row [name='date_from'] input",
            run: "edit 01/01/2099 && press Tab",
        },
        {
            content: "How much?",
            trigger: ".o_selected_row [name='price_unit'] input",
            run: "edit 120 && press Tab",
        },
        {
            content: "Save the price line",
            trigger: ".o_form_button_save",
            run: "click",
        },
        {
            content: "It is saved",
            trigger: ".o_form_view .o_form_saved",
        },
    ],
});

// The same contract, raised by 3 %.

tours.add("invoice_run_price_update", {
    steps: () => [
        {
            content: "Name the update",
            trigger: ".o_field_widget[name='name'] input",
            run: "edit Prices of next year",
        },
        {
            content: "By how much?",
            trigger: ".o_field_widget[name='percentage'] input",
            run: "edit 3 && press Tab",
        },
        {
            content: "Find the prices",
            trigger: "button[name='action_find_lines']",
            run: "click",
        },
        {
            content: "Old and new price are there",
            trigger:
                ".o_field_widget[name='line_ids'] .o_data_row:contains('100.00'):contains('103.00')",
        },
        {
            content: "Approve",
            trigger: "button[name='action_approve']",
            run: "click",
        },
        {
            content: "Apply",
            trigger: "button[name='action_apply']",
            run: "click",
        },
        {
            content: "Really",
            trigger: ".modal-footer .btn-primary",
            run: "click",
        },
        {
            content: "It is applied",
            trigger: ".o_arrow_button_current:contains('Applied')",
        },
        {
            content: "Tell the customers",
            trigger: "button[name='action_send_letters']",
            run: "click",
        },
        {
            content: "Yes, each of them",
            trigger: ".modal-footer .btn-primary",
            run: "click",
        },
        {
            content: "The letters are in the outgoing mail",
            trigger: ".o-mail-Message:contains('Letters in the outgoing mail: 1.')",
        },
    ],
});

// Bands of a tariff: 1.00 a kilometre up to 100, then 0.50.

tours.add("invoice_run_tariff", {
    steps: () => [
        {
            content: "Name the tariff",
            trigger: ".o_field_widget[name='name'] input",
            run: "edit Kilometres by Bands",
        },
        {
            content: "Add the first band",
            trigger: ".o_field_widget[name='tier_ids'] .o_field_x2many_list_row_add a",
            run: "click",
        },
        {
            content: "Up to 100",
            trigger: ".o_selected_row [name='up_to'] input",
            run: "edit 100 && press Tab",
        },
        {
            content: "At 1.00",
            trigger: ".o_selected_row [name='price_unit'] input",
            run: "edit 1 && click .o_field_widget[name='tier_ids'] .o_field_x2many_list_row_add a",
        },
        {
            content: "Above that at 0.50",
            trigger:
                ".o_field_widget[name='tier_ids'] .o_data_row:nth-child(2).o_selected_row [name='price_unit'] input",
            run: "edit 0.5",
        },
        {
            content: "Save the tariff",
            trigger: ".o_form_button_save",
            run: "click",
        },
        {
            content: "It is saved",
            trigger: ".o_form_view .o_form_saved",
        },
    ],
});

// Its usage was invoiced: its prices stay, and the price lines get a copy of it from a day on.

tours.add("invoice_run_tariff_from_date", {
    steps: () => [
        {
            content: "Overwrite the price of the band",
            trigger: ".o_field_widget[name='tier_ids'] .o_data_row:first td[name='price_unit']",
            run: "click",
        },
        {
            content: "With another one",
            trigger: ".o_selected_row [name='price_unit'] input",
            run: "edit 0.9",
        },
        {
            content: "Save it",
            trigger: ".o_form_button_save",
            run: "click",
        },
        {
            content: "That is refused, with what to do instead",
            trigger:
                ".modal:contains('has been invoiced by it'):contains('Duplicate the tariff') .modal-footer button",
            run: "click",
        },
        {
            content: "Keep the price",
            trigger: ".o_form_button_cancel",
            run: "click",
        },
        {
            content: "Which price lines have it?",
            trigger: "button[name='action_view_prices']",
            run: "click",
        },
        {
            content: "Select them",
            trigger: ".o_list_view thead .o_list_record_selector input",
            run: "click",
        },
        {
            content: "What can be done with them",
            trigger: ".o_cp_action_menus .dropdown-toggle:contains('Actions')",
            run: "click",
        },
        {
            content: "Change them from a date",
            trigger: ".o-dropdown--menu .dropdown-item:contains('Change from Date')",
            run: "click",
        },
        {
            content: "Its price is not raised by a percentage",
            trigger: `${CHANGE} .o_invoice_run_change_totals:contains('1 left out')`,
        },
        {
            content: "Another tariff",
            trigger: `${CHANGE} [name='change'] input[data-value='tariff']`,
            run: "click",
        },
        {
            content: "The copy",
            trigger: `${CHANGE} [name='tariff_id'] input`,
            run: "edit Cheaper",
        },
        {
            content: "Choose it",
            trigger: ".o-autocomplete--dropdown-item:contains('Cheaper')",
            run: "click",
        },
        {
            content: "It is what one line will have",
            trigger: `${CHANGE} .o_invoice_run_change_totals:contains('1 changed')`,
        },
        {
            content: "Apply",
            trigger: ".modal-footer button[name='action_apply']",
            run: "click",
        },
        {
            content: "It says what was done",
            trigger: `${CHANGE} .alert-success:contains('1 price lines of 1 contracts')`,
        },
    ],
});

// The same contract: its price line goes by usage, at a tariff, and costs at least 50.00.

tours.add("invoice_run_metered_line", {
    steps: () => [
        {
            content: "Open the price line",
            trigger: ".o_field_widget[name='line_ids'] .o_list_record_open_form_view button",
            run: "click",
        },
        {
            content: "By usage",
            trigger: ".o_field_widget[name='is_metered'] input",
            run: "click",
        },
        {
            content: "The example follows",
            trigger: ".o_field_widget[name='example_html']:contains('without any usage')",
        },
        {
            content: "At which tariff?",
            trigger: ".o_field_widget[name='tariff_id'] input",
            run: "edit Kilometres by Bands",
        },
        {
            content: "At this one",
            trigger: ".o-autocomplete--dropdown-item:contains('Kilometres by Bands')",
            run: "click",
        },
        {
            content: "At least 50.00 a period",
            trigger: ".o_field_widget[name='minimum_amount'] input",
            run: "edit 50 && press Tab",
        },
        {
            content: "The example shows what periods without usage cost",
            trigger:
                ".o_field_widget[name='example_html']:contains('without any usage'):contains('50.00')",
        },
        {
            content: "Save the price line",
            trigger: ".o_form_button_save",
            run: "click",
        },
        {
            content: "It is saved",
            trigger: ".o_form_view .o_form_saved",
        },
    ],
});
