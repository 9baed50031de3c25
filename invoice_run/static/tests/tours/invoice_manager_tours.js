import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");
const ROW = ".o_invoice_manager_table tbody tr";

function chooseCard(name) {
    return [
        {
            content: `Choose ${name}`,
            trigger: `.o_invoice_manager_card:contains('${name}')`,
            run: "click",
        },
        {content: "Next", trigger: ".o_invoice_manager_next:enabled", run: "click"},
    ];
}

/** Nobody decided how these customers get their invoices: it asks before they are created. */
function processAnyway() {
    return {
        content: "Process although nobody decided how to send",
        trigger: ".modal:has([data-code='unset']) .o_confirm",
        run: "click",
    };
}

function fillIn(label, selector, text) {
    return {
        content: `${label}: ${text}`,
        trigger: selector,
        run: `edit ${text} && click body`,
    };
}

function fetchRows(count) {
    return [
        {content: "Fetch", trigger: ".o_invoice_manager_fetch:enabled", run: "click"},
        {
            content: "It is fetched with these values",
            trigger: ".o_invoice_manager_fetch:enabled:contains('Fetch Again')",
        },
        {
            content: `${count} found`,
            trigger: `.o_invoice_manager_selected:contains('${count} selected')`,
        },
    ];
}

// From a card to sent invoices, with a look back, as a user with the plain role.
tours.add("invoice_manager", {
    steps: () => [
        {
            content: "The card counts what is due",
            trigger: ".o_invoice_manager_card:contains('All contracts'):contains('2')",
        },
        ...chooseCard("All contracts"),
        {
            content: "Nothing is fetched yet",
            trigger: ".o_invoice_manager_hint, .o_invoice_manager_process:disabled",
        },
        fillIn("Invoice date", ".o_invoice_date input", "01/31/2024"),
        ...fetchRows(2),
        {content: "Back", trigger: ".o_invoice_manager_back:enabled", run: "click"},
        {
            content: "The run is kept",
            trigger: ".o_invoice_manager_runs:contains('Fetched, not processed')",
        },
        {content: "Next again", trigger: ".o_invoice_manager_next:enabled", run: "click"},
        {
            content: "The date is kept",
            trigger: ".o_invoice_date input:value(01/31/2024)",
        },
        {
            content: "So is what was found",
            trigger: `${ROW}:contains('Debtor'):contains('100.00')`,
        },
        fillIn("Another date", ".o_invoice_date input", "02/15/2024"),
        {content: "Back", trigger: ".o_invoice_manager_back:enabled", run: "click"},
        {content: "Next again", trigger: ".o_invoice_manager_next:enabled", run: "click"},
        {
            content: "The other date is kept, though nothing is fetched with it",
            trigger: ".o_invoice_date input:value(02/15/2024)",
        },
        {
            content: "So it cannot be processed",
            trigger: ".o_invoice_manager_process:disabled",
        },
        fillIn("Invoice date", ".o_invoice_date input", "01/31/2024"),
        ...fetchRows(2),
        {
            content: "Leave out Other",
            trigger: `${ROW}:contains('Other') .o_select input`,
            run: "click",
        },
        {
            content: "The selection is counted",
            trigger: ".o_invoice_manager_selected:contains('1 selected'):contains('100.00')",
        },
        {
            content: "Print this one",
            trigger: `${ROW}:contains('Debtor') .o_send_action select`,
            run: "select print",
        },
        {
            content: "Process the selected one",
            trigger: ".o_invoice_manager_process:enabled:contains('Process 1')",
            run: "click",
        },
        {
            content: "It is processed and has its PDF",
            trigger: `${ROW}[data-status='invoiced']:contains('Debtor') a.o_pdf[href]`,
        },
        {
            content: "The other is not",
            trigger: `${ROW}[data-status='to_do']:contains('Other')`,
        },
        {
            content: "The page says what becomes of the rest",
            trigger: ".o_invoice_manager .alert:contains('1 not processed')",
        },
        {
            content: "Open the invoice",
            trigger: `${ROW}:contains('Debtor') .o_invoice button`,
            run: "click",
        },
        {
            content: "It is confirmed",
            trigger: ".o_form_view .o_arrow_button_current:contains('Posted')",
        },
        {
            content: "Back by the breadcrumb",
            trigger: ".o_breadcrumb a:contains('Invoice Manager'), .o_back_button a",
            run: "click",
        },
        {
            content: "All is as it was",
            trigger: `${ROW}[data-status='invoiced']:contains('Debtor')`,
        },
        {
            content: "Select the rest",
            trigger: `${ROW}:contains('Other') .o_select input`,
            run: "click",
        },
        {
            content: "Process the rest",
            trigger: ".o_invoice_manager_process:enabled:contains('Process 1')",
            run: "click",
        },
        processAnyway(),
        {
            content: "All is done, but for the one to print",
            trigger:
                ".o_invoice_manager_done:contains('2 invoices'):contains('1 still to send or print')",
        },
        {content: "Begin anew", trigger: ".o_invoice_manager_restart:enabled", run: "click"},
        {
            content: "Nothing is due any more",
            trigger: ".o_invoice_manager_card:contains('All contracts'):contains('0')",
        },
    ],
});

// The same way in Dutch: what it waits for is Dutch where the test loaded the translation.
tours.add("invoice_manager_dutch", {
    steps: () => [
        {
            content: "The page is Dutch",
            trigger: ".o_invoice_manager h2:contains('Wat wil je factureren?')",
        },
        ...chooseCard("All contracts"),
        fillIn("Invoice date", ".o_invoice_date input", "31-01-2024"),
        {content: "Fetch", trigger: ".o_invoice_manager_fetch:enabled", run: "click"},
        {
            content: "Two are found, with Dutch amounts",
            trigger: ".o_invoice_manager_selected:contains('2 geselecteerd'):contains('200,00')",
        },
        {
            content: "Process them",
            trigger: ".o_invoice_manager_process:enabled:contains('Verwerken')",
            run: "click",
        },
        processAnyway(),
        {
            content: "All is done",
            trigger: ".o_invoice_manager_done:contains('facturen gemaakt')",
        },
        {
            content: "Open an invoice",
            trigger: `${ROW}[data-status='invoiced']:contains('Debtor') .o_invoice button`,
            run: "click",
        },
        {
            content: "It is confirmed, and its button is Dutch",
            trigger:
                ".o_form_view:has(.o_arrow_button_current[data-value='posted']) .o-form-buttonbox:contains('Factuurrun')",
        },
    ],
});

tours.add("invoice_manager_ask", {
    steps: () => [
        ...chooseCard("All contracts"),
        fillIn("Invoice date", ".o_invoice_date input", "01/31/2024"),
        ...fetchRows(2),
        {
            content: "What cannot be billed says why",
            trigger: ".o_invoice_manager_exceptions:contains('quarrel')",
        },
        fillIn("Another date", ".o_invoice_date input", "02/15/2024"),
        {
            content: "Release what another run holds",
            trigger: ".o_invoice_manager_exceptions button:enabled:contains('Release from')",
            run: "click",
        },
        {
            content: "It is released",
            trigger: ".o_invoice_manager_exceptions:not(:contains('Release from'))",
        },
        {
            content: "The date that was typed stays",
            trigger: ".o_invoice_date input:value(02/15/2024)",
        },
        fillIn("Invoice date", ".o_invoice_date input", "01/31/2024"),
        ...fetchRows(3),
        {
            content: "Ask for approval",
            trigger: ".o_invoice_manager_process:enabled:contains('Ask for Approval')",
            run: "click",
        },
        {
            content: "The reviewer is asked",
            trigger: ".o_invoice_manager_asked:contains('Sent to the reviewer')",
        },
    ],
});

tours.add("invoice_manager_go_on", {
    steps: () => [
        {
            content: "The run waits here",
            trigger: ".o_invoice_manager_continue",
            run: "click",
        },
        {
            content: "It is approved",
            trigger: ".o_invoice_manager .alert:contains('Approved by')",
        },
        {
            content: "Process",
            trigger: ".o_invoice_manager_process:enabled:contains('Process 3')",
            run: "click",
        },
        processAnyway(),
        {content: "All is done", trigger: ".o_invoice_manager_done"},
    ],
});

// Every kind of value that a rule can ask for, by its widget.
tours.add("invoice_manager_rules", {
    steps: () => [
        ...chooseCard("Asking"),
        fillIn(
            "From",
            "[data-rule='Started'] .o_invoice_manager_date:first-of-type input",
            "12/01/2023"
        ),
        {
            content: "On hold: no",
            trigger: "[data-rule='On hold'] select",
            run: "select no",
        },
        {
            content: "Proration",
            trigger: "[data-rule='Proration'] select",
            run: "select actual",
        },
        {
            content: "Customer",
            trigger: "[data-rule='Customer'] input",
            run: "edit Debtor",
        },
        {
            content: "Choose the customer",
            trigger: ".o-autocomplete--dropdown-item:contains('Debtor')",
            run: "click",
        },
        fillIn("Title", "[data-rule='Title'] input", "lu"),
        fillIn("Price", "[data-rule='Price'] input[type='number']", "95"),
        fillIn("Invoice date", ".o_invoice_date input", "01/31/2024"),
        ...fetchRows(1),
        {
            content: "The right one is found",
            trigger: `${ROW}:contains('Debtor')`,
        },
    ],
});

// Nobody said how one customer gets invoices: seen in the row, asked at "Process", settled there.
tours.add("invoice_manager_readiness", {
    steps: () => [
        ...chooseCard("All contracts"),
        fillIn("Invoice date", ".o_invoice_date input", "01/31/2024"),
        ...fetchRows(1),
        {
            content: "It is said above the rows",
            trigger: ".o_invoice_manager_readiness [data-code='unset'].alert-warning",
        },
        {
            content: "The row says so too: not that nothing is to be sent",
            trigger: `${ROW}:contains('Silent') .o_send_action:has(.o_undecided) select:has(option:checked:contains('Not decided'))`,
        },
        {
            content: "The row has a preview",
            trigger: `${ROW}:contains('Silent') .o_preview[href*='/invoice_run/preview/']`,
        },
        {
            content: "Process",
            trigger: ".o_invoice_manager_process:enabled:contains('Process 1')",
            run: "click",
        },
        {
            content: "It asks first: by email",
            trigger: ".modal [data-code='unset'] [data-solve='email']:enabled",
            run: "click",
        },
        {
            content: "That is settled",
            trigger: ".modal:not(:has([data-code='unset']))",
        },
        {
            content: "Now process",
            trigger: ".modal .o_confirm:contains('Process')",
            run: "click",
        },
        {
            content: "It is sent",
            trigger: `.o_invoice_manager:has(.o_invoice_manager_done) ${ROW}:contains('Silent') .o_delivery:contains('Sent')`,
        },
    ],
});
