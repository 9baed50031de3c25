import {Component, onWillStart, onWillUnmount, useRef, useState} from "@odoo/owl";
import {
    deserializeDate,
    deserializeDateTime,
    formatDate,
    formatDateTime,
    serializeDate,
} from "@web/core/l10n/dates";
import {useService} from "@web/core/utils/hooks";
import {ConfirmationDialog} from "@web/core/confirmation_dialog/confirmation_dialog";
import {DateTimeInput} from "@web/core/datetime/datetime_input";
import {DocumentTable} from "./document_table";
import {Layout} from "@web/search/layout";
import {Pager} from "@web/core/pager/pager";
import {Readiness} from "../readiness/readiness";
import {RuleValue} from "./rule_value";
import {ScenarioCards} from "./scenario_cards";
import {Selection} from "./selection";
import {SendQuestion} from "./send_question";
import {_t} from "@web/core/l10n/translation";
import {formatCurrency} from "@web/core/currency";
import {registry} from "@web/core/registry";
import {standardActionServiceProps} from "@web/webclient/actions/action_service";
import {useDebounced} from "@web/core/utils/timing";
import {useSetupAction} from "@web/search/action_hook";

const MODEL = "invoice.manager";
const PAGE_SIZE = 40;
/** What must be corrected, what waits, what is only said. */
const EXCEPTION_BADGES = {
    failed: "text-bg-danger",
    held: "text-bg-warning",
    note: "text-bg-info",
};
/** While nothing changes here, look again after so many milliseconds, or when the bus says so. */
const LOOK_AGAIN = 4000;

/**
 * The one stop from which a person processes invoices: choose a scenario, fetch, select, process.
 * All work is the server's: see the model of the same name.
 */
export class InvoiceManager extends Component {
    static template = "invoice_run.InvoiceManager";
    static components = {
        DateTimeInput,
        DocumentTable,
        Layout,
        Pager,
        Readiness,
        RuleValue,
        ScenarioCards,
    };
    static props = {...standardActionServiceProps};
    static displayName = _t("Invoice Manager");

    getExceptionBadge({kind}) {
        return `o_${kind} ${EXCEPTION_BADGES[kind]}`;
    }

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.dialog = useService("dialog");
        this.notification = useService("notification");
        this.state = useState({
            step: 1,
            scenarios: [],
            runs: [],
            selected: "",
            chosen: false,
            choices: false,
            run: false,
            showTarget: false,
            showChoices: false,
            sendActions: [],
            query: {filter: "", search: "", order: "sequence", desc: false},
            offset: 0,
            rows: [],
            total: 0,
            totals: {count: 0, open: 0, currencies: []},
            exceptions: false,
            busy: false,
        });
        this.page = useRef("page");
        this.selection = new Selection(this.state);
        this.search = useDebounced((text) => this.setQuery({search: text}), 300);
        this.listen();
        useSetupAction({getLocalState: () => this.getLocalState()});
        onWillStart(() => this.start());
    }

    /** Look at the run at once when the server says that something changed. */
    listen() {
        const bus = useService("bus_service");
        const onProgress = ({run_id}) => run_id === this.state.run.id && this.wake?.();
        bus.subscribe("invoice_run.progress", onProgress);
        onWillUnmount(() => {
            this.isGone = true;
            bus.unsubscribe("invoice_run.progress", onProgress);
            this.wake?.();
        });
    }

    getLocalState() {
        const {step, chosen, query, offset} = this.state;
        return {id: this.id, step, chosen, query, offset, selection: this.selection.value};
    }

    get display() {
        return {controlPanel: {}};
    }

    get run() {
        return this.state.run;
    }

    // ------------------------------------------------------------------
    // Start
    // ------------------------------------------------------------------

    async start() {
        const kept = this.props.state;
        this.state.sendActions = await this.orm.call(MODEL, "get_send_actions", [[]]);
        if (kept?.id && (await this.restore(kept))) {
            return;
        }
        const {options = {}} = this.props.action.params || {};
        if (this.props.resId && !options.run_id) {
            options.run_id = this.props.resId;
        }
        await this.open(options);
    }

    /** Show what was left, for example for an invoice; false when the server forgot it. */
    async restore(kept) {
        const found = await this.orm.search(MODEL, [["id", "=", kept.id]]);
        if (!found.length) {
            return false;
        }
        this.id = kept.id;
        this.apply({...(await this.call("get_cards")), ...(await this.call("get_state"))});
        Object.assign(this.state, {
            chosen: kept.chosen,
            query: kept.query,
            offset: kept.offset,
            step: kept.step,
        });
        this.selection.value = kept.selection;
        await this.showRows();
        return true;
    }

    async open(options) {
        const {id, ...data} = await this.orm.call(MODEL, "action_start", [options]);
        this.id = id;
        this.isOutdated = false;
        this.apply(data);
        const [only] = this.state.scenarios;
        this.state.chosen =
            data.choices?.scenario?.id || (this.state.scenarios.length === 1 && only.id);
        if (data.choices) {
            await this.enterStepTwo();
        }
    }

    call(method, ...args) {
        return this.orm.call(MODEL, method, [[this.id], ...args]);
    }

    apply(data) {
        Object.assign(this.state, data);
        if ("run" in data) {
            this.props.updateActionState?.({resId: data.run ? data.run.id : false});
        }
    }

    /** Show what became of the run; values that were typed since it was fetched stay. */
    applyRun({run}) {
        this.apply({run: run && {...run, is_fetched: run.is_fetched && !this.isOutdated}});
    }

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

    confirm(title, body, confirmLabel, work) {
        this.dialog.add(ConfirmationDialog, {
            title,
            body,
            confirmLabel,
            confirm: () => this.press(work),
            cancel: () => {},
        });
    }

    // ------------------------------------------------------------------
    // Step one
    // ------------------------------------------------------------------

    choose(id) {
        this.state.chosen = id;
    }

    next() {
        return this.press(async () => {
            const isSame = this.state.choices?.scenario?.id === this.state.chosen;
            const data = await this.call("action_choose", this.state.chosen);
            if (isSame && this.isOutdated) {
                this.applyRun(data);
            } else {
                this.isOutdated = false;
                this.apply(data);
            }
            await this.enterStepTwo();
        });
    }

    /** Change to the other step; a long page begins at its top. */
    showStep(step) {
        this.state.step = step;
        this.page.el?.scrollIntoView();
    }

    async enterStepTwo() {
        const {invoice_date, target_date} = this.state.choices;
        this.state.showTarget = Boolean(target_date) && target_date !== invoice_date;
        this.showStep(2);
        this.state.offset = 0;
        this.state.showChoices = false;
        this.selection.selectAll();
        await this.showRows();
    }

    async showRows() {
        if (this.state.step === 2 && this.run) {
            await this.loadRows();
            await this.loadExceptions();
            this.watch();
        }
    }

    resume(runId) {
        return this.press(() => this.open({run_id: runId}));
    }

    forgetSelected() {
        return this.press(async () => this.apply(await this.call("action_forget_selected")));
    }

    discard(run) {
        this.confirm(
            _t("Discard %s?", run.reference),
            _t("None of it has been invoiced. What it claims becomes billable again."),
            _t("Discard"),
            async () => this.apply(await this.call("action_discard", run.id))
        );
    }

    back() {
        return this.press(async () => {
            this.apply(await this.call("get_cards"));
            this.showStep(1);
        });
    }

    // ------------------------------------------------------------------
    // Step two: what to fetch
    // ------------------------------------------------------------------

    /** On a phone what was found comes first; how it was chosen opens on demand. */
    get isCompact() {
        const {showChoices, run} = this.state;
        return Boolean(this.env.isSmall && run && run.is_fetched && !showChoices);
    }

    get invoiceDate() {
        const day = this.state.choices.invoice_date;
        return day ? deserializeDate(day) : false;
    }

    get targetDate() {
        const day = this.state.choices.target_date;
        return day ? deserializeDate(day) : this.invoiceDate;
    }

    setDate(name, date) {
        this.state.choices[name] = date ? serializeDate(date) : false;
        this.outdate();
    }

    setRule(rule, values) {
        Object.assign(rule, values);
        this.outdate();
    }

    /** What is shown is not what the values above ask for any more. */
    outdate() {
        this.isOutdated = true;
        if (this.run) {
            this.run.is_fetched = false;
        }
    }

    setInvoiceState(invoiceState) {
        return this.press(async () => {
            const data = await this.call("action_set_invoice_state", invoiceState);
            this.state.choices.invoice_state = data.choices.invoice_state;
            this.applyRun(data);
        });
    }

    toggleTarget() {
        this.state.showTarget = !this.state.showTarget;
        if (!this.state.showTarget) {
            this.setDate("target_date", false);
        }
    }

    getChosenValues() {
        const {invoice_date, target_date, rules} = this.state.choices;
        const values = rules.map((rule) => [rule.id, [rule.value, rule.value_to]]);
        return {
            invoice_date,
            target_date: this.state.showTarget ? target_date : false,
            rule_values: Object.fromEntries(values),
        };
    }

    fetch() {
        if (this.run && this.run.invoices) {
            this.confirm(
                _t("Fetch again?"),
                _t(
                    "Existing invoices stay. What has not been processed is released and can be fetched again."
                ),
                _t("Fetch"),
                () => this.doFetch()
            );
            return;
        }
        return this.press(() => this.doFetch());
    }

    async doFetch() {
        this.apply(await this.call("action_fetch", this.getChosenValues()));
        this.isOutdated = false;
        this.state.offset = 0;
        this.state.showChoices = false;
        this.state.query = {filter: "", search: "", order: "sequence", desc: false};
        this.selection.selectAll();
        await this.showRows();
    }

    // ------------------------------------------------------------------
    // Rows
    // ------------------------------------------------------------------

    /**
     * @param {Boolean} isTurning whether only another part of the same rows is shown: what is
     * approved is what was there when they came
     */
    async loadRows(isTurning = false) {
        const {query, offset} = this.state;
        const [{rows, total, fingerprint}, totals] = await Promise.all([
            this.call("get_rows", query, offset, PAGE_SIZE),
            this.call("get_totals", this.selection.value),
        ]);
        Object.assign(this.state, {rows, total, totals});
        if (!isTurning) {
            this.fingerprint = fingerprint;
        }
    }

    async loadExceptions() {
        this.state.exceptions = this.run.exceptions ? await this.call("get_exceptions") : [];
    }

    async loadTotals() {
        this.state.totals = await this.call("get_totals", this.selection.value);
    }

    async setQuery(changes) {
        Object.assign(this.state.query, changes);
        this.state.offset = 0;
        await this.loadRows(true);
    }

    sort(order) {
        const {query} = this.state;
        return this.setQuery({order, desc: query.order === order && !query.desc});
    }

    get pager() {
        return {
            offset: this.state.offset,
            limit: PAGE_SIZE,
            total: this.state.total,
            isEditable: false,
            onUpdate: async ({offset}) => {
                this.state.offset = offset;
                await this.loadRows(true);
            },
        };
    }

    get hasPages() {
        return this.state.total > PAGE_SIZE;
    }

    get isSearching() {
        return Boolean(this.state.query.filter || this.state.query.search);
    }

    toggle(id) {
        this.selection.toggle(id);
        return this.loadTotals();
    }

    async toggleAll() {
        if (!this.isSearching) {
            this.selection.toggleAll();
        } else if (this.areShownSelected) {
            this.selection.remove(await this.call("get_ids", this.state.query));
        } else {
            this.selection.add(await this.call("get_ids", this.state.query));
        }
        await this.loadTotals();
    }

    get areShownSelected() {
        const {rows} = this.state;
        return rows.length > 0 && rows.every((row) => this.selection.has(row.id));
    }

    setSendAction(selection, sendAction) {
        return this.press(async () => {
            await this.call("action_set_send", selection, sendAction);
            await this.lookAgain();
        });
    }

    setRowSendAction(id, sendAction) {
        return this.setSendAction({all: false, ids: [id]}, sendAction);
    }

    openRecord(model, id) {
        return this.action.doAction({
            type: "ir.actions.act_window",
            res_model: model,
            res_id: id,
            views: [[false, "form"]],
        });
    }

    release(exception) {
        return this.press(async () => {
            this.applyRun(await this.call("action_release", exception.id));
            this.outdate();
            await this.loadExceptions();
        });
    }

    // ------------------------------------------------------------------
    // Process
    // ------------------------------------------------------------------

    get isWorking() {
        return Boolean(this.run && this.run.job !== "none");
    }

    get isFetching() {
        return this.isWorking && ["amounts", "renew"].includes(this.run.job);
    }

    get isWaitingForReviewer() {
        return Boolean(this.run && this.run.approval.needed && this.run.approval.asked);
    }

    get canProcess() {
        return (
            this.run &&
            this.run.is_fetched &&
            !this.isWorking &&
            !this.isWaitingForReviewer &&
            this.state.totals.open > 0
        );
    }

    get isDone() {
        return this.run && !this.isWorking && this.run.invoices > 0 && !this.run.to_do;
    }

    get progress() {
        return this.run.progress;
    }

    get percentage() {
        const {done, total} = this.progress;
        return total ? Math.round((100 * done) / total) : 0;
    }

    process() {
        const {approval} = this.run;
        if (approval.needed && !approval.reviewer) {
            return this.askWhom();
        }
        if (approval.needed) {
            return this.act("action_process", this.fingerprint);
        }
        return this.askBefore(_t("Process"), () => this.act("action_process", this.fingerprint));
    }

    /** Somebody has to approve, and nobody said who. */
    askWhom() {
        return this.press(async () => {
            const action = await this.orm.call("invoice.run", "action_ask_reviewer", [
                [this.run.id],
            ]);
            await this.action.doAction(action, {
                onClose: async () => this.applyRun(await this.call("get_state")),
            });
        });
    }

    send() {
        return this.askBefore(_t("Send"), () => this.act("action_send"));
    }

    /** Ask first where selected invoices are about to leave and something is missing. */
    async askBefore(confirmLabel, onConfirm) {
        const ask = () => this.call("get_send_question", this.selection.value);
        const readiness = await ask();
        if (!readiness) {
            return onConfirm();
        }
        const onChange = async () => {
            await this.lookAgain();
            return ask();
        };
        this.dialog.add(SendQuestion, {readiness, confirmLabel, onConfirm, onChange});
    }

    /** Show what the run and its rows are now. */
    async lookAgain() {
        this.applyRun(await this.call("get_state"));
        await this.loadRows();
    }

    act(method, ...values) {
        return this.press(async () => {
            this.applyRun(await this.call(method, this.selection.value, ...values));
            await this.loadRows();
            this.watch();
        });
    }

    confirmDrafts() {
        return this.press(async () => {
            this.applyRun(await this.call("action_confirm"));
            this.watch();
        });
    }

    renew() {
        return this.press(async () => {
            this.applyRun(await this.call("action_renew"));
            this.watch();
        });
    }

    print() {
        return this.press(async () => {
            const action = await this.call("action_print");
            if (action) {
                await this.action.doAction(action);
            }
            await this.lookAgain();
            this.watch();
        });
    }

    finish() {
        const {reference, to_do, invoices} = this.run;
        this.confirm(
            _t("Finish %s?", reference),
            invoices
                ? _t("%s rows are not processed: their periods become billable again.", to_do)
                : _t("None of it has been invoiced. What it claims becomes billable again."),
            _t("Finish"),
            () => this.close()
        );
    }

    async close() {
        this.apply({...(await this.call("action_finish")), run: false});
        this.showStep(1);
    }

    /** Leave a run that is done, and begin anew. */
    restart() {
        return this.press(() => this.open({}).then(() => this.showStep(1)));
    }

    /**
     * Follow the work on the run until it is done: a small one is carried out by these calls,
     * a large one by the server in the background.
     */
    async watch() {
        if (this.isWatching) {
            return;
        }
        this.isWatching = true;
        try {
            while (this.isWorking && !this.isGone) {
                await this.look();
            }
        } finally {
            this.isWatching = false;
        }
    }

    async look() {
        const before = JSON.stringify(this.run);
        this.applyRun(await this.call("action_work"));
        const {run} = this;
        const changed = JSON.stringify(run) !== before;
        if (!run || this.isGone) {
            return;
        }
        if (changed) {
            await this.loadRows();
        }
        if (run.job === "none") {
            await this.loadExceptions();
        } else if (!changed) {
            await this.sleep();
        }
    }

    sleep() {
        return new Promise((resolve) => {
            const timer = setTimeout(resolve, LOOK_AGAIN);
            this.wake = () => {
                clearTimeout(timer);
                resolve();
            };
        });
    }

    // ------------------------------------------------------------------
    // Formats
    // ------------------------------------------------------------------

    formatDate(value) {
        return value ? formatDate(deserializeDate(value)) : "";
    }

    formatDateTime(value) {
        return formatDateTime(deserializeDateTime(value));
    }

    formatCurrency(amount, currencyId) {
        return formatCurrency(amount, currencyId);
    }
}

registry.category("actions").add("invoice_run.manager", InvoiceManager);
