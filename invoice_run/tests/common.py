from odoo import fields
from odoo.fields import Command
from odoo.tests import new_test_user

from .kept import KeptCommon


class InvoiceRunCommon(KeptCommon):
    """Partners, products and users of the real roles; helpers that create contracts and runs."""

    @classmethod
    def _make_records(cls):
        cls.company = cls.company_data["company"]
        cls.company.partner_id.tz = "Europe/Brussels"
        cls.user = cls._make_user("run_user", "invoice_run.invoice_run_group_user")
        cls.reviewer = cls._make_user("run_reviewer", "invoice_run.invoice_run_group_reviewer")
        cls.manager = cls._make_user("run_manager", "invoice_run.invoice_run_group_manager")
        cls.debtor = cls._make_partner("Debtor", "debtor@example.com")
        cls.product = cls._make_product("Rent", 100.0)
        cls.scenario = cls._make_scenario("All contracts")
        cls.usage_scenario = cls._make_scenario("All usage", source="usage")

    @classmethod
    def get_default_groups(cls):
        # fixtures only: what is tested acts as one of the users below
        groups = super().get_default_groups()
        return groups | cls.env.ref("invoice_run.invoice_run_group_manager")

    @classmethod
    def _make_user(cls, login, groups, **kwargs):
        company = kwargs.pop("company", cls.company)
        return new_test_user(
            cls.env,
            login,
            groups=groups,
            company_id=company.id,
            company_ids=[Command.set(company.ids)],
            **kwargs,
        )

    @classmethod
    def _make_partner(cls, name, email=False, **vals):
        return cls.env["res.partner"].create({"name": name, "email": email, **vals})

    @classmethod
    def _make_product(cls, name, price, **vals):
        vals.setdefault("taxes_id", [Command.clear()])
        return cls.env["product.product"].create(
            {"name": name, "type": "service", "list_price": price, **vals}
        )

    @classmethod
    def _make_scenario(cls, name, **vals):
        vals.setdefault("company_id", cls.company.id)
        return cls.env["billing.scenario"].create({"name": name, **vals})

    @classmethod
    def _make_contract(cls, lines=None, activate=True, **vals):
        """Create an active contract; ``lines`` are price line values, default 100 a month."""
        vals.setdefault("partner_id", cls.debtor.id)
        vals.setdefault("company_id", cls.company.id)
        vals.setdefault("date_start", "2020-01-10")
        line_vals = [
            {"product_id": cls.product.id, "price_unit": 100.0, **line} for line in lines or [{}]
        ]
        contract = cls.env["billing.contract"].create(
            {**vals, "line_ids": [Command.create(line) for line in line_vals]}
        )
        if activate:
            contract.action_activate()
        return contract

    @classmethod
    def _make_usage(cls, **vals):
        vals.setdefault("partner_id", cls.debtor.id)
        vals.setdefault("product_id", cls.product.id)
        vals.setdefault("company_id", cls.company.id)
        return cls.env["billing.usage"].create(vals)

    @classmethod
    def _make_run(cls, invoice_date, scenario=None, **vals):
        """Create an ad hoc run of ``scenario`` (default: all contracts)."""
        scenario = scenario or cls.scenario
        return cls.env["invoice.run"].create(
            {"scenario_id": scenario.id, "invoice_date": invoice_date, **vals}
        )

    def _make_amounts(self, run, user=None):
        """Submit and generate the amounts of ``run`` as a user who prepares runs."""
        run = run.with_user(user or self.user)
        run.action_generate_amounts()
        run._process_queue()
        return run

    def _make_invoices(self, run, user=None):
        """Approve ``run`` as reviewer and create its invoices; amounts must exist.

        It counts as approved before any change of its contracts, which would be refused otherwise.
        """
        approved = run.with_user(self.reviewer)
        if approved.stale_count:
            approved._approve()
        else:
            approved.action_approve()
        run.with_user(user or self.user).action_generate_invoices()
        run._process_queue()
        return run.document_ids.move_id

    def _run_all(self, invoice_date, scenario=None, **vals):
        """Carry out an ad hoc run up to its invoices; return the run."""
        run = self._make_run(invoice_date, scenario, **vals)
        self._make_amounts(run)
        if run.document_ids:
            self._make_invoices(run)
        return run

    def _get_periods(self, run):
        """Return the invoiced periods of ``run`` as text, in order."""
        lines = run.line_ids.sorted(lambda line: (line.billing_date_from, line.id))
        return [f"{line.billing_date_from}/{line.billing_date_to}" for line in lines]

    def assertAmounts(self, run, amounts):
        lines = run.line_ids.sorted(lambda line: (line.billing_date_from, line.id))
        self.assertEqual([round(line.amount, 3) for line in lines], amounts)

    def _date(self, text):
        return fields.Date.to_date(text)
