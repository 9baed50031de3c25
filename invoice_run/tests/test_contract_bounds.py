"""Minimum, maximum and commitment of a whole contract."""

from odoo.addons.invoice_run.engine.charge import get_charges
from odoo.addons.invoice_run.memory import remembering
from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, freeze_time, tagged

from .test_metering import MeteringCommon


class BoundsCommon(MeteringCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.top_up = cls._make_product("Minimum", 0.0)

    @classmethod
    def _make_bounded(cls, *lines, bounds=None, **vals):
        """Make a contract with ``lines``, by default 30.00 a month and usage by the tariff.

        In arrears, from 1 January 2024, with a minimum of 100.00 a month for all of them.
        """
        usual = (
            {"product_id": cls.product.id, "name": "Rent", "price_unit": 30.0},
            {
                "product_id": cls.km.id,
                "name": "Kilometres",
                "is_metered": True,
                "price_interval": "period",
                "tariff_id": cls.tariff.id,
            },
        )
        holder = {
            "product_id": cls.top_up.id,
            "name": "Minimum",
            "is_metered": True,
            "price_interval": "period",
            "bound_scope": "contract",
            **(bounds or {"minimum_amount": 100.0}),
        }
        vals = {"date_start": "2024-01-01", "billing_timing": "arrears", **vals}
        return cls._make_contract([*(lines or usual), holder], **vals)

    def _get_holder(self, contract):
        return contract.line_ids.filtered(lambda line: line.bound_scope == "contract")

    def _get_bounds(self, run):
        lines = run.line_ids.filtered(lambda line: line.contract_line_id.bound_scope == "contract")
        lines = lines.filtered(lambda line: line.document_id.state != "excluded")
        return lines.sorted(lambda line: (line.period_from, line.late_number)).mapped("amount")

    def _renew(self, run):
        run.action_renew_stale()
        run._process_queue()


@tagged("post_install", "-at_install")
class TestContractMinimum(BoundsCommon):
    def test_what_is_missing_is_a_line_of_its_own(self):
        """30.00 and 35.00 of usage are 65.00: 35.00 short of 100.00."""
        contract = self._make_bounded()
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        [document] = run.document_ids
        self.assertEqual(document.line_ids.mapped("amount"), [30.0, 35.0, 35.0])
        amount = document.line_ids[-1]
        self.assertTrue(amount.is_true_up)
        self.assertEqual(amount.product_id, self.top_up)
        text = amount.name.replace("\xa0", " ")
        self.assertIn("price lines: $ 65.00, minimum: $ 100.00", text)
        [move] = self._make_invoices(run)
        self.assertEqual((move.amount_untaxed, document.amount_untaxed), (100.0, 100.0))
        self.assertFalse(self._run_all("2024-01-31").document_ids)
        self.assertEqual(contract.amount_invoiced, 100.0)

    def test_minimum_that_is_reached_costs_nothing(self):
        contract = self._make_bounded()
        self._drive(contract, d0105=100)
        run = self._run_all("2024-01-31")
        self.assertEqual(self._get_bounds(run), [0.0])
        self.assertEqual(contract.amount_invoiced, 215.0)
        # it holds its period by a line of the invoice, which the customer need not read
        move = run.document_ids.move_id
        self.assertEqual(len(move.invoice_line_ids), 3)
        printed = move._get_move_lines_to_report()
        self.assertEqual(printed.mapped("price_subtotal"), [30.0, 185.0])

    def test_maximum_gives_back_what_is_above(self):
        contract = self._make_bounded(bounds={"maximum_amount": 50.0})
        self._drive(contract, d0105=25)
        run = self._run_all("2024-01-31")
        self.assertEqual(self._get_bounds(run), [-15.0])
        self.assertEqual(run.document_ids.move_id.amount_untaxed, 50.0)

    def test_it_is_prorated_as_a_price(self):
        """From 17 January 15 of 31 days: 48.39 of 100.00, 14.52 of 30.00."""
        contract = self._make_bounded(date_start="2024-01-17", period_anchor="calendar")
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(run.document_ids.line_ids.mapped("amount"), [14.52, 0.0, 33.87])
        self.assertEqual(contract.line_ids[-1].price_month, 0.0)

    def test_it_joins_the_next_invoice_in_advance(self):
        contract = self._make_bounded(billing_timing="advance")
        first = self._run_all("2024-01-01")
        self.assertAmounts(first, [30.0])
        self._drive(contract, d0105=25)
        [document] = self._run_all("2024-02-01").document_ids
        self.assertEqual(sorted(document.line_ids.mapped("amount")), [30.0, 35.0, 35.0])
        self.assertEqual(document.date_from, self._date("2024-02-01"))

    def test_late_usage_lowers_it(self):
        """10 more are 20.00, by which the shortfall is lower."""
        contract = self._make_bounded()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        self._drive(contract, d0130=10)
        run = self._run_all("2024-01-31")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [-20.0, 20.0])
        numbers = self._get_holder(contract).run_line_ids.mapped("late_number")
        self.assertEqual(sorted(numbers), [0, 1])
        self.assertEqual(contract.amount_invoiced, 100.0)
        self.assertFalse(self._run_all("2024-01-31").document_ids)
        self._drive(contract, d0129=30)
        # all: 65 kilometres are 115.00, with 30.00 of rent above the minimum
        run = self._run_all("2024-01-31")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [-15.0, 60.0])
        contract.invalidate_recordset(["amount_invoiced"])
        self.assertEqual(contract.amount_invoiced, 145.0)

    def test_it_waits_until_all_of_the_period_is_invoiced(self):
        contract = self._make_bounded()
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.with_user(self.reviewer).action_approve()
        rent = run.line_ids.filtered(lambda line: line.product_id == self.product)
        rent.with_user(self.user).action_exclude()
        bound = run.line_ids.filtered("is_true_up")
        self.assertTrue(bound.is_stale)
        with self.assertRaisesRegex(UserError, "Recalculate"):
            run.with_user(self.reviewer).action_approve()
        self._renew(run)
        self.assertEqual(self._get_bounds(run), [])
        self._make_invoices(run)
        run = self._run_all("2024-01-31")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [30.0, 35.0])
        self.assertEqual(contract.amount_invoiced, 100.0)

    def test_changed_price_outdates_it(self):
        contract, stranger = self._make_bounded(), self._make_bounded()
        run = self._make_amounts(self._make_run("2024-01-31"))
        contract.line_ids[0].price_unit = 40.0
        stale = run.line_ids.filtered("is_stale")
        self.assertEqual(stale.contract_id, contract)
        self.assertIn(self._get_holder(contract), stale.contract_line_id)
        self._renew(run)
        self.assertEqual(self._get_bounds(run), [60.0, 70.0])
        self.assertFalse(run.stale_count)
        self.assertTrue(stranger)

    def test_invoice_that_is_reversed_is_calculated_again(self):
        contract = self._make_bounded()
        self._drive(contract, d0105=25)
        move = self._run_all("2024-01-31").document_ids.move_id
        self._reverse(move)
        self.assertEqual(self._get_bounds(self._run_all("2024-01-31")), [35.0])
        self.assertEqual(contract.amount_invoiced, 100.0)

    def test_goodwill_stays_given(self):
        """A credit by hand is not charged again by the minimum."""
        contract = self._make_bounded()
        self._drive(contract, d0105=25)
        move = self._run_all("2024-01-31").document_ids.move_id
        self._confirm(move)
        refund = move._reverse_moves([{"invoice_date": "2024-02-01"}])
        refund.invoice_line_ids[1:].unlink()
        refund.invoice_line_ids.price_unit = 10.0
        refund.action_post()
        self._drive(contract, d0130=1)
        self.assertEqual(self._get_bounds(self._run_all("2024-02-15")), [-2.0])

    def test_line_that_ends_early_raises_it(self):
        """15.48 of the rent are credited, by which the shortfall is higher."""
        contract = self._make_bounded()
        self._run_all("2024-01-31")
        contract.line_ids[0].date_end = "2024-01-15"
        run = self._run_all("2024-01-31")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [-15.48, 15.48])
        self.assertEqual(contract.amount_invoiced, 100.0)

    def test_once_and_other_contracts_do_not_count(self):
        once = {"product_id": self.product.id, "price_unit": 500.0, "price_interval": "once"}
        rent = {"product_id": self.product.id, "price_unit": 30.0}
        contract = self._make_bounded(rent, once)
        self._make_contract([rent], date_start="2024-01-01", partner_id=contract.partner_id.id)
        self.assertEqual(self._get_bounds(self._make_amounts(self._make_run("2024-01-31"))), [70.0])

    def test_amount_of_several_periods_counts_by_its_days(self):
        """Three months of rent on one amount: 30.00 of it are January's."""
        contract = self._make_bounded()
        until = self._make_scenario("Until a date", billing_mode="date")
        run = self._make_amounts(self._make_run("2024-03-31", until))
        self.assertEqual(self._get_bounds(run), [70.0, 70.0, 70.0])
        self.assertIn(90.0, run.line_ids.mapped("amount"))
        self.assertTrue(contract)

    def test_foreseen_and_accrued(self):
        """Beside the rent, to the minimum; at 15 January 48.39 less 14.52 and the usage so far."""
        contract = self._make_bounded()
        holder = self._get_holder(contract)
        terms = contract._get_billing_terms()
        spans = holder._get_due_spans(terms, [], self._date("2024-02-29"))
        self.assertEqual(list(holder._get_forecast_amounts(terms, spans)), [70.0, 70.0])
        self._drive(contract, d0105=3)
        rows = self.env["billing.cutoff.rows"]._get_rows(self.company, self._date("2024-01-15"))
        found = {
            row["contract_line_id"]: float(row["amount"])
            for row in rows
            if row["contract_id"] == contract.id
        }
        self.assertEqual(list(found.values()), [14.52, 3.0, 30.87])

    def test_foreseen_with_taxes_in_the_prices(self):
        """121.00 with taxes are 100.00 without: 30.00 and 70.00, as the invoice says."""
        tax = self.env["account.tax"].create(
            {
                "name": "Included",
                "amount": 21,
                "type_tax_use": "sale",
                "price_include_override": "tax_included",
                "company_id": self.company.id,
            }
        )
        (self.product | self.top_up).taxes_id = tax
        contract = self._make_bounded(
            {"product_id": self.product.id, "price_unit": 36.3}, bounds={"minimum_amount": 121.0}
        )
        claims = contract.line_ids._get_taken_spans()
        day = self._date("2024-01-31")
        amounts = [amount for _key, amount in contract._get_forecast(day, day, claims)]
        self.assertEqual(amounts, [30.0, 70.0])
        [document] = self._run_all(day).document_ids
        self.assertEqual(document.line_ids.mapped("amount_untaxed"), amounts)

    def test_why_it_is_more_than_last_time(self):
        contract = self._make_bounded()
        self._drive(contract, d0105=25, d0205=20)
        self._run_all("2024-01-31")
        [document] = self._make_amounts(self._make_run("2024-02-29")).document_ids
        reasons = [
            (reason["text"], reason["amount"])
            for change in document._get_changes()[document]
            for reason in change.reasons
        ]
        self.assertIn(("minimum or maximum of the contract", 10.0), reasons)
        self.assertIn(("usage 25 → 20", -10.0), reasons)

    def test_usage_is_never_of_this_line(self):
        contract = self._make_bounded()
        item = self._make_usage(
            date="2024-01-05",
            contract_id=contract.id,
            partner_id=contract.partner_id.id,
            product_id=self.top_up.id,
        )
        self.assertFalse(item.contract_line_id)
        with self.assertRaisesRegex(ValidationError, "by usage"):
            item.contract_line_id = self._get_holder(contract)

    def test_what_the_line_must_be(self):
        for bounds in (
            {"tariff_id": self.tariff.id, "minimum_amount": 5.0},
            {"minimum_amount": 0.0},
            {"meter_code": "KM", "minimum_amount": 5.0},
        ):
            with self.assertRaisesRegex(ValidationError, "three amounts"), self.env.cr.savepoint():
                self._make_bounded(bounds=bounds)
        contract = self._make_bounded()
        holder = self._get_holder(contract)
        with self.assertRaisesRegex(ValidationError, "same days"), self.env.cr.savepoint():
            holder.copy({"contract_id": contract.id})
        holder.date_end = "2024-01-31"
        holder.copy({"contract_id": contract.id, "date_start": "2024-02-01", "date_end": False})
        self._run_all("2024-01-31")
        with self.assertRaisesRegex(ValidationError, "already been invoiced"):
            holder.bound_scope = "line"

    def test_days_invoiced_elsewhere_have_no_minimum(self):
        """What the other lines came to before Odoo is not known: nothing is charged for it."""
        rent = {
            "product_id": self.product.id,
            "price_unit": 30.0,
            "initial_invoiced_until": "2024-01-31",
        }
        with self.assertRaisesRegex(ValidationError, "elsewhere"), self.env.cr.savepoint():
            self._make_bounded(rent)
        bounds = {"minimum_amount": 100.0, "initial_invoiced_until": "2024-01-31"}
        contract = self._make_bounded(rent, bounds=bounds)
        self.assertEqual(self._get_bounds(self._make_amounts(self._make_run("2024-02-29"))), [70.0])
        with self.assertRaisesRegex(ValidationError, "elsewhere"), self.env.cr.savepoint():
            contract.line_ids[0].initial_invoiced_until = "2024-02-10"

    def test_entered_on_the_form_of_the_line(self):
        """As its form saves it: what it cannot have is emptied."""
        line = {"product_id": self.top_up.id, "is_metered": True, "price_interval": "period"}
        contract = self._make_contract(
            [{"price_unit": 30.0}, {**line, "tariff_id": self.tariff.id, "discount": 5}],
            date_start="2024-01-01",
            billing_timing="arrears",
        )
        line = contract.line_ids[-1].with_user(self.user)
        with Form(line, "invoice_run.billing_contract_line_view_form") as form:
            form.bound_scope = "contract"
            form.minimum_amount = 100.0
        self.assertFalse(line.tariff_id or line.discount)
        self.assertEqual(self._get_bounds(self._make_amounts(self._make_run("2024-01-31"))), [70.0])

    def test_raised_prices_leave_it_alone(self):
        contract = self._make_bounded({"product_id": self.product.id, "price_unit": 30.0})
        wizard = (
            self.env["billing.contract.change"]
            .with_user(self.user)
            .with_context(active_model="billing.contract", active_ids=contract.ids)
            .create({"date": "2024-02-01", "change": "percentage", "percentage": 10})
        )
        wizard.action_apply()
        self.assertEqual(len(contract.line_ids), 3)
        # a higher minimum from a day on is another line
        holder = self._get_holder(contract)
        new = holder._change_from(self._date("2024-02-01"), {"minimum_amount": 200.0})
        run = self._make_amounts(self._make_run("2024-02-29"))
        self.assertEqual(self._get_bounds(run), [70.0, 167.0])
        self.assertEqual(new.previous_line_id, holder)

    def test_customers_read_it(self):
        bounds = {"minimum_amount": 100.0, "maximum_amount": 200.0, "commitment_amount": 1500.0}
        contract = self._make_bounded(bounds=bounds)
        texts = self._get_holder(contract)._get_bound_texts()
        self.assertEqual(
            [text.replace("\xa0", " ") for text in texts],
            ["at least $ 100.00", "at most $ 200.00", "committed: $ 1,500.00 per Year"],
        )
        page = self.env["ir.qweb"]._render(
            "invoice_run.portal_contract_prices", {"contract": contract}
        )
        for text in ("all prices", *texts):
            self.assertIn(text, str(page))
        self.assertNotIn("$ 0.00", str(page).replace("\xa0", " "))

    def test_many_contracts_are_read_together(self):
        """Neither a run nor a preview asks anything contract by contract."""
        counts = {}
        for number in (3, 9):
            contracts = self.env["billing.contract"].union(
                *(self._make_bounded() for _number in range(number))
            )
            for contract in contracts:
                self._drive(contract, d0105=25)
            for look in (self._look_by_run, self._look_by_preview):
                self.env.flush_all()
                self.env.invalidate_all()
                before = self.env.cr.sql_log_count
                charges = look(contracts)
                counts.setdefault(look.__name__, []).append(self.env.cr.sql_log_count - before)
                self.assertEqual(sum(charge.line["amount"] for charge in charges), 100.0 * number)
        for few, many in counts.values():
            self.assertLessEqual(many - few, 6, counts)

    def _look_by_run(self, contracts):
        run = self._make_run("2024-01-31", record_ids=contracts.ids)
        with remembering(self.env):
            return get_charges(contracts._collect_run_charges(run, contracts.partner_id))

    def _look_by_preview(self, contracts):
        return get_charges(contracts._collect_due(self._date("2024-01-31")))

    def test_what_is_still_to_invoice(self):
        contract = self._make_bounded()
        self._drive(contract, d0105=25)
        with freeze_time("2024-02-01"):
            self.assertEqual(contract.amount_to_invoice, 100.0)


@tagged("post_install", "-at_install")
class TestContractCommitment(BoundsCommon):
    def test_the_term_is_trued_up_with_its_last_period(self):
        """A quarter of 300.00: 90.00 of rent, 35.00 of usage, 175.00 missing."""
        bounds = {"commitment_amount": 300.0, "commitment_interval": "quarter"}
        contract = self._make_bounded(bounds=bounds)
        self._drive(contract, d0105=25)
        for day in ("2024-01-31", "2024-02-29"):
            self.assertEqual(self._get_bounds(self._run_all(day)), [0.0])
        run = self._run_all("2024-03-31")
        self.assertEqual(self._get_bounds(run), [0.0, 175.0])
        name = run.line_ids.sorted("amount")[-1].name.replace("\xa0", " ")
        self.assertIn("300.00, usage came to", name)
        self.assertEqual(contract.amount_invoiced, 300.0)
        self.assertFalse(self._run_all("2024-03-31").document_ids)
        # reported later, it lowers what was missing
        self._drive(contract, d0220=10)
        run = self._run_all("2024-03-31")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [-10.0, 10.0])
        self.assertEqual(contract.amount_invoiced, 300.0)

    def test_a_monthly_minimum_counts_for_the_year(self):
        bounds = {
            "minimum_amount": 50.0,
            "commitment_amount": 200.0,
            "commitment_interval": "quarter",
        }
        contract = self._make_bounded(bounds=bounds)
        run = self._run_all("2024-03-31")
        self.assertEqual(self._get_bounds(run), [20.0, 20.0, 20.0, 50.0])
        self.assertEqual(contract.amount_invoiced, 200.0)

    def test_a_term_that_is_cut(self):
        """Until 15 February: one and 15/29 months of a quarter of 300.00."""
        bounds = {"commitment_amount": 300.0, "commitment_interval": "quarter"}
        self._make_bounded(bounds=bounds, date_end="2024-02-15")
        run = self._run_all("2024-02-15")
        # 151.72 less 30.00 and 15.52
        self.assertEqual(self._get_bounds(run), [0.0, 0.0, 106.20])
