from odoo import models
from odoo.tools import format_date

from .invoice_run_explain_results import is_readable


class BillingScenario(models.Model):
    """What the selection of a scenario says about a record that it does not include."""

    _inherit = "billing.scenario"

    def _get_author_reason(self, writer):
        """Return that ``writer`` does not see the record, as (code, message)."""
        message = self.env._(
            "Scenario %(scenario)s is read with the rights of %(user)s, who may not see it. Have "
            "somebody who may see it take the scenario over.",
            scenario=self.display_name,
            user=writer.name,
        )
        return ("author", message)

    def _get_unmet_reason(self, run):
        """Return that the selection does not include the record, as (code, message)."""
        message = self.env._(
            "The selection of scenario %(scenario)s does not include it. Compare the conditions "
            "there with the record, or choose a run of another scenario.",
            scenario=self.display_name,
        )
        return ("selection", message)


class BillingScenarioRule(models.Model):
    """What a rule says about a record that it does not include."""

    _inherit = "billing.scenario.rule"

    def _get_author_reason(self, writer):
        # as with the scenario: both are taken over together
        return self.scenario_id._get_author_reason(writer)

    def _get_unmet_reason(self, run):
        """Return that the record is not what this rule asks for, as (code, message)."""
        answers = (run.rule_values or {}).get(str(self.id)) if self.is_asked else None
        values = filter(None, answers or [self.value, self.value_to])
        operators = dict(self._fields["operator"]._description_selection(self.env))
        message = self.env._(
            "Rule “%(rule)s” of the scenario does not include it: %(field)s %(operator)s "
            "%(value)s. Correct the record, or choose a run with another answer.",
            rule=self.name,
            field=self._get_field()._description_string(self.env),
            operator=operators[self.operator],
            value=" – ".join(map(self._get_shown_value, values)),
        )
        return ("rule", message)

    def _get_shown_value(self, text):
        """Return the value ``text`` of this rule as people read it."""
        texts = text.split(",") if self.operator == "in" else [text]
        return ", ".join(self._get_shown_text(part.strip()) for part in texts)

    def _get_shown_text(self, text):
        kind = self._get_kind()
        if kind == "date":
            return format_date(self.env, self._parse_value(text))
        if kind == "selection":
            return {str(key): label for key, label in self._get_selection()}.get(text, text)
        if kind == "many2one" and text.isdecimal():
            record = self.env[self._get_field().comodel_name].browse(int(text)).exists()
            return record.display_name if is_readable(record) else text
        return text


class InvoiceRunSource(models.AbstractModel):
    """What a source tells about a record that a run does not invoice."""

    _inherit = "invoice.run.source"

    def _is_of_source(self, scenario):
        """Whether ``scenario`` invoices records like this one at all."""
        self.ensure_one()
        return scenario.source_model == self._name

    def _get_source_message(self, run):
        models_by_source = self._get_source_models()
        labels = dict(run.scenario_id._fields["source"]._description_selection(self.env))
        own = [labels[key] for key, name in models_by_source.items() if name == self._name]
        return self.env._(
            "Scenario %(scenario)s invoices something else: %(what)s. Choose a run whose "
            "scenario invoices: %(own)s.",
            scenario=run.scenario_id.display_name,
            what=labels[run.scenario_id.source],
            own=", ".join(own),
        )

    def _get_explained_payers(self):
        """Return the customers whose amounts hold this record."""
        return self.mapped(self._get_payer_field())

    def _get_asked_conditions(self, run):
        """Yield (code, record, domain): what ``run`` asks, of this record or another one."""
        for code, domain in self._get_run_conditions(run).items():
            yield code, self, domain

    def _get_block_reasons(self, run):
        """Return what blocks this record, whether or not the run selects it."""
        return self._add_advice(self._get_partner_errors(self.partner_id, run.company_id))

    def _add_advice(self, reasons):
        exceptions = self.env["invoice.run.exception"]
        return [(code, exceptions._add_advice(code, message)) for code, message in reasons]

    def _get_claim_codes(self):
        """Return the conditions that a record fails once somebody invoices it."""
        return set()

    def _is_billed_once(self):
        """Whether an invoice of this record leaves nothing for later runs."""
        return False

    def _get_explained_cluster(self):
        """Return the business unit that decides whether a run takes this record, if any."""
        return self.env["billing.cluster"]

    def _get_condition_message(self, run, code):
        """Return what to do about a condition that this record does not meet."""
        messages = self._get_condition_messages(run)
        return messages.get(code) or messages["selected"]

    def _get_condition_messages(self, run):
        """Return {code: what to do} for the conditions of :meth:`_get_run_conditions`.

        A condition without one is explained by that of "selected".
        """
        return {
            "cluster": self._get_cluster_message(run),
            "customers": self.env._(
                "The run invoices chosen customers only, and this one is not among them. Choose "
                "another run, or create one for this customer."
            ),
            "records": self.env._(
                "The run invoices what was chosen by hand, and this was not. Choose another run, "
                "or create one for it."
            ),
            "skipped": self._get_skipped_message(run),
            "selected": self.env._(
                "The run does not select it, or nothing of it is due. Compare it with the scenario "
                "and the dates of the run."
            ),
        }

    def _get_cluster_message(self, run):
        clusters = run.cluster_ids or run.scenario_id.cluster_ids
        readable = clusters.filtered(is_readable)
        names = ", ".join(readable.mapped("display_name")) or self.env._("others")
        own = self._get_explained_cluster()
        if not own:
            return self.env._(
                "The run invoices these clusters only: %(clusters)s. This one has no cluster. "
                "Fill it in, or choose another run.",
                clusters=names,
            )
        return self.env._(
            "The run invoices these clusters only: %(clusters)s. This one belongs to %(own)s. "
            "Choose a run of that cluster, or correct the cluster.",
            clusters=names,
            own=own.display_name,
        )

    def _get_skipped_message(self, run):
        return self.env._(
            "The run leaves out what is before %(date)s, as asked for. Choose a run that does not, "
            "or wait for the next one.",
            date=run._format_day(run.skip_before) if run.skip_before else "",
        )

    def _get_later_message(self, run, day):
        return self.env._(
            "It is due from %(day)s on, and the run invoices up to %(target)s. Choose a run with "
            "a later target date.",
            day=run._format_day(day),
            target=run._format_day(run.target_date),
        )


class BillingContract(models.Model):
    """What is told about a contract that a run does not invoice."""

    _inherit = "billing.contract"

    def _get_claim_codes(self):
        # EXTENDS 'invoice.run.source'
        return {"dates"}

    def _get_explained_payers(self):
        # usage may be paid by others
        items = self.usage_ids.filtered(lambda item: item.state == "open")
        return super()._get_explained_payers() | items.commercial_partner_id

    def _get_explained_cluster(self):
        # EXTENDS 'invoice.run.source'
        return self.cluster_id

    def _get_block_reasons(self, run):
        if self.billing_hold:
            return self._add_advice(self._get_run_errors(run, {}))
        return super()._get_block_reasons(run)

    def _get_condition_messages(self, run):
        return {
            **super()._get_condition_messages(run),
            "state": self._get_state_message(),
            "checked_in": self.env._(
                "The scenario invoices contracts of customers who have checked in and not out, "
                "and this one has not. Fill in the day of check-in, or choose another run."
            ),
            "dates": self._get_dates_message(run),
        }

    def _get_state_message(self):
        if self.state == "draft":
            return self.env._("The contract is a draft. Activate it.")
        return self.env._(
            "The contract is cancelled, so it is never invoiced. To invoice it, put it back to "
            "draft and activate it."
        )

    def _get_dates_message(self, run):
        if not self.line_ids:
            return self.env._("The contract has no price line. Add one.")
        own_date = run.scenario_id.billing_mode == "contract"
        days = self.line_ids.filtered("next_period_from").mapped("next_period_from")
        due = self.next_invoicing_date if own_date else min(days, default=False)
        if due and due > run.target_date:
            return self._get_later_message(run, due)
        return self.env._(
            "Nothing of the contract is left to invoice. If it goes on, give it a later end or "
            "add a price line."
        )


class BillingUsage(models.Model):
    """What is told about a usage item that a run does not invoice."""

    _inherit = "billing.usage"

    def _get_claim_codes(self):
        # EXTENDS 'invoice.run.source'
        return {"state"}

    def _is_billed_once(self):
        # EXTENDS 'invoice.run.source'
        return True

    def _get_explained_cluster(self):
        # EXTENDS 'invoice.run.source'
        return self.cluster_id

    def _is_of_source(self, scenario):
        # contracts are invoiced with the usage that belongs to them
        with_contract = self.contract_id and scenario.source_model == self.contract_id._name
        return bool(with_contract) or super()._is_of_source(scenario)

    def _get_asked_conditions(self, run):
        if run.scenario_id.source_model == self._name:
            yield from super()._get_asked_conditions(run)
            return
        for code, domain in self._get_open_conditions(run).items():
            yield code, self, domain
        contract = self.contract_id
        for code, domain in contract._get_scope_conditions(run).items():
            yield code, contract, domain
            if code == "customers":
                # the contract of a chosen customer may have usage that another one pays
                yield code, self, domain

    def _get_block_reasons(self, run):
        contract = self.contract_id
        if contract.billing_hold:
            return contract._get_block_reasons(run)
        state = self._get_contract_state_errors()
        return [*state, *super()._get_block_reasons(run)]

    def _get_condition_messages(self, run):
        labels = dict(self._fields["state"]._description_selection(self.env))
        return {
            **super()._get_condition_messages(run),
            "state": self.env._(
                "The item is not open any more: %(state)s. Look at its amounts to see who "
                "invoices it.",
                state=labels[self.state],
            ),
            "dates": self._get_later_message(run, self.date),
            "metered": self._get_metered_message(),
        }

    def _get_metered_message(self):
        line = self.contract_line_id
        return self.env._(
            "It is invoiced with price line “%(line)s” of contract %(contract)s, together with all "
            "usage of the billing period, by a run of contracts after the period is over.",
            line=line.name,
            contract=line.contract_id.name,
        )
