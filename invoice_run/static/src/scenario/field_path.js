import {
    FieldSelectorField,
    fieldSelectorField,
} from "@web/views/fields/field_selector/field_selector_field";
import {registry} from "@web/core/registry";

/** Shows the way to a field by the labels of its fields, also where it is only read. */
export class FieldPathField extends FieldSelectorField {
    static template = "invoice_run.FieldPathField";
}

registry.category("fields").add("billing_field_path", {
    ...fieldSelectorField,
    component: FieldPathField,
});
