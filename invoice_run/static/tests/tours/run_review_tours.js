import {goBack, openPage} from "./browser_history";
import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");
const ROW = ".o_invoice_run_review_row";

function countRows(count) {
    return {
        content: `${count} rows`,
        trigger: `.o_invoice_run_review_table tbody:has(${ROW}):not(:has(${ROW}:eq(${count}))):has(${ROW}:eq(${count - 1}))`,
    };
}

function getRow(name) {
    return `${ROW}:contains('${name}')`;
}

function pressFilter(name) {
    return {
        content: `Filter: ${name}`,
        trigger: `.o_invoice_run_review_tools button[data-filter='${name}']`,
        run: "click",
    };
}

// From the run's form: read, open lines, tick, exclude, include, approve, and back.
tours.add("invoice_run_review", {
    steps: () => [
        {
            content: "Open the review",
            trigger: ".o_form_statusbar button[name='action_review']:enabled",
            run: "click",
        },
        countRows(3),
        {
            content: "The first row is the current one",
            trigger: `${getRow("A same")}[tabindex='0']`,
        },
        {
            content: "A price says why",
            trigger: `${getRow("B price")} .o_why:contains('price +3.0 %')`,
        },
        pressFilter("changed"),
        countRows(2),
        {
            content: "Open the lines by the keyboard",
            trigger: `${getRow("B price")}[tabindex='0']`,
            run: "press Enter",
        },
        {
            content: "The lines are there, in place",
            trigger: ".o_invoice_run_review_line .o_why:contains('price +3.0 %')",
        },
        {
            content: "Close them by the button",
            trigger: `${getRow("B price")} button.o_lines[aria-expanded='true']`,
            run: "click",
        },
        {
            content: "They are gone",
            trigger: ".o_invoice_run_review_table:not(:has(.o_invoice_run_review_line))",
        },
        {
            content: "One row down",
            trigger: getRow("B price"),
            run: "press ArrowDown",
        },
        {
            content: "It is to be checked: do so",
            trigger: `${getRow("C large")}[tabindex='0']:has(.fa-flag)`,
            run: "press Space",
        },
        {
            content: "It is checked",
            trigger: `${getRow("C large")}:not(:has(.fa-flag)) .o_check input:checked`,
        },
        {
            content: "Nothing is left to check",
            trigger: "button[data-filter='flagged']:contains('0')",
        },
        pressFilter("changed"),
        countRows(3),
        {
            content: "Exclude by the keyboard",
            trigger: getRow("A same"),
            run: "press x",
        },
        {
            content: "It stays, struck out; the totals are without it",
            trigger: `.o_invoice_run_review_table:has(${ROW}.o_out:contains('A same')) tfoot .o_now:contains('603.00')`,
        },
        {
            content: "Include it again",
            trigger: `${getRow("A same")} .o_include:enabled`,
            run: "click",
        },
        {
            content: "The totals are with it",
            trigger: "tfoot .o_now:contains('703.00')",
        },
        {
            content: "Exclude it by the button",
            trigger: `${getRow("A same")} .o_exclude:enabled`,
            run: "click",
        },
        {
            content: "The totals are without it",
            trigger: "tfoot .o_now:contains('603.00')",
        },
        {
            content: "Search",
            trigger: ".o_invoice_run_review_search",
            run: "edit same",
        },
        countRows(1),
        {
            content: "All again",
            trigger: ".o_invoice_run_review_search",
            run: "clear",
        },
        countRows(3),
        {
            content: "Approve",
            trigger: ".o_invoice_run_review_approve:enabled",
            run: "click",
        },
        {
            content: "It is approved",
            trigger: ".o_invoice_run_review_state:contains('Approved')",
        },
        openPage("Open a document", `${getRow("B price")} .o_document`),
        goBack("The browser's way back", ".o_form_view .o_breadcrumb:contains('Review of')"),
        countRows(3),
        {
            content: "Back to the run",
            trigger: ".o_breadcrumb .o_back_button a",
            run: "click",
        },
        {
            content: "The run is approved",
            trigger: ".o_form_view .o_arrow_button_current:contains('Approved')",
        },
    ],
});

// By its address, as after a reload; a user who does not approve.
tours.add("invoice_run_review_address", {
    steps: () => [
        countRows(3),
        {
            content: "Nothing to tick, nothing to approve",
            trigger: `body:has(.o_invoice_run_review_table tfoot):not(:has(.o_invoice_run_review_approve)) ${ROW} .o_check input:disabled`,
        },
    ],
});

// A month of thirty documents, five of them different: read these, tick what is unusual, approve.
// Two clicks are spent before: the app and its dashboard.
tours.add("invoice_run_month", {
    steps: () => {
        const steps = [
            {
                content: "One run waits: review it",
                trigger: ".o_invoice_run_today .o_finding[data-key='approve'] .o_open",
                run: "click",
            },
            countRows(30),
            pressFilter("changed"),
            countRows(5),
            ...["Month 1", "Month 2", "Month 3"].map((name) => ({
                content: `${name} says why`,
                trigger: `${getRow(`${name}`)} .o_why:contains('price +3.0 %')`,
            })),
            ...["Month 4", "Month 5"].map((name) => ({
                content: `${name} is unusual, and right`,
                trigger: `${getRow(name)}:has(.fa-flag) .o_check input:enabled`,
                run: "click",
            })),
            {
                content: "Nothing is left to check",
                trigger: "button[data-filter='flagged']:contains('0')",
            },
            {
                content: "Approve",
                trigger: ".o_invoice_run_review_approve:enabled",
                run: "click",
            },
            {
                content: "It is approved",
                trigger: ".o_invoice_run_review_state:contains('Approved')",
            },
        ];
        const clicks = 2 + steps.filter((step) => step.run === "click").length;
        const check = () => {
            if (clicks >= 15) {
                throw new Error(`${clicks} clicks to the approval of a month`);
            }
        };
        return [...steps, {content: `${clicks} clicks`, trigger: "body", run: check}];
    },
});

// On a phone each row is a small card: nothing of it lies outside.
tours.add("invoice_run_review_phone", {
    steps: () => [
        {
            content: "Nothing is cut",
            trigger: getRow("C large"),
            run: () => {
                const page = document.documentElement.clientWidth;
                for (const cell of document.querySelectorAll(`${ROW} > td, ${ROW} .o_exclude`)) {
                    const {right} = cell.getBoundingClientRect();
                    if (right > page) {
                        throw new Error(`${cell.className} ends at ${right} of ${page}`);
                    }
                }
            },
        },
    ],
});
