from datetime import date
from unittest.mock import patch

from freezegun import freeze_time

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import Form, tagged

from .ledger_common import LedgerCommon


class PriceChangeCommon(LedgerCommon):
    def _open(self, records, **vals):
        """Open the dialog as a user would, on contracts or price lines."""
        model = self.env["billing.contract.change"].with_user(self.user)
        return model.with_context(active_model=records._name, active_ids=records.ids).create(vals)

    def _apply(self, records, day, price=None, **vals):
        if price is not None:
            vals |= {"change": "price", "price_unit": price}
        wizard = self._open(records, date=day, **vals)
        wizard.action_apply()
        return wizard

    def _get_notes(self, contract):
        return " ".join(contract.message_ids.mapped("body")).replace("&nbsp;", " ")


@tagged("post_install", "-at_install")
class TestProposal(PriceChangeCommon):
    """What the dialog says before anything is written."""

    def test_the_next_day_that_is_not_invoiced_is_proposed(self):
        monthly = self._make_contract(date_start="2024-01-01")
        quarterly = self._make_contract(date_start="2024-01-01", period_count=3)
        fresh = self._make_contract(date_start="2024-02-10")
        self._run_all("2024-01-15")
        self.assertEqual(self._open(monthly).date, date(2024, 2, 1))
        self.assertEqual(self._open(fresh).date, date(2024, 2, 10))
        both = self._open(monthly | quarterly | fresh)
        self.assertEqual(both.date, date(2024, 4, 1))
        self.assertEqual(both.correction_count, 0)

    def test_a_line_that_is_over_proposes_nothing(self):
        contract = self._make_contract(
            [{"date_end": "2024-06-30", "initial_invoiced_until": "2024-06-30"}, {}],
            date_start="2024-01-01",
        )
        self._run_all("2024-01-15")
        self.assertEqual(self._open(contract).date, date(2024, 2, 1))
        with freeze_time("2024-08-20"):
            self.assertEqual(self._open(contract.line_ids[0]).date, date(2024, 8, 20))

    def test_old_and_new_per_month_and_year(self):
        contract = self._make_contract(
            [
                {"price_unit": 100.0, "quantity": 2.0},
                {"price_unit": 1000.0, "price_interval": "year"},
            ],
            date_start="2024-01-01",
        )
        wizard = self._open(contract, date="2024-02-01", percentage=10.0)
        self.assertEqual(wizard.line_ids.mapped("old_month"), [200.0, 83.33])
        self.assertEqual(wizard.line_ids.mapped("new_month"), [220.0, 91.67])
        self.assertEqual(wizard.line_ids.mapped("old_year"), [2400.0, 1000.0])
        self.assertEqual(wizard.line_ids.mapped("new_year"), [2640.0, 1100.0])
        self.assertEqual((wizard.old_month, wizard.new_month), (283.33, 311.67))
        self.assertEqual((wizard.old_year, wizard.new_year), (3400.0, 3740.0))
        old_lines = contract.line_ids
        wizard.action_apply()
        new = contract.line_ids - old_lines
        self.assertEqual(sorted(new.mapped("price_month")), [91.67, 220.0])
        self.assertEqual(sorted(new.mapped("price_year")), [1100.0, 2640.0])

    def test_preview_is_what_the_lines_become(self):
        taxed = self._with_tax(
            self._make_tax(21, price_include_override="tax_included"), price_unit=121.0
        )
        other = self._make_product("Other", 77.77)
        for change in (
            {"change": "percentage", "percentage": 3.7, "price_step": 0.05},
            {"change": "price", "price_unit": 12.345},
            {"change": "quantity", "quantity": 3.5},
            {"change": "product", "product_id": other.id},
        ):
            with self.subTest(change=change["change"]):
                contract = self._make_contract([taxed, {"discount": 15.0}], date_start="2024-01-01")
                wizard = self._open(contract, date="2024-02-01", **change)
                seen = [
                    (one.new_price_unit, one.new_quantity, one.new_month, one.new_year)
                    for one in wizard.line_ids
                ]
                wizard.action_apply()
                lines = contract.line_ids.filtered("previous_line_id").sorted("previous_line_id")
                became = [
                    (one.price_unit, one.quantity, one.price_month, one.price_year) for one in lines
                ]
                self.assertEqual(seen, became)

    def test_a_planned_price_is_not_added_to_the_one_before(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._apply(contract, "2024-06-01", 110.0)
        wizard = self._open(contract, date="2024-02-01", change="price", price_unit=200.0)
        self.assertEqual(wizard.changed_count, 2)
        self.assertEqual((wizard.old_month, wizard.new_month), (100.0, 200.0))

    def test_the_old_price_is_the_one_in_force_by_then(self):
        """A planned price, or one by an index, may have followed the price that was typed."""
        contract = self._make_contract(date_start="2024-01-01")
        contract.line_ids.price_ids = [
            Command.create({"date_from": "2024-02-01", "price_unit": 120.0})
        ]
        wizard = self._open(contract, date="2024-03-01", change="percentage", percentage=10.0)
        row = wizard.line_ids
        self.assertEqual((row.price_unit, row.new_price_unit), (120.0, 132.0))
        self.assertEqual((row.old_month, row.new_month), (120.0, 132.0))
        self.assertEqual(row.price_since, date(2024, 2, 1))

    def test_lines_that_end_come_to_nothing(self):
        contract = self._make_contract(date_start="2024-01-01")
        wizard = self._open(contract, date="2024-02-01", change="end")
        self.assertEqual((wizard.old_month, wizard.new_month), (100.0, 0.0))

    def test_several_currencies_are_added_up_in_that_of_the_company(self):
        dollar = self.env.ref("base.USD")
        euro = self._make_euro(2.0)
        self.assertEqual(self.company.currency_id, dollar)
        ours = self._make_contract(date_start="2024-01-01")
        theirs = self._make_contract(date_start="2024-01-01", currency_id=euro.id)
        self.assertEqual(self._open(theirs).currency_id, euro)
        self.assertEqual(self._open(theirs).old_month, 100.0)
        wizard = self._open(ours | theirs)
        self.assertEqual(wizard.currency_id, dollar)
        self.assertEqual(wizard.old_month, 300.0)

    def _assert_credit(self, day, **vals):
        """What the preview says is credited is what the next run credits."""
        self._bill([vals], period_anchor="calendar", proration=self.proration)
        wizard = self._open(self.contract, date=day, change="price", price_unit=250.0)
        credit = wizard.credit
        self.assertTrue(wizard.line_ids.is_billed)
        self.assertEqual(wizard.line_ids.credit, credit)
        wizard.action_apply()
        run = self._make_amounts(self._make_run("2024-01-31"))
        credits = run.line_ids.filtered("corrects_id")
        self.assertEqual(credits.mapped("amount"), [-credit])
        run.action_delete_amounts("next")
        self.contract.billing_hold = True

    def test_credit_is_that_of_the_correction(self):
        tax = self._make_tax(21, price_include_override="tax_included")
        for self.proration in ("actual", "thirty", "thirty_360"):
            for number, day in enumerate((2, 11, 16, 31)):
                vals = {"price_unit": 33.33}
                if number % 2:
                    vals |= self._with_tax(tax, quantity=3.0, discount=7.0)
                with self.subTest(proration=self.proration, day=day):
                    self._assert_credit(f"2024-01-{day:02}", **vals)

    def test_what_was_credited_by_hand_is_not_credited_again(self):
        move = self._bill()
        self._credit(move, 30.0, billing_credit_kind="goodwill")
        wizard = self._open(self.contract, date="2024-01-11", change="price", price_unit=110.0)
        self.assertEqual(wizard.credit, 67.74)
        wizard.action_apply()
        run = self._make_amounts(self._make_run("2024-01-31"))
        credits = run.line_ids.filtered("corrects_id")
        self.assertEqual(sum(credits.mapped("amount")), -67.74)

    def test_amounts_that_are_not_invoiced_are_no_credit(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._make_amounts(self._make_run("2024-01-15"))
        wizard = self._open(contract, date="2024-01-16", change="price", price_unit=110.0)
        self.assertTrue(wizard.line_ids.is_billed)
        self.assertEqual(wizard.credit, 0.0)

    def test_who_was_not_raised_since(self):
        old = self._make_contract(date_start="2020-01-01", title="Old")
        raised = self._make_contract(date_start="2020-01-01", title="Raised")
        self._apply(raised, "2023-07-01", 110.0)
        wizard = self._open(
            old | raised, date="2024-02-01", percentage=10.0, older_than="2023-01-01"
        )
        changed = wizard.line_ids.filtered("is_changed")
        self.assertEqual(changed.contract_id, old)
        notes = wizard.line_ids.filtered("note").mapped("note")
        self.assertIn("Its price counts since 07/01/2023.", notes)
        self.assertEqual(wizard.left_out_count, 1)
        wizard.older_than = "2023-07-02"
        self.assertEqual(wizard.changed_count, 2)
        wizard.older_than = "2019-01-01"
        with self.assertRaisesRegex(UserError, "counts since"):
            wizard.action_apply()

    def test_as_many_queries_however_many_lines(self):
        contracts = self._make_contract([{}] * 4, date_start="2024-01-01")
        few = self._count_queries(contracts)
        for _number in range(4):
            contracts |= self._make_contract([{}] * 10, date_start="2024-01-01")
        self.assertLessEqual(self._count_queries(contracts), few + 2)

    def _count_queries(self, contracts):
        self.env.flush_all()
        self.env.invalidate_all()
        wizard = self._open(contracts, percentage=3.0)
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        wizard.line_ids.mapped("new_month")
        return self.env.cr.sql_log_count - before


@tagged("post_install", "-at_install")
class TestApplied(PriceChangeCommon):
    """What is written, and what is said about it."""

    def test_it_says_what_was_done(self):
        self._bill()
        other = self._make_contract([{"price_unit": 50.0}], date_start="2024-01-01")
        over = self._make_contract(date_start="2023-01-01", date_end="2023-12-31")
        raised = self._make_contract(date_start="2023-01-01")
        self._apply(raised, "2024-01-16", change="percentage", percentage=5.0)
        wizard = self._apply(
            self.contract | other | over | raised,
            "2024-01-16",
            change="percentage",
            percentage=10.0,
        )
        text = wizard.result
        self.assertIn("2 price lines of 2 contracts", text)
        self.assertRegex(text, r"150\.00.*165\.00.*1,800\.00.*1,980\.00")
        self.assertRegex(text, r"credit.*51\.61")
        self.assertIn("Left out: 1 price lines", text)
        self.assertEqual(wizard.action_open_contracts()["res_model"], "billing.contract")

    def test_both_prices_are_in_the_chatter_of_each_contract(self):
        contract = self._make_contract([{"price_unit": 0.0345, "quantity": 2.0}, {}])
        self._apply(contract, "2024-02-01", change="percentage", percentage=3.0)
        note = self._get_notes(contract)
        self.assertIn("“Rent” from 02/01/2024: 2 × $ 0.0345 / Month → 2 × $ 0.035535", note)
        self.assertIn("$ 100.00 / Month → $ 103.00 / Month", note)
        self.assertEqual(contract.message_ids[0].author_id, self.user.partner_id)
        self._apply(contract.line_ids[1], "2024-01-15", change="end")
        self.assertIn("ends before 01/15/2024", self._get_notes(contract))

    def test_both_quantities_of_a_line_with_bands_are_in_the_chatter(self):
        bands = [{"up_to": 10.0, "price_unit": 5.0}, {"price_unit": 4.0}]
        tariff = self.env["billing.tariff"].create(
            {"name": "Seats", "tier_ids": [Command.create(band) for band in bands]}
        )
        contract = self._make_contract([{"tariff_id": tariff.id, "quantity": 12.0}])
        self._apply(contract, "2024-02-01", change="quantity", quantity=20.0)
        note = self._get_notes(contract)
        self.assertRegex(note, r"12 × \(.*5\.00.*\) / Month → 20 × \(.*5\.00.*\) / Month")

    def test_it_is_applied_once(self):
        contract = self._make_contract(date_start="2024-01-01")
        wizard = self._apply(contract, "2024-02-01", 110.0)
        with self.assertRaisesRegex(UserError, "applied already"):
            wizard.action_apply()
        self.assertEqual(len(contract.line_ids), 2)

    def test_nobody_says_that_it_was_done(self):
        contract = self._make_contract(date_start="2024-01-01")
        wizard = self._open(contract, date="2024-02-01")
        for vals in ({"is_done": True}, {"result": "All right"}):
            with self.assertRaises(AccessError):
                wizard.write(vals)

    def test_form(self):
        contract = self._make_contract(date_start="2024-01-01")
        model = self.env["billing.contract.change"].with_user(self.user)
        form = Form(model.with_context(active_model=contract._name, active_ids=contract.ids))
        form.percentage = 5.0
        self.assertEqual((form.old_month, form.new_month), (100.0, 105.0))
        form.change = "price"
        form.price_unit = 120.0
        self.assertEqual((form.changed_count, form.new_year), (1, 1440.0))

    def test_lines_are_split_as_before(self):
        contract = self._make_contract([{"discount": 5.0}], date_start="2024-01-01")
        line = contract.line_ids
        new = line.with_user(self.user)._change_from(date(2024, 2, 1), {"price_unit": 110.0})
        self.assertEqual(str(line.date_end), "2024-01-31")
        self.assertEqual((str(new.date_start), new.discount), ("2024-02-01", 5.0))
        self.assertEqual(new.previous_line_id, line)


@tagged("post_install", "-at_install")
class TestSameDay(PriceChangeCommon):
    """A change that was wrong is changed again from the same day: one way works, and is named."""

    def _raise_wrongly(self):
        self.contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        self._apply(self.contract, "2024-02-01", 150.0)
        self.wrong = self.contract.line_ids[1]

    def test_before_it_is_invoiced_it_is_overwritten(self):
        self._raise_wrongly()
        self._apply(self.wrong, "2024-02-01", 110.0)
        self.assertEqual(self.contract.line_ids.mapped("price_unit"), [100.0, 110.0])

    def test_the_message_names_the_run_that_has_amounts(self):
        self._raise_wrongly()
        run = self._make_amounts(self._make_run("2024-02-15"))
        with self.assertRaisesRegex(UserError, f"delete the amounts of {run.reference}"):
            self._apply(self.wrong, "2024-02-01", 110.0)
        run.action_delete_amounts("wrong price")
        self._apply(self.wrong, "2024-02-01", 110.0)
        self.assertAmounts(self._run_all("2024-02-15"), [110.0])

    def test_the_way_that_the_messages_name_works(self):
        self._raise_wrongly()
        move = self._run_all("2024-02-15").document_ids.move_id
        named = f"reverse {move.name} with “Release for Invoicing”.*Then repeat this change"
        with self.assertRaisesRegex(UserError, named):
            self._apply(self.wrong, "2024-02-01", 110.0)
        for refused in (self.wrong.action_undo_change, self.wrong.unlink):
            with self.assertRaisesRegex(UserError, "Change from Date"):
                refused()
        self._reverse(move, invoice_bill_again=True).action_post()
        self._apply(self.wrong, "2024-02-01", 110.0)
        self.assertEqual(self.contract.line_ids.mapped("price_unit"), [100.0, 110.0])
        run = self._run_all("2024-02-20", target_date="2024-02-20")
        self.assertAmounts(run, [110.0])
        self.assertEqual(self._get_balance(), 210.0)
        self.assertFalse(self._run_all("2024-02-21", target_date="2024-02-21").document_ids)

    def test_the_end_from_the_first_day(self):
        self._raise_wrongly()
        move = self._run_all("2024-02-15").document_ids.move_id
        with self.assertRaisesRegex(UserError, "nothing would be left.*discount of 100 %"):
            self._apply(self.wrong, "2024-02-01", change="end")
        self._reverse(move, invoice_bill_again=True).action_post()
        self.wrong.with_user(self.user).discount = 100.0
        self._run_all("2024-02-20", target_date="2024-02-20")
        self.assertEqual(self._get_balance(), 100.0)


@tagged("post_install", "-at_install")
class TestTrace(PriceChangeCommon):
    """A price that is overwritten on an active contract."""

    def test_it_is_noted_with_line_old_new_and_author(self):
        self._bill()
        line = self.contract.line_ids.with_user(self.user)
        line.write({"price_unit": 120.0, "quantity": 2.0})
        note = self._get_notes(self.contract)
        self.assertIn("“Rent” was overwritten", note)
        self.assertIn("Price: $ 100.00 → $ 120.00", note)
        self.assertIn("Quantity: 1.00 → 2.00", note)
        self.assertIn("invoiced until 01/31/2024 stay as they were", note)
        self.assertEqual(self.contract.message_ids[0].author_id, self.user.partner_id)

    def test_what_was_invoiced_stays(self):
        move = self._bill()
        self.contract.line_ids.price_unit = 120.0
        self.assertEqual(move.amount_untaxed, 100.0)
        self.assertAmounts(self._run_all("2024-02-15"), [120.0])

    def test_one_note_for_all_lines_of_a_contract(self):
        contract = self._make_contract([{}, {"price_unit": 50.0}])
        count = len(contract.message_ids)
        contract.with_user(self.user).line_ids.write({"price_unit": 60.0})
        self.assertEqual(len(contract.message_ids), count + 1)

    def test_a_draft_is_just_filled_in(self):
        contract = self._make_contract(activate=False)
        contract.line_ids.price_unit = 60.0
        self.assertNotIn("overwritten", self._get_notes(contract))

    def test_the_same_price_is_no_change(self):
        contract = self._make_contract()
        contract.line_ids.price_unit = 100.0
        self.assertNotIn("overwritten", self._get_notes(contract))

    def test_no_context_hides_it(self):
        contract = self._make_contract()
        line = contract.line_ids.with_context(invoice_run_trace=True, tracking_disable=True)
        line.price_unit = 60.0
        self.assertIn("overwritten", self._get_notes(contract))

    def test_the_form_says_so_at_once(self):
        self._bill()
        line = self.contract.line_ids
        spec = {"price_unit": {}}
        warning = line.onchange({"price_unit": 120.0}, ["price_unit"], spec).get("warning")
        self.assertIn("invoiced until 01/31/2024", warning["message"])
        self.assertEqual(warning["type"], "notification")
        fresh = self._make_contract().line_ids
        self.assertFalse(fresh.onchange({"price_unit": 9.0}, ["price_unit"], spec).get("warning"))

    def test_since_when_a_price_counts(self):
        self._bill()
        line = self.contract.line_ids
        self.assertEqual(line.price_since, date(2024, 1, 1))
        self._apply(line, "2024-02-01", 110.0)
        raised = line.search([("previous_line_id", "=", line.id)])
        self.assertEqual(raised.price_since, date(2024, 2, 1))
        self._apply(raised, "2024-03-01", change="quantity", quantity=2.0)
        more = line.search([("previous_line_id", "=", raised.id)])
        self.assertEqual(more.price_since, date(2024, 2, 1))
        line.price_unit = 90.0
        self.assertEqual(line.price_since, date(2024, 2, 1))
        self.assertEqual(more.price_since, date(2024, 2, 1))

    def test_since_when_of_an_overwritten_price(self):
        self._bill()
        line = self.contract.line_ids.with_user(self.user)
        line.quantity = 3.0
        self.assertEqual(line.price_since, date(2024, 1, 1))
        line.price_unit = 105.0
        self.assertEqual(line.price_since, date(2024, 2, 1))
        with self.assertRaises(AccessError):
            line.price_edited_from = "2020-01-01"


@tagged("post_install", "-at_install")
class TestLetters(PriceChangeCommon):
    """What customers are told."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")
        cls.template = cls.env.ref("invoice_run.mail_template_price_change")
        cls.template.with_context(lang="fr_FR").subject = "Nouveau prix de {{ object.name }}"
        cls.french = cls._make_partner("Claire", "claire@example.com", lang="fr_FR")
        cls.silent = cls._make_partner("Silent")
        cls.contracts = cls.env["billing.contract"].union(
            *(
                cls._make_contract(
                    [{"name": f"Rent of {partner.name}"}],
                    date_start="2024-01-01",
                    partner_id=partner.id,
                )
                for partner in (cls.debtor, cls.french, cls.silent)
            )
        )

    def _get_mails(self):
        domain = [("model", "=", "billing.contract"), ("res_id", "in", self.contracts.ids)]
        return self.env["mail.mail"].search(domain)

    def test_none_by_default(self):
        self._apply(self.contracts, "2024-02-01", 110.0)
        self.assertFalse(self._get_mails())

    def test_each_customer_gets_old_and_new_price_in_their_language(self):
        wizard = self._apply(self.contracts, "2024-02-01", 110.0, letters="email")
        mails = self._get_mails()
        self.assertEqual(mails.recipient_ids, self.debtor | self.french)
        by_partner = {mail.recipient_ids: mail for mail in mails}
        english, french = by_partner[self.debtor], by_partner[self.french]
        self.assertIn("new prices of contract", english.subject)
        self.assertIn("Nouveau prix de", french.subject)
        self.assertIn("100.00", english.body_html)
        self.assertIn("110.00", english.body_html)
        self.assertIn("02/01/2024", english.body_html)
        self.assertIn("110,00", french.body_html)
        self.assertIn("01/02/2024", french.body_html)
        self.assertIn("Rent of Debtor", english.body_html)
        self.assertNotIn("Claire", english.body_html)
        self.assertIn("no email address", wizard.result)
        self.assertIn(self.contracts[2].name, wizard.result)

    def test_whoever_is_left_out_gets_no_letter(self):
        self._apply(self.contracts[0], "2024-01-15", 105.0)
        self._apply(self.contracts, "2024-02-01", 110.0, letters="email", older_than="2024-01-10")
        self.assertEqual(self._get_mails().recipient_ids, self.french)

    def test_another_template_is_refused(self):
        other = self.env.ref("account.email_template_edi_invoice")
        with self.assertRaisesRegex(UserError, "not for contracts"):
            self._apply(
                self.contracts,
                "2024-02-01",
                110.0,
                letters="email",
                mail_template_id=other.id,
            )
        self.assertEqual(len(self.contracts.line_ids), 3)

    def test_one_file_for_all(self):
        wizard = self._apply(self.contracts, "2024-02-01", 110.0, letters="print")
        attachment = wizard.letter_attachment_id.with_user(self.user)
        self.assertIn(str(attachment.id), wizard.action_download_letters()["url"])
        text = attachment.raw.decode()
        for name in ("Debtor", "Claire", "Silent"):
            self.assertIn(f"Rent of {name}", text)
        self.assertIn("110,00", text)
        self.assertIn("110.00", text)
        self.assertFalse(self._get_mails())
        self.assertIn("Letter about the new prices", self._get_notes(self.contracts[0]))
        with self.assertRaises(AccessError):
            attachment.with_user(self.reviewer).read(["raw"])

    def test_too_many_for_one_file(self):
        path = "odoo.addons.invoice_run.models.delivery.billing_price_letter.MAX_PRINTED"
        with patch(path, 2), self.assertRaisesRegex(UserError, "3 letters are too many"):
            self._apply(self.contracts, "2024-02-01", 110.0, letters="print")
        self.assertEqual(len(self.contracts.line_ids), 3)

    def test_a_line_that_ends(self):
        self._apply(self.contracts[0], "2024-02-01", change="end", letters="email")
        self.assertRegex(self._get_mails().body_html, r"100\.00[^<]*</td>\s*<td[^>]*>\s*ends")

    def test_preview_of_the_template_says_nothing(self):
        body = self.template._render_field("body_html", self.contracts[:1].ids)
        self.assertNotIn("100.00", body[self.contracts[0].id])


@tagged("post_install", "-at_install")
class TestLines(PriceChangeCommon):
    def test_invoiced_until_is_there_after_a_raise(self):
        self._bill()
        self._apply(self.contract, "2024-02-01", 110.0)
        self.assertEqual(self.contract.invoiced_until, date(2024, 1, 31))
        self._run_all("2024-02-15")
        self.assertEqual(self.contract.invoiced_until, date(2024, 2, 29))

    def test_next_invoicing_after_a_shortened_end(self):
        """Not the start of the contract, long ago: the credit is due now."""
        self._bill([{"price_unit": 1200.0, "price_interval": "year"}], period_count=12)
        for today, day in (("2024-03-10", "2024-03-10"), ("2024-07-01", "2024-04-16")):
            with self.subTest(today=today), freeze_time(f"{today} 12:00:00"):
                self.contract.date_end = "2024-04-15"
                self.assertEqual(str(self.contract.next_invoicing_date), day)
                self.assertEqual(self.contract.due_state, "due" if today == day else "overdue")
                # whatever its target date
                run = self._make_amounts(self._make_run("2024-02-01"))
                self.assertEqual(len(run.line_ids.filtered("corrects_id")), 1)
                run.action_delete_amounts("next")
                self.contract.date_end = False
                self.assertEqual(str(self.contract.next_invoicing_date), "2025-01-01")

    def test_a_line_that_was_never_invoiced_from_the_start(self):
        self._bill()
        self.contract.line_ids = [
            Command.create({"product_id": self.product.id, "price_unit": 5.0})
        ]
        self.assertFalse(self.contract.invoiced_until)

    def test_a_line_from_later_on(self):
        self._bill()
        line = {"product_id": self.product.id, "price_unit": 5.0, "date_start": "2024-01-21"}
        self.contract.line_ids = [Command.create(line)]
        self.assertEqual(self.contract.invoiced_until, date(2024, 1, 20))
