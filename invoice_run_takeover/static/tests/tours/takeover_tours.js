import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");
const MOVED = ".o_data_row:contains('Debtor')";
const OTHER = ".o_data_row:contains('Stays There')";

/** @returns the steps up to a report, on contracts of the module that is called `label` */
function report(label) {
    return [
        {
            content: "From which module?",
            trigger: ".o_field_widget[name='source'] input",
            run: "click",
        },
        {
            content: "From this one",
            trigger: `.o_select_menu_item:contains('${label}')`,
            run: "click",
        },
        {
            content: "List the contracts of the other module",
            trigger: "button[name='action_find']",
            run: "click",
        },
        {
            content: "Both are found; one is to stay there",
            trigger: `.o_list_renderer:has(${MOVED}) ${OTHER} td[name='is_selected'] input`,
            run: "click",
        },
        {
            content: "It is not selected any more",
            trigger: `${OTHER} td[name='is_selected'] input:not(:checked)`,
        },
        {
            content: "Look at the other one",
            trigger: "button[name='action_check']:enabled",
            run: "click",
        },
        {
            content: "What was not selected was not looked at",
            trigger: `${OTHER} td[name='verdict']:contains('Not Looked At')`,
        },
        {
            content: "It can be taken over; see how",
            trigger: `${MOVED}:has(td[name='verdict']:contains('Ready')) td[name='name']`,
            run: "click",
        },
        {
            content: "The next three invoices of both modules, side by side",
            trigger:
                ".modal [name='comparison'] tbody:nth-of-type(3) tr:nth-child(2) td:nth-child(4)",
        },
        {
            content: "No fourth one",
            trigger: ".modal [name='comparison']:not(:has(tbody:nth-of-type(4)))",
        },
        {
            content: "The first day that would be invoiced here",
            trigger: ".modal [name='line_ids'] .o_data_row td[name='next_from']:not(:empty)",
        },
        {
            content: "Back to the list",
            trigger: ".modal .btn-close",
            run: "click",
        },
        {
            content: "Nothing else is asked",
            trigger: "body:not(:has(.modal)) button[name='action_take_over']",
        },
    ];
}

tours.add("invoice_run_takeover_report_contract", {
    steps: () => report("Contracts (OCA)"),
});

tours.add("invoice_run_takeover_report_subscription", {
    steps: () => report("Subscriptions (OCA)"),
});

tours.add("invoice_run_takeover", {
    steps: () => [
        {
            content: "Take over what is selected",
            trigger: "button[name='action_take_over']:enabled",
            run: "click",
        },
        {
            content: "It says what that means; yes",
            trigger:
                ".modal:contains('no longer be invoiced by the other module') .modal-footer .btn-primary",
            run: "click",
        },
        {
            content: "It goes on here",
            trigger: `${MOVED}:has(td[name='verdict']:contains('Taken Over')) td[name='report']:contains('Continued by CTR-')`,
        },
        {
            content: "The other one stays there",
            trigger: `${OTHER} td[name='verdict']:contains('Not Looked At')`,
        },
    ],
});

tours.add("invoice_run_takeover_undo", {
    steps: () => [
        {
            content: "What was taken over",
            trigger: `${MOVED} td[name='name']`,
            run: "click",
        },
        {
            content: "By which contract it goes on",
            trigger: ".o_form_view [name='contract_ids'] td[name='name']:contains('CTR-')",
        },
        {
            content: "Take it back",
            trigger: "button[name='action_undo']",
            run: "click",
        },
        {
            content: "It says what that means; yes",
            trigger: ".modal:contains('invoices as before') .modal-footer .btn-primary",
            run: "click",
        },
        {
            content: "It is undone, once and for all",
            trigger:
                ".o_form_view:not(:has(button[name='action_undo'])) [name='is_undone'] input:checked",
        },
    ],
});
