import {Component} from "@odoo/owl";
import {ConfirmationDialog} from "@web/core/confirmation_dialog/confirmation_dialog";
import {Readiness} from "../readiness/readiness";
import {_t} from "@web/core/l10n/translation";
import {useService} from "@web/core/utils/hooks";

/** What is still to do before the first invoices, and sample data to try it with. */
export class FirstSteps extends Component {
    static template = "invoice_run.FirstSteps";
    static components = {Readiness};
    static props = {
        steps: Array,
        sample: Boolean,
        manager: Boolean,
        findings: Array,
        onChange: Function,
    };

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.dialog = useService("dialog");
    }

    async open(step) {
        const action = await this.orm.call("onboarding.onboarding.step", step.method, []);
        return this.action.doAction(action, {onClose: this.props.onChange});
    }

    setUp() {
        return this.action.doAction("invoice_run.billing_setup_action", {
            onClose: this.props.onChange,
        });
    }

    async loadSample() {
        return this.action.doAction(await this.orm.call("invoice.run.sample", "action_load", []));
    }

    removeSample() {
        this.dialog.add(ConfirmationDialog, {
            title: _t("Remove sample data"),
            body: _t(
                "The sample customers, contracts, usage, schedule, runs and draft invoices are deleted. Your own data is kept."
            ),
            confirmLabel: _t("Remove"),
            confirm: async () => {
                await this.orm.call("invoice.run.sample", "action_remove", []);
                await this.props.onChange();
            },
            cancel: () => {},
        });
    }

    async close() {
        await this.orm.call("invoice.run", "close_first_steps", []);
        await this.props.onChange();
    }
}
