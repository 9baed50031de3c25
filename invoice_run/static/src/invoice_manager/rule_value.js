import {deserializeDate, serializeDate} from "@web/core/l10n/dates";
import {Component} from "@odoo/owl";
import {DateTimeInput} from "@web/core/datetime/datetime_input";
import {MultiRecordSelector} from "@web/core/record_selectors/multi_record_selector";
import {RecordSelector} from "@web/core/record_selectors/record_selector";

/** Asks for the value, or both values, of one rule with the widget of its kind. */
export class RuleValue extends Component {
    static template = "invoice_run.RuleValue";
    static components = {DateTimeInput, MultiRecordSelector, RecordSelector};
    static props = {rule: Object, onChange: Function, disabled: {type: Boolean, optional: true}};

    get names() {
        return this.props.rule.operator === "between" ? ["value", "value_to"] : ["value"];
    }

    get isSeveral() {
        return this.props.rule.operator === "in";
    }

    get inputType() {
        return this.props.rule.kind === "number" && !this.isSeveral ? "number" : "text";
    }

    getDate(name) {
        const value = this.props.rule[name];
        return value ? deserializeDate(value) : false;
    }

    setDate(name, date) {
        this.props.onChange({[name]: date ? serializeDate(date) : false});
    }

    setText(name, text) {
        this.props.onChange({[name]: text.trim() || false});
    }

    setIds(ids) {
        this.props.onChange({ids, value: ids.length ? ids.join(",") : false});
    }

    isChosen(key) {
        return (this.props.rule.value || "").split(",").includes(key);
    }

    toggleChoice(key) {
        const keys = (this.props.rule.value || "").split(",").filter(Boolean);
        const others = keys.filter((other) => other !== key);
        this.setText("value", (this.isChosen(key) ? others : [...keys, key]).join(","));
    }
}
