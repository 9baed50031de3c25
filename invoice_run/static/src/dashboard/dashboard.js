import {Component, onWillStart, useEffect, useRef, useState} from "@odoo/owl";
import {Layout} from "@web/search/layout";
import {_t} from "@web/core/l10n/translation";
import {cookie} from "@web/core/browser/cookie";
import {formatFloat} from "@web/core/utils/numbers";
import {getCustomColor} from "@web/core/colors/colors";
import {loadBundle} from "@web/core/assets";
import {registry} from "@web/core/registry";
import {serializeDate} from "@web/core/l10n/dates";
import {standardActionServiceProps} from "@web/webclient/actions/action_service";
import {useService} from "@web/core/utils/hooks";

const {DateTime} = luxon;

/** What is due, waiting, failed and sent; every figure opens its list. */
export class InvoiceRunDashboard extends Component {
    static template = "invoice_run.Dashboard";
    static components = {Layout};
    static props = {...standardActionServiceProps};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.canvas = useRef("canvas");
        this.state = useState({figures: null, forecast: []});
        onWillStart(async () => {
            const [figures] = await Promise.all([
                this.orm.call("invoice.run", "get_dashboard", []),
                loadBundle("web.chartjs_lib"),
            ]);
            this.state.figures = figures;
            // The forecast reads every contract: the page does not wait for it.
            this.loadForecast();
        });
        useEffect(
            () => this.drawChart(),
            () => [this.state.forecast]
        );
    }

    get display() {
        return {controlPanel: {}};
    }

    get hasAmounts() {
        const {invoiced} = this.state.figures;
        return [...invoiced, ...(this.state.forecast || [])].some((amount) => amount);
    }

    async loadForecast() {
        this.state.forecast = await this.orm.call("invoice.run", "get_dashboard_forecast", []);
    }

    open(action) {
        return this.action.doAction(action);
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
        const first = DateTime.fromISO(this.state.figures.days[index]);
        return this.action.doAction({
            type: "ir.actions.act_window",
            name: this.state.figures.months[index],
            res_model: "account.move",
            views: [
                [false, "list"],
                [false, "form"],
            ],
            domain: [
                ["invoice_run_id", "!=", false],
                ["state", "=", "posted"],
                ["invoice_date", ">=", serializeDate(first)],
                ["invoice_date", "<=", serializeDate(first.endOf("month"))],
            ],
        });
    }

    drawChart() {
        if (!this.canvas.el) {
            return;
        }
        const chart = new Chart(this.canvas.el, this.getChartConfig());
        return () => chart.destroy();
    }

    getChartConfig() {
        const {months, invoiced, present, currency} = this.state.figures;
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
        return datasetIndex ? this.openForecast() : this.openMonth(index);
    }
}

registry.category("actions").add("invoice_run.dashboard", InvoiceRunDashboard);
