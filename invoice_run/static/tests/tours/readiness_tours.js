import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

function solve(code, name) {
    return {
        content: `Solve ${code}`,
        trigger: `.o_invoice_run_readiness [data-code='${code}'] [data-solve='${name}']:enabled`,
        run: "click",
    };
}

tours.add("invoice_run_readiness", {
    steps: () => [
        {
            content: "Nobody said how one customer gets invoices",
            trigger: ".o_invoice_run_readiness [data-code='unset'].alert-warning",
        },
        solve("unset", "email"),
        {
            content: "That is settled",
            trigger: ".o_invoice_run_readiness:not(:has([data-code='unset']))",
        },
        {
            content: "Send",
            trigger: "button[name='action_ask_send']:enabled",
            run: "click",
        },
        {
            content: "One has no address",
            trigger: ".modal [data-code='no_email'].alert-danger:contains('Documents: 1')",
        },
        {
            content: "The others may go",
            trigger: ".modal button[name='action_confirm']",
            run: "click",
        },
        {
            content: "One failed: see why",
            trigger: ".alert-danger button[name='action_view_failed']",
            run: "click",
        },
        {
            content: "The reason is there",
            trigger: ".o_list_view td[name='failure']:contains('no email address')",
        },
    ],
});

tours.add("invoice_run_ask_reviewer", {
    steps: () => [
        {
            content: "Nobody is named",
            trigger: "button[name='action_ask_reviewer']",
            run: "click",
        },
        {
            content: "Choose a colleague",
            trigger: ".modal .o_field_widget[name='reviewer_id'] input",
            run: "edit run_reviewer",
        },
        {
            content: "That one",
            trigger: ".o-autocomplete--dropdown-item:contains('run_reviewer')",
            run: "click",
        },
        {
            content: "Ask",
            trigger: ".modal button[name='action_confirm']",
            run: "click",
        },
        {
            content: "It waits for the colleague",
            trigger:
                "body:not(:has(.modal)) .alert:contains('Waits for approval by'):contains('run_reviewer')",
        },
    ],
});

tours.add("invoice_run_preview", {
    steps: () => [
        {
            content: "Review",
            trigger: "button[name='action_review']",
            run: "click",
        },
        {
            content: "The row has a preview",
            trigger: ".o_invoice_run_review_row .o_preview[href*='/invoice_run/preview/']",
        },
        {
            content: "Open the document",
            trigger: ".o_invoice_run_review_row .o_document",
            run: "click",
        },
        {
            content: "It has one too",
            trigger: ".o_form_view button[name='action_preview']",
        },
    ],
});

tours.add("invoice_run_before_sending", {
    steps: () => [
        {
            content: "No layout",
            trigger: ".o_invoice_run_first_steps [data-code='layout']",
        },
        solve("setting", "always_email"),
        {
            content: "It is chosen",
            trigger:
                ".o_invoice_run_first_steps .o_invoice_run_readiness:not(:has([data-code='setting']))",
        },
    ],
});

tours.add("invoice_run_undecided", {
    steps: () => [
        {
            content: "Documents",
            trigger: "button[name='action_view_documents']",
            run: "click",
        },
        {
            content: "Nobody has decided; that is not the same as not sending",
            trigger:
                ".o_data_row:contains('Silent') td[name='send_action']:contains('Not decided')",
        },
        {
            content: "Open it",
            trigger: ".o_data_row:contains('Silent') td[name='partner_id']",
            run: "click",
        },
        {
            content: "The form says the same",
            trigger: ".o_form_view [name='send_action'] input[placeholder='Not decided']",
            run: "click",
        },
        {
            content: "Do not send: a decision",
            trigger: ".o_select_menu_item:contains('Do not send')",
            run: "click",
        },
        {
            content: "Save",
            trigger: ".o_form_button_save:enabled",
            run: "click",
        },
        {
            content: "It is kept",
            trigger: ".o_form_saved",
        },
    ],
});
