"""Price updates: found, looked through, approved, applied, undone."""

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import freeze_time, tagged

from .common import InvoiceRunCommon
from .test_periods import day


@tagged("post_install", "-at_install")
class TestPriceUpdates(InvoiceRunCommon):
    def _make_update(self, contracts, user=None, **vals):
        """Make an update of 3 % of these contracts, with its lines found."""
        vals = {"method": "percentage", "percentage": 3.0, **vals}
        update = (
            self.env["billing.price.update"]
            .with_user(user or self.user)
            .create(
                {
                    "name": "Prices 2024",
                    "company_id": self.company.id,
                    "contract_domain": repr([("id", "in", contracts.ids)]),
                    **vals,
                }
            )
        )
        update.action_find_lines()
        return update

    def _apply(self, update):
        update.with_user(self.reviewer).action_approve()
        update.with_user(self.user).action_apply()
        return update

    def _make_rent(self, price=100.0, **line):
        return self._make_contract([{"price_unit": price, **line}], date_start="2024-01-01")

    def test_from_the_next_period(self):
        """Each line from its first period that nothing invoices; the runs follow."""
        invoiced, fresh = self._make_rent(), self._make_rent(50.0)
        fresh.billing_hold = True
        self._run_all("2024-02-15")
        fresh.billing_hold = False
        update = self._make_update(invoiced | fresh)
        days = {line.contract_id: line.date_from for line in update.line_ids}
        self.assertEqual(days, {invoiced: day("2024-03-01"), fresh: day("2024-01-01")})
        self.assertEqual(update.line_count, 2)
        self.assertEqual((update.old_year, update.new_year), (1800.0, 1854.0))
        self._apply(update)
        self.assertEqual(len(update.line_ids.price_id), 2)
        run = self._run_all("2024-03-15")
        amounts = [line.amount for line in run.line_ids if line.contract_id == invoiced]
        self.assertEqual(amounts, [103.0])
        self.assertEqual(invoiced.line_ids.price_unit, 100.0, "the line stays one line")

    def test_not_before(self):
        """From the first period that begins on the day or later."""
        contract = self._make_rent()
        update = self._make_update(contract, not_before="2024-04-10")
        self.assertEqual(update.line_ids.date_from, day("2024-05-01"))
        update = self._make_update(contract, not_before="2024-04-01")
        self.assertEqual(update.line_ids.date_from, day("2024-04-01"))

    def test_methods(self):
        contract = self._make_rent(100.0)
        index = self.env["billing.index"].create(
            {
                "code": "CPI",
                "name": "Prices",
                "company_id": self.company.id,
                "value_ids": [
                    Command.create({"month": "2023-01-01", "value": 110.09}),
                    Command.create({"month": "2023-12-01", "value": 111.56}),
                ],
            }
        )
        self.product.list_price = 130.0
        for vals, price in (
            ({"method": "percentage", "percentage": 2.333}, 102.33),
            ({"method": "percentage", "percentage": 2.333, "price_step": 0.05}, 102.35),
            ({"method": "amount", "amount": -7.5}, 92.5),
            ({"method": "price", "price_unit": 120.0}, 120.0),
            ({"method": "product"}, 130.0),
            ({"method": "pricelist"}, 130.0),
            (
                {
                    "method": "index",
                    "index_id": index.id,
                    "base_month": "2023-01-01",
                    "index_month": "2023-12-01",
                },
                101.34,
            ),
        ):
            with self.subTest(**vals):
                self.assertEqual(self._make_update(contract, **vals).line_ids.price_unit, price)

    def test_left_out(self):
        """What is excluded, too young, planned already or follows an index says so."""
        excluded = self._make_rent(exclude_from_price_update=True)
        young = self._make_contract(date_start="2024-06-01")
        planned = self._make_rent()
        planned.line_ids.price_ids = [
            Command.create({"date_from": "2024-01-01", "price_unit": 90.0})
        ]
        ended = self._make_rent(date_end="2024-01-31")
        update = self._make_update(
            excluded | young | planned | ended, older_than="2024-06-01", not_before="2024-01-01"
        )
        reasons = {line.contract_id: line.reason for line in update.line_ids}
        self.assertIn("excluded", reasons[excluded])
        self.assertIn("counts since", reasons[young])
        self.assertIn("planned", reasons[planned])
        self.assertFalse(reasons[ended])
        self.assertEqual((update.line_count, update.left_out_count), (1, 3))
        late = self._make_update(ended, not_before="2024-02-01")
        self.assertFalse(late.line_ids)

    def test_looked_through(self):
        """Single prices are edited or left out, before the approval only."""
        contracts = self._make_rent() | self._make_rent() | self._make_rent()
        update = self._make_update(contracts)
        first, second, third = update.line_ids
        first.price_unit = 101.0
        second.is_dropped = True
        with self.assertRaises(AccessError):
            third.old_price_unit = 1.0
        update.with_user(self.reviewer).action_approve()
        with self.assertRaises(UserError):
            first.price_unit = 150.0
        with self.assertRaises(UserError):
            update.percentage = 50.0
        with self.assertRaises(UserError):
            update.action_find_lines()
        update.action_apply()
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [100.0, 101.0, 103.0])

    def test_rights(self):
        update = self._make_update(self._make_rent())
        with self.assertRaises(UserError):
            update.action_approve()
        with self.assertRaises(UserError):
            update.action_apply()
        with self.assertRaises(AccessError):
            update.state = "approved"
        self.company.invoice_run_four_eyes = True
        own = self._make_update(self._make_rent(), self.reviewer)
        with self.assertRaisesRegex(UserError, "Four-eyes"):
            own.action_approve()
        own.with_user(self.manager).action_approve()
        with self.assertRaises(AccessError):
            update.unlink()

    def test_undo(self):
        """While nothing is invoiced at the new price."""
        contract = self._make_rent()
        update = self._apply(self._make_update(contract, not_before="2024-02-01"))
        self._run_all("2024-01-15")
        update.action_undo()
        self.assertFalse(contract.line_ids.price_ids)
        self.assertEqual(update.state, "undone")
        update = self._apply(self._make_update(contract, not_before="2024-02-01"))
        self._run_all("2024-02-15")
        with self.assertRaisesRegex(UserError, "at the new price"):
            update.action_undo()
        with self.assertRaises(UserError):
            update.with_user(self.manager).unlink()

    def test_undo_after_a_change(self):
        """A later change takes the new price along, and the update takes it back from there."""
        contract = self._make_rent()
        update = self._apply(self._make_update(contract, not_before="2024-03-01"))
        new = contract.line_ids._change_from(day("2024-02-01"), {"quantity": 2.0})
        self.assertEqual(new.price_ids.price_unit, 103.0)
        run = self._run_all("2024-03-15")
        self.assertAmounts(run, [100.0, 200.0, 206.0])
        with self.assertRaisesRegex(UserError, "at the new price"):
            update.action_undo()

    def test_and_credit(self):
        """From the day itself: the next run credits what was invoiced and charges it anew."""
        contract = self._make_rent()
        self._run_all("2024-02-15")
        update = self._make_update(contract, not_before="2024-02-01", with_credit=True)
        self.assertEqual(update.line_ids.date_from, day("2024-02-01"))
        self._apply(update)
        self.assertEqual(update.line_ids.new_line_id.price_unit, 103.0)
        update.action_undo()
        self.assertFalse(contract.line_ids.previous_line_id)
        self._apply(self._make_update(contract, not_before="2024-02-01", with_credit=True))
        run = self._run_all("2024-02-20")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [-100.0, 103.0])

    def test_price_changed_meanwhile(self):
        contract = self._make_rent()
        update = self._make_update(contract)
        update.with_user(self.reviewer).action_approve()
        contract.line_ids.price_unit = 110.0
        with self.assertRaisesRegex(UserError, "has changed since"):
            update.action_apply()

    def test_applied_once(self):
        contract = self._make_rent()
        update = self._apply(self._make_update(contract))
        with self.assertRaises(UserError):
            update.action_apply()
        self.assertEqual(len(contract.line_ids.price_ids), 1)

    def test_prepared_the_run(self):
        """The user who applies new prices has prepared what is invoiced at them."""
        self._apply(self._make_update(self._make_rent()))
        run = self._make_amounts(self._make_run("2024-01-15"), self.manager)
        self.assertTrue(run._get_prepared_by(self.user))

    @freeze_time("2024-01-10")
    def test_letters(self):
        contract = self._make_rent()
        update = self._make_update(contract)
        with self.assertRaises(UserError):
            update.action_send_letters()
        update.with_user(self.reviewer).action_approve()
        letters = update._get_letters()
        (change,) = letters[contract.id]["changes"]
        self.assertEqual((change.old.price_unit, change.new.price_unit), (100.0, 103.0))
        update.action_send_letters()
        mail = self.env["mail.mail"].search([("model", "=", contract._name)], limit=1)
        self.assertIn("103.00", mail.body_html)

    def _approve_indexed(self, contract, **vals):
        """Approve an update of ``contract`` by an index: 110.09 in January 2023, then 111.56."""
        values = [("2023-01-01", 110.09), ("2023-12-01", 111.56)]
        self.index = self.env["billing.index"].create(
            {
                "code": "CPI",
                "name": "Consumer Prices",
                "company_id": self.company.id,
                "value_ids": [
                    Command.create({"month": month, "value": value}) for month, value in values
                ],
            }
        )
        update = self._make_update(
            contract,
            method="index",
            index_id=self.index.id,
            base_month="2023-01-01",
            index_month="2023-12-01",
        )
        update.line_ids.write(vals)
        update.with_user(self.reviewer).action_approve()
        return update

    def _get_letter_texts(self, update, contract):
        """Return what the email and the PDF of ``contract`` say, without no-break spaces."""
        update.action_send_letters()
        mail = self.env["mail.mail"].search([("res_id", "=", contract.id)], limit=1)
        action = update.action_print_letters()
        printed = self.env["ir.attachment"].search(
            [("res_model", "=", update._name), ("res_id", "=", update.id)], limit=1
        )
        self.assertIn(str(printed.id), action["url"])
        texts = mail.body_html, printed.raw.decode()
        return [text.replace("\xa0", " ").replace("\u202f", " ") for text in texts]

    @freeze_time("2024-01-10")
    def test_letters_tell_the_calculation_by_an_index(self):
        contract = self._make_rent(1000.0)
        update = self._approve_indexed(contract)
        # what is revised meanwhile changes neither the price nor what is told of it
        self.index.value_ids[-1].value = 120.0
        for text in self._get_letter_texts(update, contract):
            self.assertIn("Index CPI Consumer Prices, January 2023: 110.09", text)
            self.assertIn("Index CPI Consumer Prices, December 2023: 111.56", text)
            self.assertIn("$ 1,000.00 × 111.56 ÷ 110.09 = 1,013.352711, rounded to 0.01", text)
            self.assertIn("rounded to 0.01: $ 1,013.35", text)

    @freeze_time("2024-01-10")
    def test_letters_tell_it_in_the_language_of_the_customer(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        contract = self._make_rent(1000.0)
        contract.partner_id.lang = "fr_FR"
        for text in self._get_letter_texts(self._approve_indexed(contract), contract):
            self.assertIn("janvier 2023", text)
            self.assertIn("111,56 ÷ 110,09", text)
            self.assertIn("1 013,35", text)

    @freeze_time("2024-01-10")
    def test_letters_tell_no_calculation_that_does_not_give_the_price(self):
        contract = self._make_rent(1000.0)
        update = self._approve_indexed(contract, price_unit=1010.0)
        for text in self._get_letter_texts(update, contract):
            self.assertIn("1,010.00", text)
            self.assertNotIn("110.09", text)

    def test_selection_that_cannot_be_read(self):
        update = self._make_update(self._make_rent())
        for text in ("[", "[('no_such_field', '=', 1)]", "__import__('os')"):
            update.contract_domain = text
            with self.subTest(text=text), self.assertRaises(UserError):
                update.action_find_lines()

    def test_many_lines(self):
        """The number of queries hardly depends on how many lines there are."""
        contracts = self.env["billing.contract"]
        for _number in range(30):
            contracts |= self._make_rent()
        counts = []
        for some in (contracts[:5], contracts[5:]):
            update = self._make_update(some)
            update.with_user(self.reviewer).action_approve()
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            update.action_apply()
            self.env.flush_all()
            counts.append(self.env.cr.sql_log_count - before)
        self.assertLess(counts[1], counts[0] + 10)
