import {Component, onWillStart, useEffect, useRef, useState} from "@odoo/owl";
import {Reasons, formatDifference} from "./reasons";
import {deserializeDate, formatDate} from "@web/core/l10n/dates";
import {CheckBox} from "@web/core/checkbox/checkbox";
import {Layout} from "@web/search/layout";
import {Pager} from "@web/core/pager/pager";
import {_t} from "@web/core/l10n/translation";
import {formatMonetary} from "@web/views/fields/formatters";
import {registry} from "@web/core/registry";
import {standardActionServiceProps} from "@web/webclient/actions/action_service";
import {useDebounced} from "@web/core/utils/timing";
import {useService} from "@web/core/utils/hooks";
import {useSetupAction} from "@web/search/action_hook";

const RUN = "invoice.run";
const DOCUMENT = "invoice.run.document";
const PAGE_SIZE = 40;
/** Milliseconds without another change before the sums over all documents are read. */
const HEADER_DELAY = 800;
const BADGES = {
    invoiced: "text-bg-success",
    nothing: "text-bg-secondary",
    failed: "text-bg-danger",
    excluded: "text-bg-secondary",
    held: "text-bg-warning",
};

/**
 * The documents of a run against last time, and why each is different: read, tick, exclude,
 * approve. What the server returns is shown; every button is one of its public methods.
 */
export class RunReview extends Component {
    static template = "invoice_run.RunReview";
    static components = {CheckBox, Layout, Pager, Reasons};
    static props = {...standardActionServiceProps};
    static displayName = _t("Review");

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.table = useRef("table");
        this.state = useState({
            run: false,
            rows: [],
            total: 0,
            totals: [],
            counts: {},
            filters: [],
            search: "",
            offset: 0,
            current: 0,
            lines: {},
            busy: false,
            // Totals and fingerprint are those before the latest change.
            isHeaderOld: false,
        });
        this.loads = 0;
        this.renewHeader = useDebounced(() => this.startHeader(), HEADER_DELAY);
        this.search = useDebounced((search) => this.setQuery({search}), 300);
        useSetupAction({getLocalState: () => this.getLocalState()});
        onWillStart(() => this.start());
        useEffect(
            () => this.focusCurrent(),
            () => [this.state.rows, this.state.current]
        );
    }

    get display() {
        return {controlPanel: {}};
    }

    /** By the address, so that the page is found again after a reload and by the way back. */
    get runId() {
        return this.props.action.context.active_id;
    }

    get filters() {
        return [
            ["changed", _t("Only differences")],
            ["flagged", _t("To check")],
            ["failed", _t("Failed")],
            ["excluded", _t("Excluded")],
        ];
    }

    getLocalState() {
        const {filters, search, offset} = this.state;
        return {filters: [...filters], search, offset};
    }

    // ------------------------------------------------------------------
    // Reading
    // ------------------------------------------------------------------

    async start() {
        Object.assign(this.state, this.props.state);
        // The fingerprint reads every amount of the run: the first rows do not wait for it.
        this.state.isHeaderOld = true;
        await this.load(true);
        this.startHeader();
    }

    async startHeader() {
        await this.load();
        const {reference} = this.state.run;
        if (reference) {
            this.env.config.setDisplayName?.(_t("Review of %s", reference));
        }
    }

    /**
     * @param {Boolean} onlyRows whether only other rows of the same are shown: what is approved is
     * what was there when they came
     */
    async load(onlyRows = false) {
        const {offset, filters, search} = this.state;
        const number = ++this.loads;
        const {fingerprint, ...found} = await this.orm.call(RUN, "get_review", [[this.runId]], {
            offset,
            filters: [...filters],
            search,
            limit: PAGE_SIZE,
            only_rows: onlyRows,
        });
        if (number !== this.loads) {
            // Other rows were asked for meanwhile: fingerprint and rows come together once more.
            if (!onlyRows) {
                this.renewHeader();
            }
            return;
        }
        Object.assign(this.state, found);
        if (!onlyRows) {
            this.fingerprint = fingerprint;
            this.state.isHeaderOld = false;
        }
        if (!found.rows.length && offset) {
            // The last rows of the last page were excluded or checked.
            this.state.offset = Math.max(0, offset - PAGE_SIZE);
            await this.load(onlyRows);
        }
        this.state.current = Math.max(0, Math.min(this.state.current, found.rows.length - 1));
    }

    setQuery(changes) {
        Object.assign(this.state, {...changes, offset: 0, current: 0, lines: {}});
        return this.load(true);
    }

    toggleFilter(name) {
        const {filters} = this.state;
        return this.setQuery({
            filters: filters.includes(name)
                ? filters.filter((other) => other !== name)
                : [...filters, name],
        });
    }

    showAll() {
        return this.setQuery({filters: [], search: ""});
    }

    turnTo(offset, current = 0) {
        Object.assign(this.state, {offset, current, lines: {}});
        return this.load(true);
    }

    get pager() {
        return {
            offset: this.state.offset,
            limit: PAGE_SIZE,
            total: this.state.total,
            isEditable: false,
            onUpdate: ({offset}) => this.turnTo(offset),
        };
    }

    get hasPages() {
        return this.state.total > PAGE_SIZE;
    }

    // ------------------------------------------------------------------
    // Buttons
    // ------------------------------------------------------------------

    /** Carry out what a button asks for, one at a time; errors show and leave all as it is. */
    async press(work) {
        if (this.state.busy) {
            return;
        }
        this.state.busy = true;
        try {
            await work();
        } finally {
            this.state.busy = false;
        }
    }

    check(row) {
        if (!row.can_check) {
            return;
        }
        return this.press(async () => {
            await this.orm.call(DOCUMENT, "action_accept", [[row.id]]);
            this.state.counts.flagged -= row.flagged ? 1 : 0;
            // It changes nothing that an approval is about.
            await this.load(true);
        });
    }

    exclude(row) {
        return row.can_exclude && this.change("action_exclude", row);
    }

    include(row) {
        return row.can_include && this.change("action_include", row);
    }

    change(method, row) {
        return this.press(async () => {
            await this.orm.call(DOCUMENT, method, [[row.id]]);
            // Sums over all documents and the fingerprint come once, after the last of several
            // changes, together with the rows: nothing is approved that was not shown.
            this.state.isHeaderOld = true;
            await this.load(true);
            this.renewHeader();
        });
    }

    approve() {
        if (this.state.isHeaderOld) {
            return;
        }
        return this.press(async () => {
            await this.orm.call(RUN, "action_approve", [[this.runId], this.fingerprint]);
            await this.load();
        });
    }

    async toggleLines(row) {
        const {lines} = this.state;
        if (lines[row.id]) {
            delete lines[row.id];
        } else {
            lines[row.id] = await this.orm.call(DOCUMENT, "get_review_lines", [[row.id]]);
        }
    }

    openDocument(row) {
        return this.action.doAction({
            type: "ir.actions.act_window",
            res_model: DOCUMENT,
            res_id: row.id,
            views: [[false, "form"]],
        });
    }

    async openExceptions() {
        await this.action.doAction(
            await this.orm.call(RUN, "action_view_exceptions", [[this.runId]]),
            {additionalContext: {active_id: this.runId}}
        );
    }

    // ------------------------------------------------------------------
    // Keyboard
    // ------------------------------------------------------------------

    /** In buttons and boxes of a row, space and enter mean what they mean there. */
    onKeydown(ev) {
        const row = this.state.rows[this.state.current];
        const keys = {
            ArrowDown: () => this.move(1),
            ArrowUp: () => this.move(-1),
            x: () => this.exclude(row) || this.include(row),
        };
        if (ev.target.matches(".o_invoice_run_review_row")) {
            keys[" "] = () => this.check(row);
            keys.Enter = () => this.toggleLines(row);
        }
        const work = keys[ev.key] || keys[ev.key.toLowerCase()];
        const isPlain = !ev.altKey && !ev.ctrlKey && !ev.metaKey;
        if (work && isPlain && row) {
            ev.preventDefault();
            ev.stopPropagation();
            work();
        }
    }

    move(step) {
        const {current, rows, offset, total} = this.state;
        const next = current + step;
        if (next >= 0 && next < rows.length) {
            this.state.current = next;
        } else if (next >= rows.length && offset + rows.length < total) {
            return this.turnTo(offset + PAGE_SIZE);
        } else if (next < 0 && offset) {
            return this.turnTo(Math.max(0, offset - PAGE_SIZE), PAGE_SIZE - 1);
        }
    }

    /** The current row has the focus, unless somebody is typing or in a row already. */
    focusCurrent() {
        const active = document.activeElement;
        const isElsewhere = active?.matches("input[type='search'], .modal *, .o_dialog *");
        const row = this.table.el?.querySelector(".o_invoice_run_review_row[tabindex='0']");
        if (row && !isElsewhere && !row.contains(active)) {
            row.focus();
        }
    }

    // ------------------------------------------------------------------
    // Texts
    // ------------------------------------------------------------------

    getCheckLabel(row) {
        return _t("%s is checked", row.customer);
    }

    getLinesLabel(row) {
        return _t("Lines of %s", row.customer);
    }

    getBadge(row) {
        return BADGES[row.state] || "text-bg-secondary";
    }

    isOut(row) {
        return ["excluded", "held"].includes(row.state);
    }

    getPeriod({date_from, date_to}) {
        const days = [date_from, date_to].filter(Boolean);
        return [...new Set(days.map((day) => formatDate(deserializeDate(day))))].join(" – ");
    }

    formatAmount(amount, currencyId) {
        return formatMonetary(amount, {currencyId});
    }

    formatDifference(amount, currencyId) {
        return formatDifference(amount, currencyId);
    }
}

registry.category("actions").add("invoice_run.review", RunReview);
