import {Component, onWillStart, useEffect, useRef, useState} from "@odoo/owl";
import {ConfirmationDialog} from "@web/core/confirmation_dialog/confirmation_dialog";
import {FirstSteps} from "./first_steps";
import {Layout} from "@web/search/layout";
import {_t} from "@web/core/l10n/translation";
import {cookie} from "@web/core/browser/cookie";
import {formatFloat} from "@web/core/utils/numbers";
import {getCustomColor} from "@web/core/colors/colors";
import {loadBundle} from "@web/core/assets";
import {registry} from "@web/core/registry";
import {standardActionServiceProps} from "@web/webclient/actions/action_service";
import {useService} from "@web/core/utils/hooks";

const {DateTime} = luxon;

/** What waits today, each with its list and its cure; next runs; amounts per month. */
export class InvoiceRunDashboard extends Component {
    static template = "invoice_run.Dashboard";
    static components = {FirstSteps, Layout};
    static props = {...standardActionServiceProps};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.dialog = useService("dialog");
        this.notification = useService("notification");
        this.canvas = useRef("canvas");
        this.state = useState({figures: null, forecast: [], firstSteps: null});
        onWillStart(() => Promise.all([this.load(), loadBundle("web.chartjs_lib")]));
        useEffect(
            () => this.drawChart(),
            () => [this.state.forecast, this.state.figures]
        );
    }

    async load() {
        [this.state.figures, this.state.firstSteps] = await Promise.all([
            this.orm.call("invoice.run", "get_dashboard", []),
            this.orm.call("invoice.run", "get_first_steps", []),
        ]);
        // The forecast reads every contract: the page does not wait for it.
        this.loadForecast();
    }

    get display() {
        return {controlPanel: {}};
    }

    get hasAmounts() {
        const {invoiced, planned} = this.state.figures;
        return [...invoiced, ...planned, ...(this.state.forecast || [])].some((amount) => amount);
    }

    async loadForecast() {
        this.state.forecast = await this.orm.call("invoice.run", "get_dashboard_forecast", []);
    }

    open(action) {
        return this.action.doAction(action);
    }

    async openFinding({key}) {
        return this.open(await this.orm.call("invoice.run", "action_view_finding", [key]));
    }

    solve(finding) {
        this.dialog.add(ConfirmationDialog, {
            title: finding.solve,
            body: _t("%(what)s: %(count)s. %(hint)s", {
                what: finding.label,
                count: finding.count,
                hint: finding.hint,
            }),
            confirmLabel: finding.solve,
            confirm: async () => {
                const done = await this.orm.call("invoice.run", "solve_finding", [finding.key]);
                this.notification.add(done, {type: "success"});
                await this.load();
            },
            cancel: () => {},
        });
    }

    openRun(id) {
        return this.action.doAction({
            type: "ir.actions.act_window",
            res_model: "invoice.run",
            res_id: id,
            views: [[false, "form"]],
        });
    }

    openForecast() {
        return this.action.doAction("invoice_run.billing_forecast_action");
    }

    openMonth(index) {
        return this.openMonthList("invoiced", index);
    }

    openPlanned(index) {
        return this.openMonthList("planned", index);
    }

    /** The server says the list and its address, by which Back and a reload find it again. */
    async openMonthList(kind, index) {
        const {month} = DateTime.fromISO(this.state.figures.days[index]);
        return this.open(await this.orm.call("invoice.run", "action_view_month", [kind, month]));
    }

    drawChart() {
        if (!this.canvas.el) {
            return;
        }
        const chart = new Chart(this.canvas.el, this.getChartConfig());
        return () => chart.destroy();
    }

    getChartConfig() {
        const {months, invoiced, planned, present, currency} = this.state.figures;
        const scheme = cookie.get("color_scheme");
        const text = getCustomColor(scheme, "#111827", "#E4E4E4");
        const before = Array(present).fill(null);
        return {
            type: "bar",
            data: {
                labels: months,
                datasets: [
                    {
                        label: _t("Invoiced"),
                        data: invoiced,
                        backgroundColor: getCustomColor(scheme, "#714B67", "#B58BA9"),
                        stack: "month",
                    },
                    {
                        label: _t("In runs, not invoiced yet"),
                        data: planned,
                        backgroundColor: getCustomColor(scheme, "#E2A03F", "#C08A16"),
                        stack: "month",
                    },
                    {
                        label: _t("Forecast"),
                        data: [...before, ...(this.state.forecast || [])],
                        backgroundColor: getCustomColor(scheme, "#A5D8D7", "#147875"),
                        stack: "month",
                    },
                ],
            },
            options: {
                maintainAspectRatio: false,
                animation: false,
                onClick: (_event, [bar]) => bar && this.openBar(bar),
                plugins: {
                    legend: {labels: {color: text}},
                    tooltip: {
                        callbacks: {
                            label: ({dataset, parsed}) =>
                                `${dataset.label}: ${formatFloat(parsed.y)} ${currency}`,
                        },
                    },
                },
                scales: {
                    x: {stacked: true, ticks: {color: text}, grid: {display: false}},
                    y: {stacked: true, beginAtZero: true, ticks: {color: text}},
                },
            },
        };
    }

    openBar({datasetIndex, index}) {
        const open = [this.openMonth, this.openPlanned, this.openForecast][datasetIndex];
        return open.call(this, index);
    }
}

registry.category("actions").add("invoice_run.dashboard", InvoiceRunDashboard);
