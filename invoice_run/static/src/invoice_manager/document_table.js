import {deserializeDate, formatDate} from "@web/core/l10n/dates";
import {Component} from "@odoo/owl";
import {Reasons} from "../review/reasons";
import {_t} from "@web/core/l10n/translation";
import {formatCurrency} from "@web/core/currency";

const BADGES = {
    to_do: "text-bg-light border",
    waiting: "text-bg-warning",
    invoiced: "text-bg-success",
    nothing: "text-bg-secondary",
    failed: "text-bg-danger",
};
const SEND_BADGES = {
    pending: "text-bg-info",
    sent: "text-bg-success",
    printed: "text-bg-success",
    failed: "text-bg-danger",
    uncertain: "text-bg-danger",
};

/** One page of what was found. Selecting and sorting is the parent's. */
export class DocumentTable extends Component {
    static template = "invoice_run.DocumentTable";
    static components = {Reasons};
    static props = {
        rows: Array,
        sendActions: Array,
        query: Object,
        isSelected: Function,
        allSelected: Boolean,
        someSelected: Boolean,
        busy: Boolean,
        working: {type: [String, Boolean]},
        onToggle: Function,
        onToggleAll: Function,
        onSort: Function,
        onSendAction: Function,
        onOpen: Function,
    };

    getSelectLabel(row) {
        return _t("Select %s", row.customer);
    }

    getPdfLabel(row) {
        return _t("PDF of %s", row.move_name);
    }

    getPreviewLabel(row) {
        return _t("Preview of the invoice for %s", row.customer);
    }

    getSendLabel(row) {
        return _t("Billing action for %s", row.customer);
    }

    getBadge(row) {
        return this.isInProgress(row) ? "text-bg-info" : BADGES[row.status] || "text-bg-secondary";
    }

    /** Whether the invoice of this row is being made at this moment. */
    isInProgress(row) {
        return (
            this.props.working === "invoices" &&
            row.status === "to_do" &&
            this.props.isSelected(row.id)
        );
    }

    getSendBadge(row) {
        return SEND_BADGES[row.send_state] || "text-bg-light border";
    }

    getPeriod(row) {
        const days = [row.date_from, row.date_to].filter(Boolean);
        return [...new Set(days.map((day) => formatDate(deserializeDate(day))))].join(" – ");
    }

    formatCurrency(amount, currencyId) {
        return formatCurrency(amount, currencyId);
    }

    getSortIcon(order) {
        if (this.props.query.order !== order) {
            return "";
        }
        return this.props.query.desc ? "fa fa-angle-down" : "fa fa-angle-up";
    }

    canChangeSending(row) {
        return !this.props.busy && !["sent", "printed"].includes(row.send_state);
    }
}
