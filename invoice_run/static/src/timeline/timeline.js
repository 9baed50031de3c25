import {Component, onWillStart, useEffect, useState} from "@odoo/owl";
import {deserializeDate, serializeDate} from "@web/core/l10n/dates";
import {_t} from "@web/core/l10n/translation";
import {formatMonetary} from "@web/views/fields/formatters";
import {registry} from "@web/core/registry";
import {standardWidgetProps} from "@web/views/widgets/standard_widget_props";
import {useService} from "@web/core/utils/hooks";

const {DateTime} = luxon;

/** Months that are shown at once: this one, and how many before it. */
const MONTHS = 12;
const BEFORE = 5;

const LABELS = {
    invoiced: _t("Invoiced"),
    credited: _t("Credited"),
    run: _t("In a run"),
    open: _t("Open"),
    paused: _t("Paused"),
    future: _t("To come"),
    elsewhere: _t("Invoiced elsewhere"),
    none: "–",
};

/** What became of each month of a contract, a strip for each price line. */
export class ContractTimeline extends Component {
    static template = "invoice_run.ContractTimeline";
    static props = {...standardWidgetProps};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.state = useState({
            rows: [],
            first: DateTime.local().startOf("month").minus({months: BEFORE}),
        });
        onWillStart(() => this.load());
        // The form was saved, or shows another contract.
        let isFirst = true;
        useEffect(
            () => {
                if (!isFirst) {
                    this.load();
                }
                isFirst = false;
            },
            () => [this.props.record.resId, this.props.record.data.write_date?.ts]
        );
    }

    async load() {
        const {resId} = this.props.record;
        const {first} = this.state;
        const rows = resId
            ? await this.orm.call("billing.contract", "get_timeline", [
                  [resId],
                  serializeDate(first),
                  serializeDate(first.plus({months: MONTHS - 1})),
              ])
            : [];
        // A later question may have been answered first.
        if (resId === this.props.record.resId && first === this.state.first) {
            this.state.rows = rows;
        }
    }

    move(months) {
        this.state.first = this.state.first.plus({months});
        return this.load();
    }

    get range() {
        const last = this.state.first.plus({months: MONTHS - 1});
        return `${this.formatMonth(this.state.first)} – ${this.formatMonth(last)}`;
    }

    formatMonth(month) {
        return month.toLocaleString({month: "short", year: "numeric"});
    }

    getMonth(month) {
        return this.formatMonth(deserializeDate(month.month));
    }

    getState(month) {
        return LABELS[month.state];
    }

    getAmount(row, month) {
        const isNothing = ["none", "elsewhere"].includes(month.state);
        return isNothing ? "" : formatMonetary(month.amount, {currencyId: row.currency_id});
    }

    /** Invoices and runs of a month, each once, that can be opened. */
    getLinks(month) {
        const links = new Map();
        for (const part of month.parts) {
            if (part.move_id) {
                links.set(`move${part.move_id}`, {
                    model: "account.move",
                    id: part.move_id,
                    name: part.move_name,
                });
            }
            if (part.run_id) {
                links.set(`run${part.run_id}`, {
                    model: "invoice.run",
                    id: part.run_id,
                    name: part.run_name,
                });
            }
        }
        return [...links.values()];
    }

    getDescription(row, month) {
        const parts = [this.getState(month), this.getAmount(row, month)];
        const what = parts.filter(Boolean).join(", ");
        return `${row.name}, ${this.getMonth(month)}: ${what}`;
    }

    open(link) {
        return this.action.doAction({
            type: "ir.actions.act_window",
            res_model: link.model,
            res_id: link.id,
            views: [[false, "form"]],
        });
    }
}

registry.category("view_widgets").add("billing_contract_timeline", {
    component: ContractTimeline,
    fieldDependencies: [{name: "write_date", type: "datetime"}],
});
