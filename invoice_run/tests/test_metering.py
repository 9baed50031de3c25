"""Price lines by usage: which items they rate, what a period costs, what comes late."""

from psycopg2 import errors as pg_errors

from odoo.addons.invoice_run.engine.charge import get_charges
from odoo.addons.invoice_run.memory import remembering
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

#: 10 units at 1.00, the next 10 at 1.50, then 2.00: 25 cost 35.00, 35 cost 55.00.
GRADUATED = ((10, 1.0), (20, 1.5), (0, 2.0))


class MeteringCommon(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.km = cls._make_product("Kilometres", 3.0)
        cls.tariff = cls._make_tariff(GRADUATED)

    @classmethod
    def _make_tariff(cls, bands, model="graduated", **vals):
        tiers = [
            {"sequence": number, "up_to": up_to, "price_unit": price, **dict(*more)}
            for number, (up_to, price, *more) in enumerate(bands)
        ]
        return cls.env["billing.tariff"].create(
            {
                "name": f"{model} tariff",
                "model": model,
                "company_id": cls.company.id,
                "tier_ids": [Command.create(tier) for tier in tiers],
                **vals,
            }
        )

    @classmethod
    def _make_metered(cls, line=None, **vals):
        """Make a contract with a price line by usage, from 1 January 2024 in arrears."""
        metered = {
            "product_id": cls.km.id,
            "name": "Kilometres",
            "is_metered": True,
            "price_interval": "period",
            "tariff_id": cls.tariff.id,
            **(line or {}),
        }
        vals = {"date_start": "2024-01-01", "billing_timing": "arrears", **vals}
        return cls._make_contract([metered], **vals)

    @classmethod
    def _drive(cls, contract, **quantities):
        """Create usage of ``contract``: {"d0105": 3} are three kilometres on 5 January."""
        items = cls.env["billing.usage"]
        for day, quantity in quantities.items():
            items |= cls._make_usage(
                date=f"2024-{day[1:3]}-{day[3:]}",
                contract_id=contract.id,
                partner_id=contract.partner_id.id,
                product_id=cls.km.id,
                quantity=quantity,
            )
        return items

    def _confirm(self, move):
        if move.state == "draft":
            move.action_post()

    def _reverse(self, move):
        self._confirm(move)
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=move.ids)
            .create(
                {
                    "journal_id": move.journal_id.id,
                    "date": move.invoice_date,
                    "invoice_bill_again": True,
                }
            )
        )
        wizard.refund_moves()
        self._confirm(wizard.new_move_ids)


@tagged("post_install", "-at_install")
class TestMetering(MeteringCommon):
    def test_usage_of_a_period_is_one_amount(self):
        contract = self._make_metered()
        usage = self._drive(contract, d0105=12, d0120=13, d0203=4)
        self.assertEqual(usage.contract_line_id, contract.line_ids)
        run = self._make_amounts(self._make_run("2024-01-31"))
        [amount] = run.line_ids
        self.assertEqual((amount.amount, amount.rated_quantity), (35.0, 25.0))
        self.assertEqual(amount.usage_claim_ids.usage_id, usage[:2])
        self.assertEqual(usage.mapped("state"), ["planned", "planned", "open"])
        self.assertEqual((amount.period_from, amount.period_to), self._span("01-01", "01-31"))
        self.assertIn("Usage: 25 Units (items: 2)", amount.name)
        self.assertIn("10 Units × $ 1.00", amount.name.replace("\xa0", " "))
        move = self._make_invoices(run)
        self.assertEqual(move.amount_untaxed, 35.0)
        self.assertEqual(usage.mapped("state"), ["invoiced", "invoiced", "open"])
        self.assertEqual(contract.amount_invoiced, 35.0)

    def _span(self, first, last):
        return self._date(f"2024-{first}"), self._date(f"2024-{last}")

    def test_twice_is_one_invoice(self):
        contract = self._make_metered()
        self._drive(contract, d0105=12)
        self._run_all("2024-01-31")
        self.assertFalse(self._run_all("2024-01-31").document_ids)
        self.assertFalse(self._run_all("2024-01-31", self.usage_scenario).document_ids)

    def test_items_are_not_billed_alone(self):
        contract = self._make_metered()
        [item] = self._drive(contract, d0105=12)
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertFalse(run.line_ids)
        self.assertFalse(run.exception_ids)
        [reason] = run.with_user(self.user).explain("billing.usage", item.id)["reasons"]
        self.assertEqual(reason["code"], "metered")

    def test_a_period_without_usage_is_settled(self):
        contract = self._make_metered()
        run = self._run_all("2024-02-15")
        self.assertEqual(run.document_ids.state, "nothing")
        self.assertEqual(contract.line_ids.invoiced_until, self._date("2024-01-31"))

    def test_a_period_is_due_when_it_is_over(self):
        contract = self._make_metered(billing_timing="advance")
        self._drive(contract, d0105=12)
        self.assertEqual(contract.next_invoicing_date, self._date("2024-01-31"))
        self.assertFalse(self._make_amounts(self._make_run("2024-01-30")).line_ids)

    def test_usage_is_on_the_next_invoice_in_advance(self):
        contract = self._make_metered(billing_timing="advance")
        contract.line_ids = [Command.create({"product_id": self.product.id, "price_unit": 100.0})]
        self._run_all("2024-01-01")
        self._drive(contract, d0105=12)
        run = self._run_all("2024-02-01")
        [document] = run.document_ids
        self.assertEqual(document.amount_untaxed, 113.0)
        self.assertEqual((document.date_from, document.date_to), self._span("02-01", "02-29"))

    def test_late_usage_bills_the_difference(self):
        """Rated 55.00 with it, 35.00 were invoiced: 20.00, with its period."""
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        late = self._drive(contract, d0130=10)
        run = self._make_amounts(self._make_run("2024-01-31"))
        [amount] = run.line_ids
        self.assertEqual((amount.amount, amount.late_number), (20.0, 1))
        self.assertEqual((amount.period_from, amount.period_to), self._span("01-01", "01-31"))
        self.assertIn("35 Units instead of 25", amount.name)
        self._make_invoices(run)
        self.assertEqual(late.state, "invoiced")
        self.assertEqual(contract.amount_invoiced, 55.0)
        self.assertFalse(self._run_all("2024-01-31").document_ids)

    def test_late_usage_joins_the_next_invoice(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        self._drive(contract, d0130=10, d0210=3)
        [document] = self._run_all("2024-02-29").document_ids
        self.assertEqual(sorted(document.line_ids.mapped("amount")), [3.0, 20.0])
        self.assertEqual((document.date_from, document.date_to), self._span("02-01", "02-29"))

    def test_reversed_period_is_rated_again_with_all_its_usage(self):
        contract = self._make_metered()
        usage = self._drive(contract, d0105=25)
        move = self._run_all("2024-01-31").document_ids.move_id
        usage |= self._drive(contract, d0130=10)
        late = self._run_all("2024-01-31")
        self._reverse(move)
        self.assertEqual(usage.mapped("state"), ["open", "invoiced"])
        run = self._run_all("2024-01-31")
        self.assertAmounts(run, [35.0])
        self.assertEqual(run.line_ids.usage_claim_ids.usage_id, usage[0])
        self._reverse(late.document_ids.move_id)
        self.assertAmounts(self._run_all("2024-01-31"), [20.0])
        self.assertEqual(contract.amount_invoiced, 55.0)

    def test_late_credit_gives_the_difference_back(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        self._drive(contract, d0120=-10)
        move = self._run_all("2024-01-31").document_ids.move_id
        self.assertEqual((move.move_type, move.amount_untaxed), ("out_refund", 17.5))

    def test_late_usage_stays_with_the_customer_of_its_period(self):
        """The contract has another customer now, who neither pays nor gets what was late."""
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        # known before the contract goes to somebody else
        self._drive(contract, d0130=10)
        stranger = contract.partner_id = self._make_partner("Stranger")
        self._drive(contract, d0205=3)
        run = self._run_all("2024-02-29")
        self.assertAmounts(run, [3.0])
        self.assertEqual(run.document_ids.partner_id, stranger)
        [message] = run.exception_ids.mapped("message")
        self.assertRegex(message, f"invoiced to {self.debtor.name} .* has another customer now")
        # as a branch of the customer who was invoiced it is the same customer
        stranger.parent_id = self.debtor
        self.assertAmounts(self._run_all("2024-02-29"), [20.0])

    def test_goodwill_stays_given(self):
        """A credit by hand is not charged again with late usage."""
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        move = self._run_all("2024-01-31").document_ids.move_id
        self._confirm(move)
        refund = move._reverse_moves([{"invoice_date": "2024-02-01"}])
        refund.invoice_line_ids.price_unit = 5.0
        refund.action_post()
        self._drive(contract, d0130=10)
        self.assertAmounts(self._make_amounts(self._make_run("2024-02-15")), [20.0])

    def test_an_item_is_claimed_once(self):
        contract = self._make_metered()
        [item] = self._drive(contract, d0105=25)
        run = self._run_all("2024-01-31")
        with (
            mute_logger("odoo.sql_db"),
            self.assertRaises(pg_errors.UniqueViolation),
            self.env.cr.savepoint(),
        ):
            self.env["invoice.run.usage"].sudo().create(
                {"line_id": run.line_ids.id, "usage_id": item.id, "is_claimed": True}
            )

    def test_late_usage_of_a_period_is_claimed_by_one(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        self._drive(contract, d0130=10)
        run = self._make_amounts(self._make_run("2024-01-31"))
        with (
            mute_logger("odoo.sql_db"),
            self.assertRaises(pg_errors.ExclusionViolation),
            self.env.cr.savepoint(),
        ):
            run.line_ids.sudo().copy({"is_claimed": True, "late_number": 1})

    def test_deleted_amounts_release_the_items(self):
        contract = self._make_metered()
        usage = self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.action_delete_amounts("wrong")
        self.assertEqual(usage.state, "open")
        self.assertAmounts(self._make_amounts(run), [35.0])

    def test_excluded_document_releases_the_items(self):
        contract = self._make_metered()
        usage = self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.document_ids.action_exclude()
        self.assertEqual(usage.state, "open")
        self._run_all("2024-01-31")
        self.assertEqual(usage.state, "invoiced")
        with self.assertRaisesRegex(UserError, "claimed"):
            run.document_ids.action_include()

    def test_planned_item_that_changes_outdates_its_document(self):
        contract = self._make_metered()
        usage = self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        usage.with_user(self.user).quantity = 35
        self.assertTrue(run.document_ids.is_stale)
        run.action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [55.0])

    def test_new_item_outdates_the_amount_of_its_period(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        other = self._make_metered()
        self._drive(other, d0105=5)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self._drive(contract, d0201=10)
        self.assertFalse(run.stale_count)
        vals = {
            "contract_id": contract.id,
            "product_id": self.km.id,
            "date": "2024-01-31",
            "quantity": 10,
        }
        self.env["billing.usage"].with_user(self.user).create(vals)
        self.assertEqual(run.line_ids.filtered("is_stale").contract_id, contract)
        run.action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [55.0, 5.0])
        self.assertFalse(run.stale_count)

    def test_imported_item_outdates_the_amount_of_its_period(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        names = ["contract_id/.id", "product_id/.id", "date", "quantity", "external_ref"]
        row = [str(contract.id), str(self.km.id), "2024-01-31", "10", "K-1"]
        result = self.env["billing.usage"].with_user(self.user).load(names, [row])
        self.assertFalse(result["messages"])
        self.assertTrue(run.document_ids.is_stale)

    def test_item_moved_into_a_period_outdates_its_amount(self):
        contract = self._make_metered()
        usage = self._drive(contract, d0105=25, d0201=10)
        run = self._make_amounts(self._make_run("2024-01-31"))
        usage[1].with_user(self.user).write({"quantity": 11})
        self.assertFalse(run.stale_count)
        usage[1].with_user(self.user).write({"date": "2024-01-20"})
        self.assertTrue(run.document_ids.is_stale)
        usage[1].with_user(self.user).unlink()
        run.action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [35.0])

    def test_item_after_the_approval_comes_late(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.with_user(self.reviewer).action_approve()
        self._drive(contract, d0131=10)
        self.assertFalse(run.stale_count)
        self.assertEqual(self._make_invoices(run).amount_untaxed, 35.0)
        self.assertAmounts(self._run_all("2024-01-31"), [20.0])

    def test_item_after_an_approval_that_is_withdrawn_is_of_its_period(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        other = self._make_metered(partner_id=self._make_partner("Other").id)
        self._drive(other, d0105=5)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.with_user(self.reviewer).action_approve()
        late = self._drive(contract, d0131=10)
        self.assertFalse(run.stale_count)
        run.with_user(self.reviewer).action_reject("more usage came")
        self.assertEqual(run.line_ids.filtered("is_stale").contract_id, contract)
        with self.assertRaisesRegex(UserError, "Recalculate"):
            run.with_user(self.reviewer).action_approve()
        run.action_renew_stale()
        run._process_queue()
        amount = run.line_ids.filtered(lambda line: line.contract_id == contract)
        self.assertEqual((amount.amount, amount.late_number), (55.0, 0))
        self.assertEqual(late.state, "planned")
        self.assertEqual(sum(self._make_invoices(run).mapped("amount_untaxed")), 60.0)
        self.assertFalse(self._run_all("2024-01-31").document_ids)

    def test_item_after_an_approval_comes_with_what_is_recalculated(self):
        """Another customer changed: the approval goes, and with it what kept the item out."""
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        other = self._make_metered(partner_id=self._make_partner("Other").id)
        usage = self._drive(other, d0105=5)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.with_user(self.reviewer).action_approve()
        self._drive(contract, d0131=10)
        run.action_renew_stale()
        self.assertEqual(run.state, "approved")
        usage.quantity = 6
        run.action_renew_stale()
        run._process_queue()
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [6.0, 55.0])
        self.assertFalse(run.stale_count)

    def test_excluded_document_withdraws_the_approval_with_its_consequences(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        other = self._make_metered(partner_id=self._make_partner("Other").id)
        self._drive(other, d0105=5)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.with_user(self.reviewer).action_approve()
        self._drive(contract, d0131=10)
        run.document_ids.filtered(lambda one: one.contract_ids == other).action_exclude()
        stale = run.line_ids.filtered("is_stale")
        # what was excluded has its own items, which are open again: nothing of it changed
        self.assertEqual(stale.contract_id, contract)

    def test_changed_tariff_outdates_its_documents(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.with_user(self.reviewer).action_approve()
        self.tariff.with_user(self.manager).tier_ids[2].price_unit = 3.0
        self.assertTrue(run.document_ids.is_stale)
        run.action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [40.0])
        self.assertEqual(run.state, "amounts")

    def test_four_eyes_know_who_changed_a_tariff_or_an_item(self):
        self.company.invoice_run_four_eyes = True
        contract = self._make_metered()
        usage = self._drive(contract, d0105=25)
        self.tariff.with_user(self.manager).tier_ids[2].price_unit = 3.0
        run = self._make_amounts(self._make_run("2024-01-31").with_user(self.user))
        with self.assertRaisesRegex(UserError, self.tariff.name):
            run.with_user(self.manager).action_approve()
        self.env["billing.change"].sudo().search([]).unlink()
        usage.with_user(self.reviewer).usage_key = "somebody"
        run.action_renew_stale()
        run._process_queue()
        with self.assertRaisesRegex(UserError, "Four-eyes"):
            run.with_user(self.reviewer).action_approve()

    def test_invoiced_item_cannot_be_changed_or_deleted(self):
        contract = self._make_metered()
        usage = self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        with self.assertRaisesRegex(UserError, "credit item"):
            usage.quantity = 3
        with self.assertRaisesRegex(UserError, "cannot be deleted"):
            usage.unlink()

    def test_preview_is_the_invoice(self):
        """To the coin, with taxes in the price and prices of fractions of a coin."""
        tax = self.env["account.tax"].create(
            {
                "name": "19 % incl.",
                "amount": 19,
                "price_include_override": "tax_included",
                "company_id": self.company.id,
            }
        )
        self.company.tax_calculation_rounding_method = "round_globally"
        tariff = self._make_tariff(((3.5, 0.333), (0, 0.0125)))
        contract = self._make_metered({"tariff_id": tariff.id, "tax_ids": tax.ids})
        self._drive(contract, d0105=17.77)
        run = self._run_all("2024-01-31")
        [document] = run.document_ids
        self.assertEqual(run.line_ids.amount, 1.34)
        self.assertEqual(document.move_id.amount_total, document.amount_total)
        self.assertEqual(document.amount_total, 1.34)

    def test_approved_is_what_is_invoiced(self):
        """The items that are rated, and the tariff, are part of what was approved."""
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        run = self._make_amounts(self._make_run("2024-01-31"))
        before = run._get_fingerprint().split("|")[0]
        run.line_ids.sudo().rated_quantity = 26
        self.assertNotEqual(run._get_fingerprint().split("|")[0], before)


@tagged("post_install", "-at_install")
class TestMeasures(MeteringCommon):
    def _bill(self, line, **usage):
        contract = self._make_metered(line)
        self._drive(contract, **usage)
        return self._make_amounts(self._make_run("2024-01-31")).line_ids

    def test_aggregations(self):
        plain = {"tariff_id": False, "price_unit": 2.0}
        for aggregation, quantity in (("sum", 9), ("max", 5), ("last", 1), ("count", 3)):
            with self.subTest(aggregation=aggregation), self.env.cr.savepoint() as savepoint:
                amount = self._bill(
                    {**plain, "aggregation": aggregation}, d0105=3, d0110=5, d0120=1
                )
                self.assertEqual(amount.amount, quantity * 2)
                self.assertEqual((amount.quantity, amount.price_unit), (quantity, 2.0))
                savepoint.rollback()

    def test_different_keys(self):
        plain = {"tariff_id": False, "price_unit": 2.0, "aggregation": "count_distinct"}
        contract = self._make_metered(plain)
        usage = self._drive(contract, d0105=3, d0110=5, d0120=1, d0121=1)
        usage[:3].usage_key = "A"
        self.assertAmounts(self._make_amounts(self._make_run("2024-01-31")), [4.0])

    def test_volume_cliff(self):
        tariff = self._make_tariff(((10, 1.0), (0, 0.8)), "volume")
        amount = self._bill({"tariff_id": tariff.id}, d0105=10.5)
        self.assertEqual((amount.amount, amount.quantity, amount.price_unit), (8.4, 10.5, 0.8))

    def test_package(self):
        tariff = self._make_tariff(((0, 100.0),), "package", package_size=10)
        amount = self._bill({"tariff_id": tariff.id}, d0105=121)
        self.assertEqual((amount.amount, amount.quantity), (1300.0, 1.0))
        self.assertIn("13 packages", amount.name)

    def test_percentage_of_the_value(self):
        fee = {"flat_fee": 0.25, "rate": 1.4}
        tariff = self._make_tariff(((0, 0.0, fee),), "percentage")
        # 3.00 each by the product
        amount = self._bill({"tariff_id": tariff.id}, d0105=100, d0106=200)
        self.assertEqual(amount.amount, 13.1)

    def test_bands_in_words(self):
        """As the customer reads them in the portal."""
        bands = [(10, 1.0), (0, 0.0125, {"flat_fee": 5.0}.items())]
        cases = (
            ("graduated", bands, {}, ["up to 10 Units: $ 1.00", "above that: $ 0.0125 + $ 5.00"]),
            ("flat", [(0, 2.5)], {}, ["$ 2.50"]),
            ("package", [(0, 100.0)], {"package_size": 10}, ["$ 100.00 per 10 Units"]),
            ("stairstep", [(5, 0.0, {"flat_fee": 20.0}.items()), (0, 0.0)], {}, None),
            ("flat", [(0, 1.0)], {"included_quantity": 7}, ["included: 7 Units", "$ 1.00"]),
        )
        for model, tiers, vals, wanted in cases:
            wanted = wanted or ["up to 5 Units: $ 20.00", "above that: $ 0.00"]
            contract = self._make_metered({"tariff_id": self._make_tariff(tiers, model, **vals).id})
            texts = [text.replace("\xa0", " ") for text in contract.line_ids._get_band_texts()]
            self.assertEqual(texts, wanted, model)

    def test_a_price_of_less_than_a_coin_is_told_in_full(self):
        line = self._make_metered().line_ids
        for price, wanted in ((0.0125, "$ 0.0125"), (0.325, "$ 0.325"), (1.5, "$ 1.50")):
            text = line._format_unit_price(self.env, price).replace("\xa0", " ")
            self.assertEqual(text, wanted)

    def test_included(self):
        tariff = self._make_tariff(((0, 0.3),), "flat", included_quantity=100)
        amount = self._bill({"tariff_id": tariff.id}, d0105=130)
        self.assertEqual((amount.amount, amount.quantity, amount.price_unit), (9.0, 30.0, 0.3))
        self.assertIn("Usage: 130 Units (items: 1)\nincluded: 100 Units", amount.name)

    def test_discount(self):
        self.assertEqual(self._bill({"discount": 10}, d0105=25).amount, 31.5)

    def test_minimum_is_prorated(self):
        """50.00 a month, from 17 January 15 of 31 days: 24.19."""
        line = {"minimum_amount": 50.0, "date_start": "2024-01-17"}
        amount = self._bill(line, d0120=3)
        self.assertEqual(amount.amount, 24.19)
        self.assertIn("minimum", amount.name)

    def test_maximum(self):
        amount = self._bill({"maximum_amount": 30.0}, d0120=25)
        self.assertEqual(amount.amount, 30.0)
        self.assertIn("maximum", amount.name)

    def test_minimum_without_usage(self):
        self.assertEqual(self._bill({"minimum_amount": 50.0}).amount, 50.0)

    def test_tariff_of_a_fixed_quantity(self):
        """25 seats by bands, 35.00 a month, half of it in a cut month."""
        contract = self._make_contract(
            [{"quantity": 25, "price_unit": 0, "tariff_id": self.tariff.id}],
            date_start="2024-04-16",
            period_anchor="calendar",
        )
        run = self._make_amounts(self._make_run("2024-05-01"))
        self.assertAmounts(run, [17.5, 35.0])
        self.assertEqual(contract.line_ids.price_month, 35.0)


@tagged("post_install", "-at_install")
class TestMeters(MeteringCommon):
    def test_meter_code_comes_before_the_product(self):
        contract = self._make_metered({"meter_code": "KM"})
        other = self.env["billing.contract.line"].create(
            {
                "contract_id": contract.id,
                "product_id": self.km.id,
                "is_metered": True,
                "price_interval": "period",
                "meter_code": "KM-NIGHT",
            }
        )
        item = self._make_usage(
            date="2024-01-05",
            contract_id=contract.id,
            product_id=self.product.id,
            meter_code="KM-NIGHT",
        )
        self.assertEqual(item.contract_line_id, other)

    def test_import_finds_the_price_line(self):
        contract = self._make_metered({"meter_code": "KM"})
        fields = ["date", "contract_id", "product_id", "quantity", "meter_code", "external_ref"]
        rows = [["2024-01-05", contract.name, "Rent", "4", "KM", "T-1"]]
        for _number in range(2):
            result = self.env["billing.usage"].with_user(self.user).load(fields, rows)
            self.assertFalse(result["messages"])
        usage = self.env["billing.usage"].search([("contract_line_id", "=", contract.line_ids.id)])
        self.assertEqual(usage.mapped("quantity"), [4.0])

    def test_no_meter_on_that_day_is_an_exception(self):
        """Never invoiced at the price of the product."""
        contract = self._make_metered({"date_start": "2024-01-10"})
        [item] = self._drive(contract, d0105=3)
        self.assertFalse(item.contract_line_id)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(run.exception_ids.usage_id, item)
        self.assertRegex(run.exception_ids.message, "not on this day")
        self.assertNotIn(item, run.line_ids.usage_id)

    def test_two_meters_are_an_exception(self):
        contract = self._make_metered()
        contract.line_ids.copy({"contract_id": contract.id})
        [item] = self._drive(contract, d0105=3)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertRegex(run.exception_ids.message, "Several price lines")
        item.contract_line_id = contract.line_ids[0]
        self.assertAmounts(self._make_amounts(self._make_run("2024-02-01")), [3.0])

    def test_what_somebody_else_pays_has_its_own_price(self):
        contract = self._make_metered()
        driver = self._make_partner("Driver")
        item = self._drive(contract, d0105=3)
        item.partner_id = driver
        self.assertFalse(item.contract_line_id)
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertEqual(run.document_ids.partner_id, driver)
        self.assertAmounts(run, [9.0])

    def test_change_of_the_line_takes_its_open_usage_along(self):
        contract = self._make_metered()
        usage = self._drive(contract, d0105=3, d0120=4)
        new = contract.line_ids._change_from(self._date("2024-01-16"), {"minimum_amount": 9.0})
        self.assertEqual(usage[0].contract_line_id, contract.line_ids - new)
        self.assertEqual(usage[1].contract_line_id, new)
        # 16 of 31 days at 9.00 a month
        self.assertAmounts(self._make_amounts(self._make_run("2024-01-31")), [3.0, 4.65])

    def test_a_percentage_leaves_tariffs_alone(self):
        contract = self._make_metered()
        wizard = (
            self.env["billing.contract.change"]
            .with_user(self.user)
            .with_context(active_model="billing.contract", active_ids=contract.ids)
            .create({"date": "2024-02-01", "change": "percentage", "percentage": 5})
        )
        with self.assertRaisesRegex(UserError, self.tariff.name):
            wizard.action_apply()
        self.assertEqual(len(contract.line_ids), 1)

    def test_usage_of_a_draft_is_an_exception(self):
        contract = self._make_metered()
        [item] = self._drive(contract, d0105=3)
        contract.action_draft()
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(run.exception_ids.usage_id, item)

    def test_end_before_billed_usage_is_refused(self):
        contract = self._make_metered()
        self._drive(contract, d0105=3)
        self._run_all("2024-01-31")
        for vals in (
            {"date_end": "2024-01-20"},
            {"line_ids": [Command.update(contract.line_ids.id, {"date_end": "2024-01-20"})]},
        ):
            with self.assertRaisesRegex(ValidationError, "usage up to"), self.env.cr.savepoint():
                contract.write(vals)
        contract.date_end = "2024-01-31"

    def test_late_usage_goes_with_the_period_as_it_was_billed(self):
        """Late usage goes with the period that was invoiced, whatever the periods are now."""
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        contract.period_count = 3
        self._drive(contract, d0130=10, d0215=4)
        run = self._run_all("2024-03-31")
        self.assertAmounts(run, [20.0, 4.0])
        self.assertEqual(self._get_periods(run)[0], "2024-01-01/2024-01-31")

    def test_what_the_line_must_be(self):
        contract = self._make_metered()
        percent = self._make_tariff(((0, 0.0, {"rate": 1.0}),), "percentage")
        plain = {"product_id": self.product.id, "price_unit": 1.0}
        bounds = {"minimum_amount": 5, "maximum_amount": 4}
        for text, vals in (
            ("metered_by_period", {"price_interval": "month", "is_metered": True}),
            ("By Usage", {"tariff_id": percent.id}),
            ("By Usage", {"minimum_amount": 5.0}),
            ("amounts_in_order", {"is_metered": True, "price_interval": "period", **bounds}),
        ):
            with (
                self.subTest(vals=vals),
                mute_logger("odoo.sql_db"),
                self.assertRaisesRegex(Exception, text),
                self.env.cr.savepoint(),
            ):
                contract.line_ids = [Command.create({**plain, **vals})]
                self.env.flush_all()

    def test_gaps_are_refused(self):
        for bands, text in (
            ((), "Add a band"),
            (((10, 1.0),), "no limit"),
            (((10, 1.0), (5, 1.0), (0, 1.0)), "further"),
        ):
            with self.assertRaisesRegex(ValidationError, text), self.env.cr.savepoint():
                self._make_tariff(bands)
        with self.assertRaisesRegex(ValidationError, "further"), self.env.cr.savepoint():
            self.tariff.tier_ids[1].up_to = 10
        # as the form saves it: the last band gets a limit, and one more comes after it
        self.tariff.write(
            {
                "tier_ids": [
                    Command.update(self.tariff.tier_ids[2].id, {"up_to": 50}),
                    Command.create({"sequence": 99, "price_unit": 3.0}),
                ]
            }
        )
        self.assertEqual(len(self.tariff.tier_ids), 4)

    def test_why_is_it_more_than_last_time(self):
        contract = self._make_metered()
        self._drive(contract, d0105=42, d0205=61)
        self._run_all("2024-01-31")
        [document] = self._make_amounts(self._make_run("2024-02-29")).document_ids
        reasons = [
            reason for change in document._get_changes()[document] for reason in change.reasons
        ]
        self.assertEqual([reason["text"] for reason in reasons], ["usage 42 → 61"])
        # 69.00 and 107.00
        self.assertEqual(reasons[0]["amount"], 38.0)
        self.assertEqual((document.previous_amount, document.amount_untaxed), (69.0, 107.0))

    def test_late_usage_is_a_reason_of_its_own(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        self._drive(contract, d0130=10, d0210=25)
        [document] = self._make_amounts(self._make_run("2024-02-29")).document_ids
        reasons = [
            reason for change in document._get_changes()[document] for reason in change.reasons
        ]
        self.assertEqual([reason["text"] for reason in reasons], ["usage reported later"])
        self.assertEqual(document.variance, 0.0)

    def test_accrued_revenue_is_what_was_used_so_far(self):
        """Until 15 February: 25 kilometres of the open period."""
        contract = self._make_metered()
        self._drive(contract, d0105=3, d0210=25, d0220=4)
        self._run_all("2024-01-31")
        rows = self.env["billing.cutoff.rows"]._get_rows(self.company, self._date("2024-02-15"))
        [row] = [row for row in rows if row["contract_line_id"] == contract.line_ids.id]
        self.assertEqual((row["kind"], row["amount"]), ("accrued", 35))

    def test_no_query_per_line_of_a_cutoff(self):
        """What a hundred price lines measured is read as what two did."""
        self._make_measured(2)
        self._count_cutoff_queries()  # what Odoo remembers from now on
        few = self._count_cutoff_queries()
        self._make_measured(6)
        self.assertLessEqual(self._count_cutoff_queries(), few)

    def _make_measured(self, number):
        """Make contracts by usage with two open periods, one of which is not over."""
        for _number in range(number):
            contract = self._make_metered(
                date_start="2024-01-10", partner_id=self._make_partner("Driver").id
            )
            self._drive(contract, d0112=3, d0210=25, d0220=4)

    def _count_cutoff_queries(self):
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        rows = self.env["billing.cutoff.rows"]._get_rows(self.company, self._date("2024-02-15"))
        self.assertEqual({row["amount"] for row in rows}, {3, 35})
        return self.env.cr.sql_log_count - before

    def test_no_query_per_line_of_a_run(self):
        """Late usage and commitments are read for all contracts of a chunk together."""
        self._count_run_queries(2)  # what Odoo remembers from now on
        few = self._count_run_queries(2)
        self.assertLessEqual(self._count_run_queries(8), few)

    def _count_run_queries(self, number):
        """Return the queries for what a run finds due of new contracts, late and committed."""
        contracts = self.env["billing.contract"]
        for _number in range(number):
            contracts |= self._make_metered(
                {"commitment_amount": 400.0, "commitment_interval": "quarter"},
                partner_id=self._make_partner("Driver").id,
            )
        for contract in contracts:
            self._drive(contract, d0105=25)
        self._run_all("2024-01-31")
        for contract in contracts:
            self._drive(contract, d0130=10)
        run = self._make_run("2024-03-31")
        payers = contracts.commercial_partner_id
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        with remembering(self.env):
            charges, _exceptions = run._get_charges(payers)
        count = self.env.cr.sql_log_count - before
        amounts = sorted(charge.line["amount"] for charge in charges)
        # late usage, two months without any, and what is missing of the commitment
        self.assertEqual(amounts, sorted([20.0, 0.0, 0.0, 345.0] * number))
        return count

    def test_forecast_counts_the_minimum(self):
        contract = self._make_metered({"minimum_amount": 50.0})
        terms = contract._get_billing_terms()
        [span] = contract.line_ids._get_due_spans(terms, [], self._date("2024-01-31"))
        self.assertEqual(list(contract.line_ids._get_forecast_amounts(terms, [span])), [50.0])
        self.assertEqual(contract.line_ids.price_month, 50.0)

    def test_what_is_still_to_invoice(self):
        contract = self._make_metered()
        self._drive(contract, d0105=25)
        charges = get_charges(contract._collect_due(self._date("2024-01-31")))
        self.assertEqual([charge.line["amount"] for charge in charges], [35.0])

    def test_what_is_due_reads_no_item_that_a_line_rates(self):
        """A contract can have a million of them; its form shows what is due."""
        contract = self._make_metered()
        rated = self._drive(contract, d0105=25)
        own = self._make_usage(date="2024-01-07", contract_id=contract.id, price_unit=7.0)
        self.env.flush_all()
        self.env.invalidate_all()
        charges = get_charges(contract._collect_due(self._date("2024-01-31")))
        self.assertEqual([charge.line["amount"] for charge in charges], [35.0, 7.0])
        read = own._fields["quantity"]._get_cache(self.env)
        self.assertIn(own.id, read)
        self.assertNotIn(rated.id, read)


@tagged("post_install", "-at_install")
class TestCommitments(MeteringCommon):
    def _make_committed(self, line=None, **vals):
        line = {"commitment_amount": 1200.0, "tariff_id": False, "price_unit": 1.0, **(line or {})}
        return self._make_metered(line, **vals)

    def test_what_is_missing_comes_with_the_last_period(self):
        contract = self._make_committed(period_count=6)
        self._drive(contract, d0105=300, d0810=400)
        self.assertAmounts(self._run_all("2024-06-30"), [300.0])
        [document] = self._run_all("2024-12-31").document_ids
        used, missing = document.line_ids.sorted("amount")
        self.assertEqual((used.amount, missing.amount), (400.0, 500.0))
        self.assertTrue(missing.is_true_up)
        self.assertFalse(missing.usage_claim_ids)
        self.assertEqual(missing.billing_date_from, self._date("2024-01-01"))
        self.assertRegex(missing.name.replace("\xa0", " "), "1,200.00, usage came to . 700.00")
        self.assertEqual(document.move_id.amount_untaxed, 900.0)
        self.assertFalse(self._run_all("2024-12-31").document_ids)
        self.assertEqual(contract.amount_invoiced, 1200.0)

    def test_first_term_is_cut(self):
        """From July, calendar years: 600.00 committed."""
        contract = self._make_committed(
            date_start="2024-07-01", period_anchor="calendar", period_count=3
        )
        self._drive(contract, d0705=250)
        run = self._run_all("2024-12-31")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [0.0, 250.0, 350.0])

    def test_met_commitment_is_nothing(self):
        contract = self._make_committed(period_count=12)
        self._drive(contract, d0105=1300)
        self.assertAmounts(self._run_all("2024-12-31"), [1300.0])

    def test_end_of_the_contract_completes_the_term(self):
        self._make_committed(date_end="2024-03-31")
        run = self._make_amounts(self._make_run("2024-03-31"))
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [0.0, 0.0, 0.0, 300.0])

    def test_end_after_the_last_day_was_invoiced(self):
        """What is missing does not depend on when the end was known."""
        for end in ("contract", "line"):
            with self.subTest(end=end):
                contract = self._make_committed()
                self._drive(contract, d0105=100)
                self._run_all("2024-03-31")
                ended = contract if end == "contract" else contract.line_ids
                ended.date_end = "2024-03-31"
                # not before its last day
                self.assertFalse(self._run_all("2024-03-15").document_ids)
                run = self._run_all("2024-04-30")
                missing = run.line_ids
                self.assertEqual(missing.mapped("amount"), [200.0])
                self.assertTrue(missing.is_true_up)
                self.assertFalse(self._run_all("2024-04-30").document_ids, "once")
                self.assertEqual(missing.document_id.move_id.amount_untaxed, 200.0)
                self.assertFalse(contract.line_ids.is_shortfall_open)
                # reversed, it is due again
                self._reverse(missing.document_id.move_id)
                again = self._run_all("2024-05-31").line_ids
                self.assertEqual(again.mapped("amount"), [200.0])

    def test_another_tariff_from_the_next_day_on(self):
        """A line that another one follows owes its part of the commitment."""
        contract = self._make_committed()
        self._drive(contract, d0105=100)
        self._run_all("2024-03-31")
        contract.line_ids._change_from(self._date("2024-04-01"), {"price_unit": 2.0})
        old, new = contract.line_ids.sorted(lambda line: line.date_start or line.date_end)
        run = self._run_all("2024-04-30")
        self.assertEqual(run.line_ids.filtered("is_true_up").contract_line_id, old)
        self.assertEqual(sum(run.line_ids.mapped("amount")), 200.0)
        self._run_all("2024-12-31")
        self.assertEqual(sum(new.run_line_ids.mapped("amount")), 900.0)
        self.assertEqual(contract.amount_invoiced, 1200.0)

    def test_end_that_another_customer_was_invoiced_to(self):
        contract = self._make_committed()
        self._run_all("2024-03-31")
        former = contract.partner_id
        contract.partner_id = self._make_partner("Successor")
        contract.date_end = "2024-03-31"
        run = self._run_all("2024-04-30")
        self.assertFalse(run.document_ids)
        self.assertIn(f"was invoiced to {former.display_name}", run.exception_ids.message)

    def _end(self, contract, day="2024-03-31"):
        """Invoice all of a contract up to ``day``, and end its committed line there."""
        self._run_all(day)
        line = contract.line_ids.filtered("commitment_amount")
        line.date_end = day
        return line

    def _lower(self, line, price):
        """Lower the invoice of the last amount of a price line by hand, as goodwill."""
        item = line.run_line_ids.sorted("id")[-1].move_line_ids
        item.move_id.button_draft()
        item.price_unit = price
        item.move_id.action_post()

    def test_shortfall_is_settled_once(self):
        """What somebody does to the invoice or to the contract afterwards bills nothing anew."""
        contract = self._make_committed()
        self._drive(contract, d0105=100)
        line = self._end(contract)
        self.assertTrue(line.is_shortfall_open)
        run = self._run_all("2024-04-30")
        self.assertAmounts(run, [200.0])
        self.assertFalse(line.is_shortfall_open)
        self._lower(line, 150.0)
        contract.proration = "none"
        contract.date_end = "2024-12-31"
        line.date_end = "2024-03-31"
        self.assertFalse(self._run_all("2024-05-31").document_ids)
        self.assertEqual(contract.amount_invoiced, 250.0)

    def test_end_at_which_nothing_is_missing(self):
        contract = self._make_committed()
        self._drive(contract, d0305=400)
        line = self._end(contract)
        self.assertFalse(line.is_shortfall_open)
        self._lower(line, 10.0)
        self.assertFalse(self._run_all("2024-04-30").document_ids)

    def test_late_usage_of_a_term_that_ended_short(self):
        """What is due of the term settles it; where nothing is missing, nothing is left open."""
        contract = self._make_committed()
        self._drive(contract, d0105=100)
        line = self._end(contract)
        self._drive(contract, d0205=250)
        run = self._run_all("2024-04-30")
        self.assertAmounts(run, [250.0])
        self.assertFalse(line.is_shortfall_open)
        self.assertFalse(self._run_all("2024-05-31").document_ids)

    def test_shortfall_of_a_run_that_skips_its_days(self):
        contract = self._make_committed()
        self._end(contract)
        run = self._make_run("2024-05-31")
        run.skip_before = "2024-04-01"
        self.assertFalse(self._make_amounts(run).document_ids)
        self.assertAmounts(self._run_all("2024-05-31"), [300.0])

    def test_shortfall_that_cannot_be_calculated(self):
        """The rent is invoiced all the same."""
        contract = self._make_committed(date_start="2023-01-15")
        contract.line_ids = [Command.create({"product_id": self.product.id, "price_unit": 10.0})]
        line = self._end(contract, "2024-03-14")
        self.assertTrue(line.is_shortfall_open)
        contract.period_anchor = "calendar"
        run = self._run_all("2024-04-30")
        self.assertIn("another period or currency", run.exception_ids.message)
        self.assertEqual(run.line_ids.contract_line_id, contract.line_ids - line)

    def test_late_usage_lowers_the_true_up(self):
        contract = self._make_committed(period_count=12)
        self._drive(contract, d0105=300)
        self._run_all("2024-12-31")
        self._drive(contract, d0405=200)
        run = self._run_all("2025-01-15")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [-200.0, 200.0])
        # nothing is left to pay: settled without an invoice
        self.assertEqual(run.document_ids.state, "nothing")
        self.assertEqual(contract.usage_ids.mapped("state"), ["invoiced", "invoiced"])
        self.assertEqual(contract.amount_invoiced, 1200.0)
        self.assertFalse(self._run_all("2025-01-15").document_ids)

    def test_reversed_term_is_trued_up_again(self):
        contract = self._make_committed(period_count=12)
        self._drive(contract, d0105=300)
        move = self._run_all("2024-12-31").document_ids.move_id
        self._reverse(move)
        run = self._run_all("2024-12-31")
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [300.0, 900.0])
        self.assertEqual(contract.amount_invoiced, 1200.0)

    def test_terms_are_made_of_whole_periods(self):
        with self.assertRaisesRegex(ValidationError, "whole billing periods"):
            self._make_committed(period_count=5)
