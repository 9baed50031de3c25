import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {formatMonetary} from "@web/views/fields/formatters";

/** An amount with its sign, also where it is a plus. */
export function formatDifference(amount, currencyId) {
    const text = formatMonetary(Math.abs(amount), {currencyId});
    const sign = amount < 0 ? "−" : "+";
    return amount ? `${sign}${text}` : text;
}

/** Why an invoice, or a line of it, is not what it was last time; the server says it in words. */
export class Reasons extends Component {
    static template = "invoice_run.Reasons";
    static props = {
        reasons: Array,
        currencyId: Number,
        more: {type: Number, optional: true},
        shown: {type: Number, optional: true},
    };
    static defaultProps = {more: 0, shown: 3};

    get shown() {
        return this.props.reasons.slice(0, this.props.shown);
    }

    get hidden() {
        return this.props.reasons.length - this.shown.length + this.props.more;
    }

    /** Of several reasons each has its amount; of one it is the difference. */
    get hasAmounts() {
        return this.props.reasons.length > 1 && this.props.shown > 1;
    }

    get title() {
        const {reasons, currencyId} = this.props;
        return reasons
            .map(({text, amount}) => `${text}: ${formatDifference(amount, currencyId)}`)
            .join("\n");
    }

    get hiddenText() {
        return _t("%s more", this.hidden);
    }

    formatDifference(amount) {
        return formatDifference(amount, this.props.currencyId);
    }
}
