"""Whatever order things come in: all invoices together are the rating of the whole."""

from fractions import Fraction
from random import Random

from odoo.addons.invoice_run.engine import tariff
from odoo.fields import Command
from odoo.tests import tagged

from .test_contract_bounds import BoundsCommon
from .test_tariff_customer import CustomerCommon

WALKS = 4
STEPS = 9


@tagged("post_install", "-at_install")
class TestSharedWalks(CustomerCommon, BoundsCommon):
    """Random usage, runs, exclusions and reversals of two contracts; then a run of all."""

    def test_shared_bands(self):
        self.shared.tier_scope = "contract"
        for seed in range(WALKS):
            with self.subTest(seed=seed), self.env.cr.savepoint() as savepoint:
                contract = self._make_shared({}, {}, {"date_end": "2024-01-20"})
                self._walk(Random(seed), contract, ("M1", "M2", "M3"))
                self.assertEqual(contract.amount_invoiced, self._get_rating(contract))
                savepoint.rollback()

    def test_minimum_of_the_contract(self):
        self.shared.tier_scope = "contract"
        for seed in range(WALKS):
            with self.subTest(seed=seed), self.env.cr.savepoint() as savepoint:
                contract = self._make_shared()
                contract.line_ids = [
                    Command.create({"product_id": self.product.id, "price_unit": 30.0}),
                    Command.create(
                        {
                            "product_id": self.top_up.id,
                            "is_metered": True,
                            "price_interval": "period",
                            "bound_scope": "contract",
                            "minimum_amount": 100.0,
                            "maximum_amount": 180.0,
                        }
                    ),
                ]
                self._walk(Random(seed), contract, ("M1", "M2"))
                total = min(max(self._get_rating(contract) + 30.0, 100.0), 180.0)
                self.assertEqual(contract.amount_invoiced, total)
                savepoint.rollback()

    def test_bands_of_a_customer(self):
        for seed in range(WALKS):
            with self.subTest(seed=seed), self.env.cr.savepoint() as savepoint:
                one, other = self._make_two()
                contracts = one | other
                self._walk(Random(seed), contracts, ("M1", "M2"), self._bill_one)
                total = sum(contracts.mapped("amount_invoiced"))
                self.assertAlmostEqual(total, self._get_rating(contracts))
                savepoint.rollback()

    def _get_rating(self, contract):
        quantity = sum(contract.usage_ids.mapped("quantity"))
        measure = tariff.Measure(Fraction(str(round(quantity, 2))))
        return float(tariff.rate(self.shared._get_rating(), measure))

    def _walk(self, random, contract, meters, *more):
        """Take random steps of January; then invoice all that is left.

        :param more: further steps
        """
        steps = [self._add, self._add, self._bill, self._leave_out, self._undo, *more]
        for _number in range(STEPS):
            step = random.choice(steps)
            step(random, contract, meters)
        for _number in range(3):
            self._bill(random, contract, meters)
        self.assertFalse(self._run_all("2024-01-31").document_ids)
        contract.invalidate_recordset()

    def _add(self, random, contract, meters):
        day, quantity = random.randint(1, 20), random.choice([1, 3.5, 8, 12, 30, -2])
        meter = random.choice(meters)
        lines = contract.line_ids.filtered(lambda line: line.meter_code == meter)
        self._use(lines.contract_id, meter, f"01-{day:02}", quantity)

    def _bill(self, random, contract, meters):
        self._run_all("2024-01-31")

    def _leave_out(self, random, contract, meters):
        """Exclude one amount, recalculate what that marks, invoice the rest."""
        run = self._make_amounts(self._make_run("2024-01-31"))
        if not run.line_ids:
            return
        random.choice(list(run.line_ids)).action_exclude()
        self._renew(run)
        self.assertFalse(run.stale_count)
        if run.document_ids.filtered(lambda document: document.state == "to_do"):
            self._make_invoices(run)

    def _bill_one(self, random, contract, meters):
        """Invoice one document, then exclude the others, which its share has counted."""
        run = self._make_amounts(self._make_run("2024-01-31"))
        documents = run.document_ids.filtered(lambda document: document.state == "to_do")
        if not documents:
            return
        run.with_user(self.reviewer).action_approve()
        chosen = random.choice(list(documents))
        chosen.with_user(self.user).action_generate_invoices()
        run._process_queue()
        (documents - chosen).with_user(self.user).action_exclude()

    def _undo(self, random, contract, meters):
        """Reverse the last invoice and release what it invoiced."""
        moves = contract.run_line_ids.document_id.filtered(lambda one: one.state == "invoiced")
        move = moves.move_id.sorted("id")[-1:]
        if move.move_type == "out_invoice":
            self._reverse(move)
