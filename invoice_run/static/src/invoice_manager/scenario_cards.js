import {deserializeDate, formatDate} from "@web/core/l10n/dates";
import {Component} from "@odoo/owl";
import {formatCurrency} from "@web/core/currency";

/** Step one: which scenario, or which run to go on with. */
export class ScenarioCards extends Component {
    static template = "invoice_run.ScenarioCards";
    static props = {
        scenarios: Array,
        runs: Array,
        selected: String,
        chosen: {type: [Number, Boolean]},
        onChoose: Function,
        onNext: Function,
        onResume: Function,
        onDiscard: Function,
        onForgetSelected: Function,
        onConfigure: {type: Function, optional: true},
    };

    formatDate(value) {
        return value ? formatDate(deserializeDate(value)) : "";
    }

    formatCurrency(amount, currencyId) {
        return formatCurrency(amount, currencyId);
    }
}
