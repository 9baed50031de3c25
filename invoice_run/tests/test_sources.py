import re
from dataclasses import FrozenInstanceError
from pathlib import Path

from odoo.exceptions import UserError
from odoo.tests import tagged

from ..engine.charge import Charge, NotBillable, get_charges, get_exceptions
from ..models.source.invoice_run_source_registry import SourceRefused
from .common import InvoiceRunCommon

#: Code, or a condition of a view, that asks for one source by its name.
NAMED = re.compile(r"\bsource\b[\"'\])]*\s*(==|!=|(not )?in\b)\s*[\"'(\[]")


@tagged("post_install", "-at_install")
class TestSources(InvoiceRunCommon):
    """What contracts, usage and orders declare, and what is refused."""

    def test_order_of_sources_is_the_order_of_claims(self):
        source = self.env["invoice.run.source"]
        keys = [key for key in source._get_source_models() if key in ("contract", "usage", "sale")]
        self.assertEqual(keys, ["contract", "usage", "sale"])
        names = ("contract_line_id", "usage_id", "sale_line_id")
        claims = [name for name in source._get_claim_fields() if name in names]
        self.assertEqual(tuple(claims), names)

    def test_no_source_is_asked_for_by_name(self):
        root = Path(__file__).parents[2]
        files = [
            path
            for kind in ("py", "xml", "js")
            for addon in root.glob("invoice_run*")
            for path in addon.rglob(f"*.{kind}")
        ]
        self.assertGreater(len(files), 200)
        found = [
            f"{path.relative_to(root)}: {line.strip()}"
            for path in files
            if "tests" not in path.parts
            for line in path.read_text().splitlines()
            if NAMED.search(line)
        ]
        self.assertEqual(found, [])
        for text in (
            'scenario.source == "sale"',
            "source != 'contract'",
            'vals["source"] in ("a",)',
        ):
            self.assertTrue(NAMED.search(text), text)

    def test_without_index_or_constraint_it_is_refused(self):
        for name, key, statement in (
            (
                "billing.contract",
                "contract",
                "ALTER TABLE invoice_run_line DROP CONSTRAINT invoice_run_line_period_claimed_once",
            ),
            ("billing.usage", "usage", "DROP INDEX invoice_run_line_usage_claimed_once"),
            ("sale.order", "sale", "DROP INDEX invoice_run_line_sale_line_claimed_once"),
        ):
            with self.subTest(source=key):
                source = self.env[name]
                source._register_hook()
                self.env.cr.execute(statement)
                with self.assertRaisesRegex(SourceRefused, f"'{key}'.*unique index"):
                    source._register_hook()

    def test_half_a_declaration_is_refused(self):
        source = self.env["billing.usage"]
        for attribute, value, reason in (
            ("_source_claim_field", None, "must be a stored many2one"),
            ("_source_claim_field", "name", "must be a stored many2one"),
            ("_source_record_field", "contract_id", "must be a link to billing.usage"),
            ("_source_key", "sale", "another model has the same"),
        ):
            with self.subTest(attribute=attribute, value=value):
                self.patch(self.registry["billing.usage"], attribute, value)
                with self.assertRaisesRegex(SourceRefused, reason):
                    source._register_hook()
            self.patch(self.registry["billing.usage"], "_source_key", "usage")
            self.patch(self.registry["billing.usage"], "_source_claim_field", "usage_id")
            self.patch(self.registry["billing.usage"], "_source_record_field", "usage_id")

    def test_source_of_an_amount(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._make_usage(date="2024-01-03", contract_id=contract.id)
        lines = self._make_amounts(self._make_run("2024-01-15")).line_ids
        period, usage = lines.sorted(lambda line: line.usage_id.id)
        self.assertEqual(period._get_source()._name, "billing.contract")
        self.assertEqual(usage._get_source()._name, "billing.usage")
        self.assertEqual(usage._get_source_record(), contract, "that is what people look for")
        self.assertEqual(
            [source._name for source in lines._get_sources()],
            [
                "billing.contract",
                "billing.usage",
            ],
        )

    def test_what_claims_nothing_is_told_apart_by_whose_it_is(self):
        """A second invoice line of one order line, of two orders of one day."""
        run = self.env["invoice.run"]
        first = {"sale_order_id": 1, "sale_line_id": False, "billing_date_from": "2024-01-01"}
        keys = {run._get_charge_key(vals) for vals in (first, {**first, "sale_order_id": 2})}
        self.assertEqual(len(keys), 2)
        moved = {"usage_id": 7, "contract_id": 1, "billing_date_from": "2024-01-01"}
        keys = {run._get_charge_key(vals) for vals in (moved, {**moved, "contract_id": 2})}
        self.assertEqual(len(keys), 1, "an item is the same in another contract")

    def test_source_that_is_gone(self):
        scenario = self._make_scenario("Of an addon")
        self.env.cr.execute(
            "UPDATE billing_scenario SET source = 'gone' WHERE id = %s", [scenario.id]
        )
        scenario.invalidate_recordset()
        self.assertFalse(scenario.source_model)
        self.assertEqual(scenario.due_count, 0)
        self.assertTrue(scenario.due_error)
        scenario.web_read({"source": {}, "has_periods": {}})
        manager = self.env["invoice.manager"].with_user(self.user)
        cards = {card["id"]: card for card in manager.action_start()["scenarios"]}
        self.assertEqual(cards[scenario.id]["source"], "gone")
        with self.assertRaisesRegex(UserError, "not installed any more"):
            scenario._get_source()

    def test_has_periods(self):
        self.assertTrue(self.scenario.has_periods)
        self.assertFalse(self.usage_scenario.has_periods)

    def test_charges_do_not_change(self):
        charge = Charge(payer=self.debtor, document={}, line={}, bucket=("usage", 0))
        with self.assertRaises(FrozenInstanceError):
            charge.bucket = ("usage", 1)
        self.assertEqual(charge.contract_id, 0)
        items = [charge, NotBillable({"code": "hold"})]
        self.assertEqual(
            (get_charges(items), get_exceptions(items)), ([charge], [{"code": "hold"}])
        )
