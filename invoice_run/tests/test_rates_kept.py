"""Prices by which usage was invoiced are not overwritten, whatever way somebody takes."""

from datetime import date

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import Form, tagged

from .test_contract_bounds import BoundsCommon
from .test_metering import MeteringCommon


@tagged("post_install", "-at_install")
class TestRatesKept(MeteringCommon):
    """25 kilometres of January were invoiced, 35.00."""

    def setUp(self):
        super().setUp()
        self.contract = self._make_metered()
        self._drive(self.contract, d0105=25)
        self.run = self._run_all("2024-01-31")
        self.line = self.contract.line_ids.with_user(self.user)
        self.rated = self.tariff.with_user(self.manager)

    def _assert_refused(self, change, *args):
        with self.assertRaisesRegex(UserError, "Change from Date…"), self.env.cr.savepoint():
            change(*args)
        self.env.invalidate_all()

    def test_tariff(self):
        band = self.rated.tier_ids[0]
        tiers = self.env["billing.tariff.tier"].with_user(self.manager)
        other = self._make_tariff(((0, 1.0),)).with_user(self.manager)
        between = {"sequence": 1, "up_to": 30, "price_unit": 1.2}
        self._assert_refused(band.write, {"price_unit": 0.9})
        self._assert_refused(band.unlink)
        self._assert_refused(tiers.create, {**between, "tariff_id": self.rated.id})
        self._assert_refused(tiers.with_context(default_tariff_id=self.rated.id).create, between)
        for command in (
            Command.update(band.id, {"flat_fee": 1.0}),
            Command.delete(band.id),
            Command.create(between),
        ):
            self._assert_refused(self.rated.write, {"tier_ids": [command]})
        self._assert_refused(self.rated.write, {"included_quantity": 5})
        self._assert_refused(self.rated.write, {"round_up": True})
        # bands of another tariff, and of an archived one
        foreign = {"tier_ids": [Command.update(band.id, {"price_unit": 0.9})]}
        self._assert_refused(other.write, foreign)
        self._assert_refused(other.create, {"name": "New", "tier_ids": foreign["tier_ids"]})
        self.rated.active = False
        self._assert_refused(band.write, {"price_unit": 0.9})

    def test_what_costs_the_same_is_written(self):
        """A name, the same values, the same bands anew, and the order of another file."""
        self.rated.write(
            {
                "name": "New",
                "included_quantity": 0,
                "tier_ids": [Command.clear()]
                + [Command.create(tier.copy_data()[0]) for tier in self.rated.tier_ids],
            }
        )
        self.rated.tier_ids[0].sequence = -1
        self.line.write({"tariff_id": self.tariff.id, "discount": 0.0, "name": "Kilometres"})
        self.assertEqual(self.rated.name, "New")

    def test_file(self):
        fields = ["id", "tier_ids/id", "tier_ids/price_unit"]
        self.env["ir.model.data"].create(
            [
                {"module": "__import__", "name": name, "model": record._name, "res_id": record.id}
                for name, record in (("rated", self.tariff), ("band", self.tariff.tier_ids[0]))
            ]
        )
        for price, is_refused in (("1.0", False), ("0.9", True)):
            result = self.rated.load(fields, [["rated", "band", price]])
            self.assertEqual(bool(result["messages"]), is_refused)
        self.assertIn("Change from Date…", result["messages"][0]["message"])

    def test_price_line(self):
        copied = self.tariff.copy()
        for vals in (
            {"discount": 10.0},
            {"tariff_id": copied.id},
            {"tariff_id": False},
            {"aggregation": "max"},
            {"minimum_amount": 50.0},
            {"maximum_amount": 30.0},
        ):
            self._assert_refused(self.line.write, vals)
            lines = [Command.update(self.line.id, vals)]
            self._assert_refused(self.line.contract_id.write, {"line_ids": lines})
        with (
            self.assertLogs("odoo.tests.form.onchange", "WARNING") as logs,
            Form(self.line) as form,
        ):
            form.discount = 10.0
            form.discount = 0.0
        self.assertIn("Release for Invoicing", logs.output[0])
        # nobody is charged the price beside a tariff
        self.line.price_unit = 9.0

    def test_price_without_a_tariff(self):
        contract = self._make_metered({"tariff_id": False, "price_unit": 2.0})
        self._drive(contract, d0105=25)
        line = contract.line_ids.with_user(self.user)
        line.price_unit = 3.0
        self._run_all("2024-01-31")
        self._assert_refused(line.write, {"price_unit": 2.0})
        # another product has another price
        dear = self._make_product("Dear", 9.0)
        self._assert_refused(line.write, {"product_id": dear.id})

    def test_before_it_is_invoiced_and_after_it_is_reversed(self):
        contract = self._make_metered({"tariff_id": self.tariff.copy().id})
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        band = contract.line_ids.tariff_id.with_user(self.manager).tier_ids[2]
        band.price_unit = 3.0
        run.action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [40.0])
        self._reverse(self.run.document_ids.move_id)
        self.rated.tier_ids[2].price_unit = 4.0
        self.line.discount = 50
        self.assertAmounts(self._make_amounts(self._make_run("2024-01-31")), [22.5])

    def test_where_nothing_was_used_nothing_was_invoiced(self):
        contract = self._make_metered({"tariff_id": self.tariff.copy().id})
        self.assertEqual(self._run_all("2024-01-31").document_ids.state, "nothing")
        contract.line_ids.tariff_id.tier_ids[2].price_unit = 3.0
        contract.line_ids.discount = 10
        self.assertEqual(contract.line_ids.discount, 10)

    def test_copy_from_a_day_on(self):
        """As the message says: late usage at the old prices, new usage at those of the copy."""
        copied = self.rated.copy()
        self.assertEqual(copied.name, f"{self.rated.name} (copy)")
        copied.tier_ids[0].price_unit = 2.0
        seats = {"product_id": self.product.id, "price_unit": 5.0}
        self.contract.line_ids = [Command.create(seats)]
        wizard = (
            self.env["billing.contract.change"]
            .with_user(self.user)
            .with_context(active_model="billing.contract", active_ids=self.contract.ids)
            .create({"date": "2024-02-01", "change": "tariff", "tariff_id": copied.id})
        )
        self.assertEqual((wizard.changed_count, wizard.left_out_count), (1, 1))
        wizard.action_apply()
        self._drive(self.contract, d0120=10, d0205=10)
        run = self._make_amounts(self._make_run("2024-02-29"))
        metered = run.line_ids.filtered("is_metered")
        self.assertEqual(metered.sorted("period_from").mapped("amount"), [20.0, 20.0])

    def test_new_tariff_shows_what_it_comes_to(self):
        """25 seats: 35.00 a month, and 50.00 by the other bands."""
        seats = {"product_id": self.product.id, "tariff_id": self.tariff.id, "quantity": 25}
        contract = self._make_contract([seats], date_start="2024-01-01")
        other = self._make_tariff(((0, 2.0),))
        wizard = self.env["billing.contract.change"].with_user(self.user)
        wizard = wizard.with_context(active_model="billing.contract", active_ids=contract.ids)
        with Form(wizard) as form:
            form.date = "2024-02-01"
            form.change = "tariff"
            form.tariff_id = other
        wizard = form.record
        self.assertEqual((wizard.old_month, wizard.new_month), (35.0, 50.0))
        with self.assertRaisesRegex(UserError, "Choose the new tariff"):
            wizard.tariff_id = False
            wizard.action_apply()


@tagged("post_install", "-at_install")
class TestBoundsKept(BoundsCommon):
    """What usage was bounded by when it was invoiced bounds it when more is reported."""

    def _assert_kept(self, line, vals):
        """Refused by a form's save, RPC, a command of the contract and a file."""
        line = line.with_user(self.user)
        before, commands = line.read(list(vals)), [Command.update(line.id, vals)]
        for change in (
            lambda: line.write(vals),
            lambda: line.contract_id.write({"line_ids": commands}),
            lambda: line.sudo().contract_id.partner_id.write(
                {
                    "billing_contract_ids": [
                        Command.update(line.contract_id.id, {"line_ids": commands})
                    ]
                }
            ),
        ):
            with self.assertRaisesRegex(UserError, "Change from Date…"), self.env.cr.savepoint():
                change()
            self.env.invalidate_all()
        names = list(vals)
        result = line.load([".id", *names], [[str(line.id), *map(str, vals.values())]])
        self.assertIn("Change from Date…", result["messages"][0]["message"])
        self.assertEqual(line.read(list(vals)), before)

    def test_minimum_and_maximum_of_a_contract(self):
        """100.00 at least: 65.00 and 35.00. With 200.00, 10 km more would cost 100.00."""
        contract = self._make_bounded()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        holder = self._get_holder(contract)
        self._assert_kept(holder, {"minimum_amount": 200.0})
        self._assert_kept(holder, {"maximum_amount": 300.0})
        with Form(contract.line_ids[0].with_user(self.user)) as form:
            form.price_unit = 31.0
        self._drive(contract, d0120=10)
        self.assertEqual(self._get_bounds(self._make_amounts(self._make_run("2024-01-31"))), [-20])

    def test_where_the_minimum_was_not_missed(self):
        """100 km are 185.00 with the rent 215.00: the amount was zero, and it counts."""
        contract = self._make_bounded()
        self._drive(contract, d0105=100)
        self._run_all("2024-01-31")
        self._assert_kept(self._get_holder(contract), {"minimum_amount": 300.0})

    def test_minimum_of_a_period_without_usage(self):
        contract = self._make_metered()
        self._run_all("2024-01-31")
        self._assert_kept(contract.line_ids, {"minimum_amount": 50.0})

    def test_commitment_of_a_whole_term(self):
        """A quarter was invoiced: 300.00 committed, 35.00 used."""
        contract = self._make_metered(
            {"commitment_amount": 300.0, "commitment_interval": "quarter"}
        )
        line = contract.line_ids
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        # nothing was charged by it yet
        line.with_user(self.user).commitment_amount = 200.0
        line.commitment_amount = 300.0
        self._run_all("2024-03-31")
        self.assertEqual(sum(line.run_line_ids.mapped("amount")), 300.0)
        self._assert_kept(line, {"commitment_amount": 400.0})
        self._assert_kept(line, {"commitment_interval": "year"})
        # nothing of another field is refused
        line.with_user(self.user).write({"name": "Kilometres", "commitment_amount": 300.0})
        self._reverse(line.run_line_ids.filtered("is_true_up").document_id.move_id)
        line.with_user(self.user).commitment_amount = 400.0

    def test_commitment_of_a_term_with_late_usage_in_a_run(self):
        """The term was invoiced, whatever of it comes later."""
        contract = self._make_metered(
            {"commitment_amount": 300.0, "commitment_interval": "quarter"}
        )
        self._run_all("2024-03-31")
        self._drive(contract, d0205=10)
        run = self._make_amounts(self._make_run("2024-04-30"))
        self.assertTrue(run.line_ids.filtered("late_number"))
        self._assert_kept(contract.line_ids, {"commitment_amount": 400.0})

    def test_commitment_that_begins_after_a_term(self):
        """Usage of a quarter without a commitment is not trued up to one."""
        contract = self._make_metered()
        line = contract.line_ids
        self._drive(contract, d0105=25)
        self._run_all("2024-03-31")
        quarter = {"commitment_amount": 300.0, "commitment_interval": "quarter"}
        self._assert_kept(line, quarter)
        # a year is not over
        line.with_user(self.user).commitment_amount = 300.0

    def test_before_the_last_period_is_invoiced(self):
        """The amounts of a run that waits follow."""
        contract = self._make_metered(
            {"commitment_amount": 300.0, "commitment_interval": "quarter"}
        )
        self._run_all("2024-02-29")
        run = self._make_amounts(self._make_run("2024-03-31"))
        contract.line_ids.with_user(self.user).commitment_amount = 400.0
        self._renew(run)
        self.assertEqual(sum(run.line_ids.mapped("amount")), 400.0)

    def _make_change(self, contract, date, **vals):
        return (
            self.env["billing.contract.change"]
            .with_user(self.user)
            .with_context(active_model="billing.contract", active_ids=contract.ids)
            .create({"date": date, **vals})
        )

    def test_another_minimum_from_a_day_on(self):
        """As the message says: January as it was invoiced, 200.00 at least from February on."""
        contract = self._make_bounded()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        wizard = self._make_change(
            contract, "2024-02-01", change="bound", bound="minimum_amount", bound_amount=200.0
        )
        self.assertEqual(wizard.line_ids.mapped("reason"), ["no_bound", "no_bound", ""])
        wizard.action_apply()
        self._drive(contract, d0120=10, d0205=25)
        run = self._make_amounts(self._make_run("2024-02-29"))
        self.assertEqual(self._get_bounds(run), [-20.0, 135.0])
        self.assertIn("at least", contract.message_ids[0].body)

    def test_another_discount_and_tariff_are_told_as_they_are(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        other = self._make_tariff(((0, 2.0),))
        line = contract.line_ids
        service = self.env["billing.price.change"]
        changes = service._get_changes(date(2024, 2, 1), {line: {"tariff_id": other.id}})
        old, new = line._get_side_texts(changes[0])
        self.assertIn("up to", old)
        self.assertIn("2.00", new)
        same = service._get_changes(date(2024, 2, 1), {line: {"tariff_id": line.tariff_id.id}})
        self.assertEqual(same[0].reason, "same_tariff")
        self._make_change(contract, "2024-02-01", change="discount", discount=10.0).action_apply()
        self.assertIn("less 10 %", contract.message_ids[0].body)
        self.assertEqual(contract.line_ids.mapped("discount"), [0.0, 10.0])
        # in place: it says what was, after it is written
        changes = service._get_changes(
            date(2024, 2, 1), {contract.line_ids[1]: {"minimum_amount": 50.0}}
        )
        service._apply(changes)
        old, new = contract.line_ids[1]._get_side_texts(changes[0])
        self.assertEqual(old, "no minimum or maximum")
        self.assertIn("50.00", new)
