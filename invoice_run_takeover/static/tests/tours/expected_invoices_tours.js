import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

/** @returns the steps that expect an invoice of `contract` on the first of the next month */
function expect(contract, untaxed) {
    const day = luxon.DateTime.now().startOf("month").plus({months: 1});
    return [
        {
            content: "Another row",
            trigger: ".o_list_button_add:visible",
            run: "click",
        },
        {
            content: `Of which contract? ${contract}`,
            trigger: ".o_selected_row [name='contract_id'] input",
            run: `edit ${contract}`,
        },
        {
            content: "This one",
            trigger: `.o-autocomplete--dropdown-item:contains('${contract}')`,
            run: "click",
        },
        {
            content: "When would the other program invoice it?",
            trigger: ".o_selected_row [name='date'] input",
            run: `edit ${day.toFormat("MM/dd/yyyy")} && press Tab`,
        },
        {
            content: "How much?",
            trigger: ".o_selected_row [name='amount_untaxed'] input",
            run: `edit ${untaxed}`,
        },
        {
            content: "Save the row",
            trigger: ".o_list_button_save",
            run: "click",
        },
        {
            content: "It was not compared yet",
            trigger: `.o_data_row:contains('${contract}') [name='verdict']:contains('Not Compared')`,
        },
    ];
}

/** @returns a step that waits for the result of `contract` */
function result(contract, verdict) {
    return {
        content: `${contract}: ${verdict}`,
        trigger: `.o_data_row:contains('${contract}') [name='verdict']:contains('${verdict}')`,
    };
}

tours.add("invoice_run_takeover_expected", {
    steps: () => [
        ...expect("OLD-1", "100"),
        ...expect("OLD-2", "100"),
        {
            content: "Compare all of them, none is selected",
            trigger: "button[name='action_compare']",
            run: "click",
        },
        result("OLD-1", "Equal"),
        result("OLD-2", "Other Day"),
        result("OLD-3", "No Invoice"),
        {
            content: "It says how many are equal",
            trigger: ".o_notification:contains('Invoices compared: 3. Equal: 1.')",
        },
    ],
});
