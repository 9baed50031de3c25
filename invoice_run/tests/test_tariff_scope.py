"""Bands that the price lines of a contract share: the engine, and what the lines are charged."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import tariff
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command
from odoo.tests import BaseCase, tagged

from .properties import FIXED
from .test_metering import GRADUATED, MeteringCommon

CENT = Fraction(1, 100)
BANDS = tariff.Tariff(
    model="graduated",
    bands=(
        tariff.Band(Fraction(10), Fraction(1)),
        tariff.Band(Fraction(20), Fraction(3, 2), Fraction(5)),
        tariff.Band(None, Fraction(2)),
    ),
    included=Fraction(3),
)
quantities = st.integers(0, 4000).map(lambda number: Fraction(number, 100))
discounts = st.integers(0, 100).map(lambda number: Fraction(number, 100))
parts = st.builds(tariff.Part, st.builds(tariff.Measure, quantities, st.integers(0, 5)), discounts)
several = st.lists(parts, min_size=1, max_size=6)
coins = st.sampled_from([Fraction(1), CENT, Fraction(1, 1000), Fraction(5, 100)])


class TestTogether(BaseCase):
    @settings(**FIXED)
    @given(st.integers(-5000, 5000), st.lists(quantities, min_size=1, max_size=6), coins)
    def test_shares_are_the_whole(self, number, weights, coin):
        total = number * coin
        shares = tariff.split(total, weights, coin)
        self.assertEqual(sum(shares), total)
        for share, weight in zip(shares, weights, strict=True):
            self.assertEqual(share % coin, 0)
            self.assertGreaterEqual(share * total, 0)
            if sum(weights):
                self.assertLess(abs(share - total * weight / sum(weights)), coin)

    @settings(**FIXED)
    @given(several)
    def test_order_decides_nothing(self, lines):
        total = tariff.rate_together(BANDS, lines)
        self.assertEqual(tariff.rate_together(BANDS, lines[::-1]), total)

    @settings(**FIXED)
    @given(parts)
    def test_one_alone_is_rated_by_itself(self, line):
        alone = tariff.rate(BANDS, line.measure) * (1 - line.discount)
        self.assertEqual(tariff.rate_together(BANDS, [line]), alone)

    @settings(**FIXED)
    @given(several)
    def test_it_is_the_rating_of_the_sum(self, lines):
        lines = [line._replace(discount=Fraction()) for line in lines]
        whole = tariff.Measure(sum(line.measure.quantity for line in lines))
        self.assertEqual(tariff.rate_together(BANDS, lines), tariff.rate(BANDS, whole))

    @settings(**FIXED)
    @given(several, quantities, st.integers(0, 5))
    def test_more_usage_never_costs_less(self, lines, more, index):
        lines = [line._replace(discount=Fraction(1, 10)) for line in lines]
        index %= len(lines)
        measure = lines[index].measure
        grown = list(lines)
        grown[index] = lines[index]._replace(
            measure=measure._replace(quantity=measure.quantity + more)
        )
        self.assertGreaterEqual(
            tariff.rate_together(BANDS, grown), tariff.rate_together(BANDS, lines)
        )


class SharedCommon(MeteringCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = cls._make_tariff(GRADUATED, tier_scope="contract")

    @classmethod
    def _make_shared(cls, *lines, **vals):
        """Make a contract with a price line for each of ``lines``, with meters M1, M2, …"""
        first = {"tariff_id": cls.shared.id, "meter_code": "M1", "name": "Meter 1"}
        contract = cls._make_metered({**first, **(lines[0] if lines else {})}, **vals)
        for number, line in enumerate(lines[1:] or [{}], 2):
            contract.line_ids = [
                Command.create(
                    {
                        **first,
                        "product_id": cls.km.id,
                        "is_metered": True,
                        "price_interval": "period",
                        "meter_code": f"M{number}",
                        "name": f"Meter {number}",
                        **line,
                    }
                )
            ]
        return contract

    @classmethod
    def _use(cls, contract, meter, day, quantity):
        return cls._make_usage(
            date=f"2024-{day}",
            contract_id=contract.id,
            partner_id=contract.partner_id.id,
            product_id=cls.km.id,
            meter_code=meter,
            quantity=quantity,
        )

    def _get_amounts(self, run):
        lines = run.line_ids.filtered(lambda line: line.document_id.state != "excluded")
        return [line.amount for line in lines.sorted(lambda line: line.contract_line_id.meter_code)]

    def _renew(self, run):
        run.action_renew_stale()
        run._process_queue()


@tagged("post_install", "-at_install")
class TestSharedBands(SharedCommon):
    def test_bands_are_reached_by_the_sum(self):
        """20 and 30 are 50: 10.00 + 15.00 + 60.00, shared two to three."""
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_amounts(run), [34.0, 51.0])
        name = run.line_ids.sorted("amount")[0].name.replace("\xa0", " ")
        self.assertIn("all price lines of this tariff: 50 Units", name)
        self.assertIn("30 Units × $ 2.00\nshare of this line: $ 34.00", name)
        [move] = self._make_invoices(run)
        self.assertEqual(move.amount_untaxed, run.document_ids.amount_untaxed)
        self.assertEqual(move.amount_untaxed, 85.0)
        self.assertFalse(self._run_all("2024-01-31").document_ids)

    def test_shares_are_exact_to_the_coin(self):
        tariff_record = self._make_tariff(((0, 10.0),), "package", tier_scope="contract")
        tariff_record.package_size = 100
        contract = self._make_shared(*[{"tariff_id": tariff_record.id}] * 3)
        for meter in ("M1", "M2", "M3"):
            self._use(contract, meter, "01-05", 1)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_amounts(run), [3.34, 3.33, 3.33])

    def test_one_line_is_as_without(self):
        contract = self._make_metered({"tariff_id": self.shared.id})
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertAmounts(run, [35.0])
        self.assertNotIn("share", run.line_ids.name)

    def test_included_counts_once(self):
        self.shared.included_quantity = 40
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        self.assertAmounts(self._make_amounts(self._make_run("2024-01-31")), [4.0, 6.0])

    def test_each_has_its_own_discount(self):
        """85.00, of which 51.00 less 10 %."""
        contract = self._make_shared({}, {"discount": 10})
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_amounts(run), [34.0, 45.9])

    def test_other_contracts_and_periods_are_rated_alone(self):
        one, other = self._make_shared(), self._make_shared()
        self._use(one, "M1", "01-05", 20)
        self._use(one, "M2", "02-05", 30)
        self._use(other, "M1", "01-05", 20)
        run = self._make_amounts(self._make_run("2024-02-29"))
        wanted = {(one, 1): 25.0, (one, 2): 45.0, (other, 1): 25.0, (other, 2): 0.0}
        sums = dict.fromkeys(wanted, 0.0)
        for line in run.line_ids:
            sums[line.contract_id, line.period_from.month] += line.amount
        self.assertEqual(sums, wanted)

    def test_late_usage_bills_the_difference_of_the_whole(self):
        """50 cost 85.00, 60 cost 105.00: 20.00 on the line whose usage came late."""
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        self._run_all("2024-01-31")
        self._use(contract, "M1", "01-30", 10)
        run = self._run_all("2024-01-31")
        [amount] = run.line_ids
        self.assertEqual((amount.amount, amount.late_number), (20.0, 1))
        self.assertIn("30 Units instead of 20", amount.name)
        self.assertRegex(amount.name.replace("\xa0", " "), "105.00, less . 85.00 invoiced before")
        self.assertEqual(contract.amount_invoiced, 105.0)
        self.assertFalse(self._run_all("2024-01-31").document_ids)

    def test_late_usage_of_another_period_is_not_on_this_share(self):
        """What is open and not invoiced now does not count: only an ad hoc run skips it."""
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        self._run_all("2024-01-31")
        self._use(contract, "M1", "01-30", 10)
        self._use(contract, "M2", "02-05", 10)
        run = self._make_run("2024-02-29")
        run.skip_before = "2024-02-01"
        self.assertEqual(self._get_amounts(self._make_amounts(run)), [0.0, 10.0])

    def test_a_line_that_ends_first_is_deducted(self):
        """10 until the 15th cost 10.00; with 20 of the other all are 50.00 … less 10.00."""
        contract = self._make_shared({"date_end": "2024-01-15"}, {})
        self._use(contract, "M1", "01-05", 10)
        self._use(contract, "M2", "01-20", 20)
        run = self._run_all("2024-01-31", self.usage_scenario)
        self.assertFalse(run.line_ids)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_amounts(run), [15.0, 30.0])

    def test_excluded_share_outdates_the_others(self):
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.with_user(self.reviewer).action_approve()
        first, second = run.line_ids.sorted("amount")
        first.with_user(self.user).action_exclude()
        self.assertTrue(second.is_stale)
        with self.assertRaisesRegex(UserError, "Recalculate"):
            run.with_user(self.reviewer).action_approve()
        self._renew(run)
        # 30 alone: 10.00 + 15.00 + 20.00
        self.assertEqual(self._get_amounts(run), [45.0])
        self.assertFalse(run.stale_count)
        self._make_invoices(run)
        # the next run invoices what is missing to the whole
        self.assertAmounts(self._run_all("2024-01-31"), [40.0])
        self.assertEqual(contract.amount_invoiced, 85.0)

    def test_included_again_is_calculated_with_the_others(self):
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        run = self._make_amounts(self._make_run("2024-01-31"))
        first = run.line_ids.sorted("amount")[0]
        first.action_exclude()
        self._renew(run)
        first.action_include()
        self.assertTrue(run.stale_count)
        self._renew(run)
        self.assertEqual(self._get_amounts(run), [34.0, 51.0])

    def test_usage_of_one_outdates_the_others(self):
        contract, stranger = self._make_shared(), self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        usage = self._use(contract, "M2", "01-06", 30)
        self._use(stranger, "M2", "01-06", 30)
        for change in (
            lambda: self._use(contract, "M2", "01-07", 10),
            lambda: usage.write({"quantity": 20}),
        ):
            run = self._make_amounts(self._make_run("2024-01-31"))
            change()
            stale = run.line_ids.filtered("is_stale")
            self.assertEqual(stale.contract_line_id, contract.line_ids)
            run.action_delete_amounts("again")
        self.assertAmounts(self._make_amounts(run), [34.0, 51.0, 0.0, 45.0])

    def test_a_paused_contract_is_refused_as_a_whole(self):
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        run = self._make_amounts(self._make_run("2024-01-31"))
        contract.billing_hold = True
        self.assertFalse(self._make_invoices(run))
        self.assertRegex(run.document_ids.error, "on hold")

    def test_two_runs_hold_parts_of_one_period(self):
        """What the second counted is released: the second is marked, the first is not."""
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        first = self._make_amounts(self._make_run("2024-01-31"))
        second_line = first.line_ids.sorted("amount")[1]
        second_line.action_exclude()
        self._renew(first)
        self.assertEqual(self._get_amounts(first), [25.0])
        second = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_amounts(second), [60.0])
        self.assertFalse(first.stale_count)
        self.assertFalse(second.stale_count)
        # the amounts of the first are calculated again: the second follows, and that is all
        self._use(contract, "M1", "01-07", 10)
        self.assertTrue(first.stale_count and second.stale_count)
        self._renew(first)
        # 30 alone
        self.assertEqual(self._get_amounts(first), [45.0])
        self._renew(second)
        self.assertEqual(self._get_amounts(second), [60.0])
        self.assertFalse(first.stale_count or second.stale_count)
        moves = self._make_invoices(first) | self._make_invoices(second)
        # 60: 10.00 + 15.00 + 80.00
        self.assertEqual(sum(moves.mapped("amount_untaxed")), 105.0)

    def test_reversed_invoice_is_rated_again(self):
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        move = self._run_all("2024-01-31").document_ids.move_id
        self._reverse(move)
        self.assertEqual(self._get_amounts(self._run_all("2024-01-31")), [34.0, 51.0])
        self.assertEqual(contract.amount_invoiced, 85.0)

    def test_changed_from_a_day_on_stays_one_period(self):
        """The line that replaces another goes on in the bands of the period."""
        contract = self._make_metered({"tariff_id": self.shared.id})
        usage = self._drive(contract, d0105=10, d0120=10)
        contract.line_ids._change_from(self._date("2024-01-16"), {"discount": 50})
        self.assertEqual(len(usage.contract_line_id), 2)
        # 25.00 for 20: half of it less 50 %
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [6.25, 12.5])

    def test_accrued_revenue_is_shared(self):
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        rows = self.env["billing.cutoff.rows"]._get_rows(self.company, self._date("2024-01-31"))
        amounts = [row["amount"] for row in rows if row["contract_id"] == contract.id]
        self.assertEqual(sorted(amounts), [34, 51])

    def test_why_it_is_more_than_last_time(self):
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 10)
        self._use(contract, "M1", "02-05", 10)
        self._use(contract, "M2", "02-05", 10)
        self._run_all("2024-01-31")
        [document] = self._make_amounts(self._make_run("2024-02-29")).document_ids
        reasons = [
            reason for change in document._get_changes()[document] for reason in change.reasons
        ]
        self.assertEqual(
            [(reason["text"], reason["amount"]) for reason in reasons],
            [("usage of other price lines", 2.5), ("usage 0 → 10", 12.5)],
        )

    def test_what_cannot_be_shared(self):
        contract = self._make_shared()
        seats = {"product_id": self.product.id, "tariff_id": self.shared.id, "quantity": 5}
        with self.assertRaisesRegex(ValidationError, "share"), self.env.cr.savepoint():
            contract.line_ids = [Command.create(seats)]
        with self.assertRaisesRegex(ValidationError, "share"), self.env.cr.savepoint():
            contract.line_ids[0].minimum_amount = 5.0
        bounded = self._make_metered({"minimum_amount": 5.0})
        with self.assertRaisesRegex(ValidationError, "share"), self.env.cr.savepoint():
            self.tariff.tier_scope = "contract"
        self.assertEqual(bounded.line_ids.tariff_id.tier_scope, "line")

    def test_scope_of_what_was_invoiced_stays(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.tariff.with_user(self.manager).tier_scope = "contract"
        self.assertTrue(run.stale_count)
        self._renew(run)
        self._make_invoices(run)
        with self.assertRaisesRegex(UserError, "Duplicate it"):
            self.tariff.with_user(self.manager).tier_scope = "line"
        self.tariff.with_user(self.manager).write({"tier_scope": "contract", "name": "New"})

    def test_portal_tells_that_bands_are_shared(self):
        contract = self._make_shared()
        self.assertIn(
            "for all price lines of this tariff together", contract.line_ids[0]._get_band_texts()
        )
