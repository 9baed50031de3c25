import {FloatField, floatField} from "@web/views/fields/float/float_field";
import {MonetaryField, monetaryField} from "@web/views/fields/monetary/monetary_field";
import {registry} from "@web/core/registry";

/** A number whose zero means that there is none: nothing is shown, so nobody reads an amount. */
export class OptionalAmountField extends MonetaryField {
    get formattedValue() {
        return this.props.readonly && !this.value ? "" : super.formattedValue;
    }
}

export class OptionalNumberField extends FloatField {
    get formattedValue() {
        return this.props.readonly && !this.value ? "" : super.formattedValue;
    }
}

registry.category("fields").add("invoice_run_optional_amount", {
    ...monetaryField,
    component: OptionalAmountField,
});
registry.category("fields").add("invoice_run_optional_number", {
    ...floatField,
    component: OptionalNumberField,
});
