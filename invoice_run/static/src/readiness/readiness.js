import {Component, useState} from "@odoo/owl";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";
import {useService} from "@web/core/utils/hooks";

/** What is missing before invoices are sent, each with the buttons that help. */
export class Readiness extends Component {
    static template = "invoice_run.Readiness";
    static props = {findings: Array, runIds: {type: Array, optional: true}, onChange: Function};

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.state = useState({busy: false});
    }

    async solve(name) {
        this.state.busy = true;
        try {
            const runIds = this.props.runIds || [];
            const action = await this.orm.call("invoice.run", "action_solve", [runIds, name]);
            if (action) {
                await this.action.doAction(action, {onClose: this.props.onChange});
            } else {
                await this.props.onChange();
            }
        } finally {
            this.state.busy = false;
        }
    }
}

/** The same in a form, where the record says what is missing. */
export class ReadinessField extends Component {
    static template = "invoice_run.ReadinessField";
    static components = {Readiness};
    static props = {...standardFieldProps};

    get value() {
        return this.props.record.data[this.props.name];
    }

    async reload() {
        const {record} = this.props;
        await record.save();
        await record.load();
    }
}

registry.category("fields").add("invoice_run_readiness", {
    component: ReadinessField,
    supportedTypes: ["json"],
});
