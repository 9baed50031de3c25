import {Component, useState} from "@odoo/owl";
import {Dialog} from "@web/core/dialog/dialog";
import {Readiness} from "../readiness/readiness";

/** Asks whether to go on although something is missing; what is settled here is gone at once. */
export class SendQuestion extends Component {
    static template = "invoice_run.SendQuestion";
    static components = {Dialog, Readiness};
    static props = {
        readiness: Object,
        confirmLabel: String,
        onChange: Function,
        onConfirm: Function,
        close: Function,
    };

    setup() {
        this.state = useState({readiness: this.props.readiness});
    }

    async reload() {
        this.state.readiness = await this.props.onChange();
    }

    confirm() {
        this.props.close();
        return this.props.onConfirm();
    }
}
