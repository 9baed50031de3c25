import {SelectionField, selectionField} from "@web/views/fields/selection/selection_field";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";

const UNDECIDED = "is_send_unset";

/** How a document goes to the customer; "Not decided" as long as nobody has said so. */
export class SendActionField extends SelectionField {
    get isUndecided() {
        return this.props.record.data[UNDECIDED];
    }

    get string() {
        return this.isUndecided ? _t("Not decided") : super.string;
    }

    get value() {
        return this.isUndecided ? false : super.value;
    }

    /** Whatever is chosen is a decision, "Do not send" too, although it is what was stored. */
    onChange(value) {
        const changes = {[this.props.name]: value ?? false, [UNDECIDED]: false};
        this.props.record.update(changes, {save: this.props.autosave});
    }
}

registry.category("fields").add("invoice_run_send_action", {
    ...selectionField,
    component: SendActionField,
    supportedTypes: ["selection"],
    // only shown: the server writes it where the way of sending is written
    fieldDependencies: [{name: UNDECIDED, type: "boolean", readonly: true}],
    extractProps: (node, info) => ({
        ...selectionField.extractProps(node, info),
        placeholder: _t("Not decided"),
    }),
});
