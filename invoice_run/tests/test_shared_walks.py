"""Whatever order things come in: all invoices together are the rating of the whole."""

from fractions import Fraction
from random import Random

from odoo.addons.invoice_run.engine import tariff
from odoo.fields import Command
from odoo.tests import tagged

from .test_contract_bounds import BoundsCommon
from .test_tariff_scope import SharedCommon

WALKS = 4
STEPS = 9


@tagged("post_install", "-at_install")
class TestSharedWalks(SharedCommon, BoundsCommon):
    """Random usage, runs, exclusions and reversals of two contracts; then a run of all."""

    def test_shared_bands(self):
        for seed in range(WALKS):
            with self.subTest(seed=seed), self.env.cr.savepoint() as savepoint:
                contract = self._make_shared({}, {}, {"date_end": "2024-01-20"})
                self._walk(Random(seed), contract, ("M1", "M2", "M3"))
                self.assertEqual(contract.amount_invoiced, self._get_rating(contract))
                savepoint.rollback()

    def test_minimum_of_the_contract(self):
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

    def _get_rating(self, contract):
        quantity = sum(contract.usage_ids.mapped("quantity"))
        measure = tariff.Measure(Fraction(str(round(quantity, 2))))
        return float(tariff.rate(self.shared._get_rating(), measure))

    def _walk(self, random, contract, meters):
        """Take random steps of January; then invoice all that is left."""
        for _number in range(STEPS):
            step = random.choice([self._add, self._add, self._bill, self._leave_out, self._undo])
            step(random, contract, meters)
        for _number in range(3):
            self._bill(random, contract, meters)
        self.assertFalse(self._run_all("2024-01-31").document_ids)
        contract.invalidate_recordset()

    def _add(self, random, contract, meters):
        day, quantity = random.randint(1, 20), random.choice([1, 3.5, 8, 12, 30, -2])
        self._use(contract, random.choice(meters), f"01-{day:02}", quantity)

    def _bill(self, random, contract, meters):
        self._run_all("2024-01-31")

    def _leave_out(self, random, contract, meters):
        """Exclude one amount, calculate again what that outdates, invoice the rest."""
        run = self._make_amounts(self._make_run("2024-01-31"))
        if not run.line_ids:
            return
        random.choice(list(run.line_ids)).action_exclude()
        self._renew(run)
        self.assertFalse(run.stale_count)
        if run.document_ids.filtered(lambda document: document.state == "to_do"):
            self._make_invoices(run)

    def _undo(self, random, contract, meters):
        """Reverse the last invoice and release what it invoiced."""
        moves = contract.run_line_ids.document_id.filtered(lambda one: one.state == "invoiced")
        move = moves.move_id.sorted("id")[-1:]
        if move.move_type == "out_invoice":
            self._reverse(move)
