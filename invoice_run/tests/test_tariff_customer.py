"""Bands that all contracts of a customer share: together to the coin, whatever comes first."""

from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged

from .test_metering import GRADUATED
from .test_tariff_scope import SharedCommon


class CustomerCommon(SharedCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared.tier_scope = "customer"

    @classmethod
    def _make_two(cls, **vals):
        """Make two contracts of one customer, with a price line each: meters M1 and M2."""
        line = {"tariff_id": cls.shared.id}
        one = cls._make_metered({**line, "meter_code": "M1"})
        other = cls._make_metered({**line, "meter_code": "M2"}, **vals)
        return one, other

    def _get_by_contract(self, run, *contracts):
        lines = run.line_ids.filtered(lambda line: line.document_id.state != "excluded")
        amounts = lines.grouped("contract_id")
        nothing = self.env["invoice.run.line"]
        return [sum(amounts.get(contract, nothing).mapped("amount")) for contract in contracts]

    @classmethod
    def _make_used(cls, **vals):
        """Make two contracts with 20 and 30: alone 25.00 and 45.00, together 34.00 and 51.00."""
        one, other = cls._make_two(**vals)
        cls._use(one, "M1", "01-05", 20)
        cls._use(other, "M2", "01-06", 30)
        return one, other


@tagged("post_install", "-at_install")
class TestCustomerBands(CustomerCommon):
    """20 and 30 are 50, 85.00: by themselves 25.00 and 45.00, together 34.00 and 51.00."""

    def test_bands_are_reached_by_all_contracts(self):
        one, other = self._make_used()
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_by_contract(run, one, other), [34.0, 51.0])
        self.assertEqual(len(run.document_ids), 2)
        name = run.line_ids.sorted("amount")[0].name.replace("\xa0", " ")
        self.assertIn("all contracts with this tariff: 50 Units", name)
        moves = self._make_invoices(run)
        self.assertEqual(sorted(moves.mapped("amount_untaxed")), [34.0, 51.0])
        self.assertFalse(self._run_all("2024-01-31").document_ids)

    def test_preview_is_what_a_run_invoices(self):
        one, other = self._make_used()
        previewed = [self._get_previewed(contract) for contract in (one, other)]
        self.assertEqual(previewed, [34.0, 51.0])

    def _get_previewed(self, contract):
        charges = contract._collect_due(self._date("2024-01-31"))
        return sum(charge.line["amount"] for charge in charges)

    def test_who_does_not_share(self):
        """Other customers, tariffs and periods; a parent and its branch are one customer."""
        one, other = self._make_used(period_count=3)
        branch = self._make_partner("Branch", parent_id=one.partner_id.id)
        stranger = self._make_metered(
            {"tariff_id": self.shared.id, "meter_code": "M3"},
            partner_id=self._make_partner("Stranger").id,
        )
        same = self._make_metered(
            {"tariff_id": self.shared.id, "meter_code": "M4"}, partner_id=branch.id
        )
        own = self._make_metered({"meter_code": "M5"})
        self._use(stranger, "M3", "01-05", 20)
        self._use(same, "M4", "01-05", 30)
        self._use(own, "M5", "01-05", 20)
        run = self._make_amounts(self._make_run("2024-03-31"))
        amounts = self._get_by_contract(run, one, same, other, stranger, own)
        self.assertEqual(amounts, [34.0, 51.0, 45.0, 25.0, 25.0])

    def test_a_contract_that_is_not_invoiced_does_not_count(self):
        """On hold; and one whose amount fails: the others are as without it."""
        one, other = self._make_used()
        other.billing_hold = True
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_by_contract(run, one, other), [25.0, 0.0])
        run.action_delete_amounts("again")
        other.billing_hold = False
        fails = other.line_ids.copy({"contract_id": other.id, "meter_code": "M9"})
        fails.product_id = self._make_product("Archived", 1.0)
        fails.product_id.active = False
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertTrue(run.exception_ids)
        self.assertEqual(self._get_by_contract(run, one, other), [25.0, 0.0])

    def test_customer_by_customer_it_is_the_same(self):
        """As where something that nobody foresaw stopped the amounts of all."""
        one, other = self._make_used()
        run = self._make_run("2024-01-31")
        run.action_generate_amounts()
        run.sudo()._generate_payer_amounts(one.commercial_partner_id)
        self.assertEqual(self._get_by_contract(run, one, other), [34.0, 51.0])

    def test_excluded_contract_outdates_the_others(self):
        one, other = self._make_used()
        run = self._make_amounts(self._make_run("2024-01-31"))
        document = run.document_ids.filtered(lambda document: document.contract_ids == other)
        document.with_user(self.user).action_exclude()
        self.assertEqual(run.line_ids.filtered("is_stale").contract_id, one | other)
        self._renew(run)
        self.assertEqual(self._get_by_contract(run, one), [25.0])
        self.assertFalse(run.stale_count)
        self._make_invoices(run)
        # the next run invoices what is missing to the whole
        self.assertAmounts(self._run_all("2024-01-31"), [60.0])
        self.assertEqual(one.amount_invoiced + other.amount_invoiced, 85.0)

    def test_other_runs_and_units_count(self):
        """What another run holds counts, and a change of it outdates what counted it."""
        cluster = self.env["billing.cluster"].create(
            {"name": "North", "code": "N", "company_id": self.company.id}
        )
        one, other = self._make_used(cluster_id=cluster.id)
        units = self._make_run("2024-01-31", cluster_ids=cluster.ids)
        first = self._make_amounts(units)
        self.assertEqual(self._get_by_contract(first, one, other), [0.0, 45.0])
        second = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_by_contract(second, one, other), [40.0, 0.0])
        self._use(other, "M2", "01-07", 10)
        self.assertTrue(first.stale_count and second.stale_count)
        self._renew(first)
        self._renew(second)
        # 40 alone, then 60: 105.00
        self.assertEqual(self._get_by_contract(first, other), [65.0])
        self.assertEqual(self._get_by_contract(second, one), [40.0])

    def test_contract_that_moves_leaves_what_was_invoiced(self):
        """January stays with the customer who was invoiced, also what is reported later."""
        one, other = self._make_used()
        self._run_all("2024-01-31")
        stranger = self._make_partner("Stranger")
        other.partner_id = stranger
        self._use(one, "M1", "01-30", 10)
        self._use(one, "M1", "02-05", 20)
        self._use(other, "M2", "02-06", 30)
        run = self._run_all("2024-02-29")
        # 60 of January cost 105.00; 20 and 30 of February are two customers'
        self.assertEqual(self._get_by_contract(run, one, other), [45.0, 45.0])
        self.env["billing.usage"].create(
            {
                "date": "2024-01-31",
                "contract_id": other.id,
                "partner_id": stranger.id,
                "product_id": self.km.id,
                "meter_code": "M2",
                "quantity": 10,
            }
        )
        run = self._run_all("2024-02-29")
        self.assertFalse(run.document_ids)
        [message] = run.exception_ids.mapped("message")
        self.assertRegex(message, f"invoiced to {self.debtor.name} .* has another customer now")
        other.partner_id = self.debtor
        run = self._run_all("2024-02-29")
        self.assertEqual(run.line_ids.mapped("amount"), [20.0])
        self.assertEqual(run.document_ids.partner_id, self.debtor)

    def test_contract_added_later_settles_the_whole(self):
        one = self._make_metered({"tariff_id": self.shared.id, "meter_code": "M1"})
        self._use(one, "M1", "01-05", 20)
        self._run_all("2024-01-31")
        added = self._make_metered({"tariff_id": self.shared.id, "meter_code": "M2"})
        self._use(added, "M2", "01-06", 30)
        self.assertAmounts(self._run_all("2024-01-31"), [60.0])

    def test_contracts_of_a_merged_customer_take_turns(self):
        """Two runs at once: by the row of the customer; without it by those of the contracts."""
        one, other = self._make_used()
        lines = self._make_amounts(self._make_run("2024-01-31")).line_ids
        self.assertEqual(lines._get_pool_customers(), one.partner_id)
        self.assertFalse(lines[0]._get_orphaned(one.partner_id))
        self.assertEqual(lines[0]._get_orphaned(one.partner_id.browse()), one | other)

    def test_merged_customers_go_on_sharing(self):
        """What one of them was invoiced counts for the other; what both were stays apart."""
        twin = self._make_partner("Twin")
        one, other = self._make_used(partner_id=twin.id)
        self._run_all("2024-01-31", record_ids=one.ids)
        self._run_all("2024-02-29")
        self._use(one, "M1", "02-05", 20)
        self._use(other, "M2", "02-06", 30)
        reversed_ = other.run_line_ids.filtered(lambda amount: amount.amount == 45.0)
        self._reverse(reversed_.document_id.move_id)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertAmounts(run, [45.0])
        merge = self.env["base.partner.merge.automatic.wizard"]
        merge._merge((twin | self.debtor).ids, twin)
        self.assertTrue(run.stale_count)
        self._renew(run)
        # 85.00 less 25.00
        self.assertAmounts(run, [60.0])
        self._make_invoices(run)
        run = self._run_all("2024-02-29")
        self.assertEqual(self._get_by_contract(run, one, other), [25.0, 45.0])

    def test_tariff_of_invoiced_usage_is_kept(self):
        """Late usage would count in the bands of both tariffs."""
        one, _other = self._make_used()
        apart = self._make_metered({"meter_code": "M3"})
        self._use(apart, "M3", "01-05", 20)
        run = self._make_amounts(self._make_run("2024-01-31"))
        second = self.shared.copy({"name": "Second"})
        one.line_ids.tariff_id = second
        self._renew(run)
        self._make_invoices(run)
        for contract, tariff in ((one, self.shared), (one, self.tariff), (apart, second)):
            with self.subTest(tariff=tariff.name), self.assertRaises(ValidationError):
                contract.with_user(self.user).line_ids.tariff_id = tariff

    def test_currency_stays_that_of_the_tariff(self):
        one, _other = self._make_two()
        currency = self.env.ref("base.EUR")
        currency.active = True
        self.assertNotEqual(one.currency_id, currency)
        for record in (one, self.shared):
            with self.subTest(model=record._name), self.assertRaises(ValidationError):
                record.currency_id = currency

    def _lower(self, move, price):
        """Have somebody lower an invoice by hand before it is confirmed."""
        move.button_draft()
        move.invoice_line_ids.filtered("price_unit").price_unit = price
        move.action_post()

    def test_what_was_taken_off_by_hand_is_not_charged_to_others(self):
        """25.00 for 20 were lowered to 21.00: a discount, which the other contract does not pay."""
        one, other = self._make_used()
        self._lower(self._run_all("2024-01-31", record_ids=one.ids).document_ids.move_id, 21.0)
        self.assertEqual(self._get_accrued("2024-01-31"), {other.id: 60})
        run = self._run_all("2024-01-31")
        [amount] = run.line_ids
        self.assertEqual((amount.amount, amount.charged_edits), (60.0, 0.0))
        text = amount.name.replace("\xa0", " ")
        self.assertIn("less $ 25.00 invoiced before\nof this, $ 4.00 was taken off by hand", text)
        self.assertFalse(self._run_all("2024-01-31").document_ids)

    def test_late_usage_of_an_invoice_that_was_lowered(self):
        """As everywhere, usage reported later is rated with what its own invoice says."""
        one, other = self._make_used()
        moves = self._run_all("2024-01-31").document_ids.move_id
        self._lower(moves.filtered(lambda move: move.amount_untaxed == 34.0), 30.0)
        self._use(one, "M1", "01-20", 10)
        self._use(other, "M2", "01-20", 10)
        run = self._run_all("2024-01-31")
        # 70 cost 125.00, so 40.00 more; and 4.00 for the contract whose invoice was lowered
        self.assertEqual(self._get_by_contract(run, one, other), [24.0, 20.0])
        amount = run.line_ids.filtered("charged_edits")
        self.assertEqual((amount.charged_edits, amount.contract_id), (4.0, one))
        self.assertIn(
            "taken off the invoice before by hand: $ 4.00", amount.name.replace("\xa0", " ")
        )
        # once
        self._use(one, "M1", "01-21", 10)
        self.assertAmounts(self._run_all("2024-01-31"), [20.0])
        self.assertEqual(one.amount_invoiced + other.amount_invoiced, 145.0)

    def test_what_was_raised_by_hand_is_not_credited_to_others(self):
        one, other = self._make_used()
        self._lower(self._run_all("2024-01-31", record_ids=one.ids).document_ids.move_id, 27.0)
        [amount] = self._run_all("2024-01-31").line_ids
        self.assertEqual((amount.amount, amount.contract_id), (60.0, other))
        self.assertIn("to this, $ 2.00 was added by hand", amount.name.replace("\xa0", " "))

    def test_many_contracts_are_settled_without_their_invoices(self):
        """However many contracts a customer has, a reversal does not ask for their invoices."""
        for number in range(4):
            contract = self._make_metered({"tariff_id": self.shared.id, "meter_code": number})
            self._use(contract, str(number), "01-05", 10)
        run = self._run_all("2024-01-31")
        ledger = type(self.env["billing.ledger"])
        asked, read = [], ledger._get_billed_lines
        self.patch(ledger, "_get_billed_lines", lambda *args: asked.append(args[1]) or read(*args))
        run.line_ids._update_unsettled()
        self.assertFalse(asked)

    def test_small_invoices_are_not_postponed(self):
        """Others have counted them: postponed, they would outdate these again and again."""
        self.company.invoice_run_min_amount = 40.0
        one, other = self._make_used()
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(set(run.document_ids.mapped("state")), {"to_do"})
        self.assertFalse(run.stale_count)
        self.assertEqual(self._get_by_contract(run, one, other), [34.0, 51.0])

    def test_accrued_revenue_is_shared(self):
        one, other = self._make_used()
        rows = self.env["billing.cutoff.rows"]._get_rows(self.company, self._date("2024-01-31"))
        amounts = {row["contract_id"]: row["amount"] for row in rows}
        self.assertEqual((amounts[one.id], amounts[other.id]), (34, 51))

    def _get_accrued(self, day):
        rows = self.env["billing.cutoff.rows"]._get_rows(self.company, self._date(day))
        return {row["contract_id"]: row["amount"] for row in rows if row["kind"] == "accrued"}

    def test_accrued_is_what_is_left_of_the_pool(self):
        """25.00 of 85.00 are in the books, so 60.00 are not, as the next run says."""
        one, other = self._make_used()
        move = self._run_all("2024-01-31", record_ids=one.ids).document_ids.move_id
        self.assertEqual(self._get_accrued("2024-01-31"), {other.id: 60})
        # usage reported later gets its part of the rest, though it is not accrued itself
        self._use(one, "M1", "01-30", 10)
        self._use(other, "M2", "01-31", 10)
        self.assertEqual(self._get_accrued("2024-01-31"), {other.id: 80})
        run = self._run_all("2024-02-05")
        self.assertEqual(self._get_by_contract(run, one, other), [20.0, 80.0])
        # as the books were, whatever came afterwards
        self.assertEqual(self._get_accrued("2024-01-31"), {other.id: 80})
        self.assertEqual(self._get_accrued("2024-02-05"), {})
        self._reverse(move)
        # 30 and 40 cost 125.00
        accrued = {key: float(amount) for key, amount in self._get_accrued("2024-01-31").items()}
        self.assertEqual(accrued, {one.id: 53.57, other.id: 71.43})

    def test_accrued_counts_shares_that_were_invoiced_together(self):
        one, other = self._make_used()
        moves = self._run_all("2024-01-31").document_ids.move_id
        self.assertEqual(self._get_accrued("2024-01-31"), {})
        moves.filtered(lambda move: move.amount_untaxed == 51.0).button_draft()
        self.assertEqual(self._get_accrued("2024-01-31"), {other.id: 51})

    def test_accrued_counts_what_a_cancelled_contract_was_invoiced(self):
        one, other = self._make_used()
        self._run_all("2024-01-31", record_ids=one.ids)
        one.action_cancel()
        self.assertEqual(self._get_accrued("2024-01-31"), {other.id: 60})
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_by_contract(run, other), [60.0])

    def test_no_query_per_contract_of_a_pool(self):
        """Of those that are invoiced and of those that are open."""
        self._make_pool(3)
        self._count_cutoff_queries()  # what Odoo remembers from now on
        few = self._count_cutoff_queries()
        self._make_pool(9)
        self.assertLessEqual(self._count_cutoff_queries(), few)

    def _make_pool(self, number):
        for index in range(number):
            line = {"tariff_id": self.shared.id, "meter_code": f"{number}-{index}"}
            contract = self._make_metered(line)
            self._use(contract, line["meter_code"], "01-05", 10)
            if index == 0:
                self._run_all("2024-01-31", record_ids=contract.ids)

    def _count_cutoff_queries(self):
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        self.assertTrue(self._get_accrued("2024-01-31"))
        return self.env.cr.sql_log_count - before

    def test_no_query_per_customer_of_a_cutoff(self):
        """Two months of shared bands: what many customers share is found as what two do."""
        self._make_customers(2)
        self._count_cutoff_queries()  # what Odoo remembers from now on
        few = self._count_cutoff_queries()
        self._make_customers(6)
        self.assertLessEqual(self._count_cutoff_queries(), few)

    def _make_customers(self, number):
        """Make customers with two contracts each, used in two months of which none is invoiced."""
        for _number in range(number):
            partner = self._make_partner("Driver").id
            for index in range(2):
                line = {"tariff_id": self.shared.id, "meter_code": f"{partner}-{index}"}
                contract = self._make_metered(line, partner_id=partner, date_start="2023-12-01")
                self._use(contract, line["meter_code"], "01-05", 10)

    def test_accrued_in_a_period_that_is_not_over(self):
        """20 and 30 until the 10th; what comes later does not count."""
        one, other = self._make_used()
        self._use(one, "M1", "01-20", 100)
        self.assertEqual(self._get_accrued("2024-01-10"), {one.id: 34, other.id: 51})
        self._use(one, "M1", "02-03", 10)
        self._run_all("2024-01-31")
        self.assertEqual(self._get_accrued("2024-02-10"), {one.id: 10})

    def test_why_it_is_more_than_last_time(self):
        one, other = self._make_two()
        self._use(one, "M1", "01-05", 10)
        self._run_all("2024-01-31")
        self._use(one, "M1", "02-05", 10)
        self._use(other, "M2", "02-05", 10)
        run = self._make_amounts(self._make_run("2024-02-29"))
        document = run.document_ids.filtered(lambda document: document.contract_ids == one)
        [change] = document._get_changes()[document]
        self.assertEqual(
            [(reason["text"], reason["amount"]) for reason in change.reasons],
            [("usage of other contracts", 2.5)],
        )

    def test_many_contracts_are_rated_once(self):
        """The pool of a customer is rated for all of its contracts together."""
        contracts = self.env["billing.contract"].union(
            *(self._make_metered({"tariff_id": self.shared.id}) for _number in range(6))
        )
        for contract in contracts:
            self._use(contract, False, "01-05", 10)
        model = type(contracts)
        rated, rate = [], model._rate_pool
        self.patch(model, "_rate_pool", lambda *args: rated.append(args[1]) or rate(*args))
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(sum(run.line_ids.mapped("amount")), 105.0)
        self.assertEqual(len(rated) - len(contracts), 1, "each by itself, then all together")

    def test_portal_tells_that_bands_are_shared(self):
        one, _other = self._make_two()
        self.assertIn("for all contracts with this tariff together", one.line_ids._get_band_texts())

    def test_lines_of_one_contract_share_as_well(self):
        contract = self._make_shared()
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_amounts(run), [34.0, 51.0])

    def _add_minimum(self, contract, amount):
        contract.line_ids = [
            Command.create(
                {
                    "product_id": self._make_product("Top-up", 0.0).id,
                    "is_metered": True,
                    "price_interval": "period",
                    "bound_scope": "contract",
                    "minimum_amount": amount,
                }
            )
        ]

    def test_a_minimum_is_accrued_by_what_is_left_of_the_pool(self):
        """45.00 of the other contract are invoiced: 40.00 are left, 1.00 below the minimum."""
        one, other = self._make_used()
        self._add_minimum(one, 41.0)
        self._run_all("2024-01-31", record_ids=other.ids)
        rows = self.env["billing.cutoff.rows"]._get_rows(self.company, self._date("2024-01-31"))
        self.assertEqual([row["amount"] for row in rows], [40, 1])
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [1.0, 40.0])

    def test_a_minimum_of_the_contract_counts_its_share(self):
        one, other = self._make_used()
        self._add_minimum(one, 40.0)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(self._get_by_contract(run, one, other), [40.0, 51.0])
        document = run.document_ids.filtered(lambda document: document.contract_ids == other)
        document.action_exclude()
        self.assertTrue(all(run.document_ids.line_ids.mapped("is_stale")))
        self._renew(run)
        # 25.00 and 15.00
        self.assertEqual(self._get_by_contract(run, one), [40.0])


@tagged("post_install", "-at_install")
class TestSettled(CustomerCommon):
    """A share that was invoiced stands; what it counted and is not invoiced is settled."""

    def setUp(self):
        super().setUp()
        self.one, self.other = self._make_used()
        self.run = self._make_amounts(self._make_run("2024-01-31"))
        self.run.with_user(self.reviewer).action_approve()
        self.own = self.run.document_ids.filtered(lambda one: one.contract_ids == self.one)
        self.others = self.run.document_ids - self.own

    def _bill_one(self):
        """Invoice the first contract, 34.00, and exclude the other one."""
        self.own.with_user(self.user).action_generate_invoices()
        self.run._process_queue()
        self.others.with_user(self.user).action_exclude()

    def test_the_other_contract_settles_it(self):
        self._bill_one()
        self.assertTrue(self.own.line_ids.is_unsettled)
        # 85.00 less 34.00, and nothing of the first one
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertAmounts(run, [51.0])
        self.assertFalse(self.own.line_ids.is_unsettled)
        self._make_invoices(run)
        self.assertFalse(self._run_all("2024-01-31").document_ids)

    def test_without_the_other_it_is_credited(self):
        self._bill_one()
        self.other.billing_hold = True
        run = self._run_all("2024-01-31")
        [amount] = run.line_ids
        # 20 alone cost 25.00
        self.assertEqual((amount.amount, amount.contract_id), (-9.0, self.one))
        self.assertIn("Usage as invoiced: 20 Units", amount.name)
        self.assertRegex(amount.name.replace("\xa0", " "), "25.00, less . 34.00 invoiced before")
        self.assertEqual(run.document_ids.move_id.move_type, "out_refund")
        self.assertEqual(self.one.amount_invoiced, 25.0)
        self.assertFalse(self._run_all("2024-01-31").document_ids)
        # invoiced after all: what is missing to the whole
        self.other.billing_hold = False
        self.assertAmounts(self._run_all("2024-01-31"), [60.0])
        self.assertFalse(self._run_all("2024-01-31").document_ids)

    def test_nobody_else_gets_the_difference(self):
        """The contract has gone to another customer since: a person decides."""
        self._bill_one()
        self.other.billing_hold = True
        self.one.partner_id = self._make_partner("Stranger")
        run = self._run_all("2024-01-31")
        self.assertFalse(run.document_ids)
        [message] = run.exception_ids.filtered(lambda one: one.contract_id == self.one).mapped(
            "message"
        )
        self.assertIn(f"was invoiced to {self.debtor.name}", message)
        self.one.partner_id = self.debtor
        self.assertAmounts(self._run_all("2024-01-31"), [-9.0])

    def test_usage_reported_later_settles_it_as_well(self):
        self._bill_one()
        self.other.billing_hold = True
        self._use(self.one, "M1", "01-20", 10)
        # 30 alone cost 45.00
        self.assertAmounts(self._run_all("2024-01-31"), [11.0])
        self.assertFalse(self.own.line_ids.is_unsettled)

    def test_reversed_invoice_of_the_other(self):
        moves = self._make_invoices(self.run)
        self._reverse(moves.filtered(lambda move: move.amount_untaxed == 51.0))
        self.assertTrue(self.own.line_ids.is_unsettled)
        self.other.action_cancel()
        self.assertAmounts(self._run_all("2024-01-31"), [-9.0])

    def test_what_was_taken_off_by_hand_stays(self):
        """34.00 were lowered to 30.00; without the other contract they would have been 25.00."""
        moves = self._make_invoices(self.run)
        mine = moves.filtered(lambda move: move.amount_untaxed == 34.0)
        mine.button_draft()
        mine.invoice_line_ids.price_unit = 30.0
        mine.action_post()
        self.assertFalse(self.own.line_ids.is_unsettled)
        self._reverse(moves - mine)
        self.other.action_cancel()
        run = self._run_all("2024-01-31")
        self.assertAmounts(run, [-9.0])
        self.assertIn("was taken off by hand, which stays", run.line_ids.name)
        self.assertEqual(self.one.amount_invoiced, 21.0)

    def _replace(self, move, price):
        """ "Reverse and create invoice" at another price; return the new, confirmed invoice."""
        wizard = self.env["account.move.reversal"].with_context(
            active_model="account.move", active_ids=move.ids
        )
        wizard = wizard.create({"journal_id": move.journal_id.id, "date": move.invoice_date})
        wizard.modify_moves()
        wizard.new_move_ids.invoice_line_ids.price_unit = price
        wizard.new_move_ids.action_post()
        return wizard.new_move_ids

    def test_replaced_invoice_holds_its_share(self):
        """34.00 are replaced by 30.00: changed by hand, so that nobody else is charged."""
        moves = self._make_invoices(self.run)
        mine = moves.filtered(lambda move: move.amount_untaxed == 34.0)
        new = self._replace(mine, 30.0)
        self.assertFalse(self._run_all("2024-01-31").document_ids)
        self.assertFalse(any(self.run.line_ids.mapped("is_unsettled")))
        self._use(self.other, "M2", "01-20", 10)
        self.assertAmounts(self._run_all("2024-01-31"), [20.0])
        self.assertEqual(self.one.amount_invoiced + self.other.amount_invoiced, 101.0)
        # what is released is rated again: 105.00 less 71.00
        self._reverse(new)
        self.assertAmounts(self._run_all("2024-01-31"), [34.0])
        self.env.invalidate_all()
        self.assertEqual(self.one.amount_invoiced + self.other.amount_invoiced, 105.0)

    def test_replaced_invoice_is_settled_by_itself(self):
        moves = self._make_invoices(self.run)
        mine = moves.filtered(lambda move: move.amount_untaxed == 34.0)
        self._replace(mine, 34.0)
        self._reverse(moves - mine)
        self.other.action_cancel()
        self.assertTrue(self.own.line_ids.is_unsettled)
        self.assertAmounts(self._run_all("2024-01-31"), [-9.0])
        self.assertEqual(self.one.amount_invoiced, 25.0)

    def test_invoice_that_is_in_force_again_settles_it(self):
        moves = self._make_invoices(self.run)
        move = moves.filtered(lambda move: move.amount_untaxed == 51.0)
        move.button_draft()
        move.button_cancel()
        self.assertTrue(self.own.line_ids.is_unsettled)
        move.button_draft()
        self.assertFalse(self.own.line_ids.is_unsettled)

    def test_settlement_that_is_excluded_comes_again(self):
        self._bill_one()
        self.other.billing_hold = True
        run = self._make_amounts(self._make_run("2024-01-31"))
        run.document_ids.with_user(self.user).action_exclude()
        self.assertTrue(self.own.line_ids.is_unsettled)
        self.assertAmounts(self._run_all("2024-01-31"), [-9.0])

    def test_what_comes_back_outdates_a_settlement(self):
        self._bill_one()
        self.other.billing_hold = True
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertAmounts(run, [-9.0])
        self.other.billing_hold = False
        self.others.with_user(self.user).action_include()
        self.assertTrue(run.line_ids.is_stale)
        self._renew(run)
        self.assertFalse(run.line_ids)
        self.assertFalse(self.own.line_ids.is_unsettled)
        self._make_invoices(self.run)
        self.assertFalse(self._run_all("2024-01-31").document_ids)
        self.assertEqual(self.one.amount_invoiced + self.other.amount_invoiced, 85.0)

    def test_excluded_period_does_not_count_beside_its_late_usage(self):
        """Its first invoice is reversed, what was reported later stays invoiced: 10."""
        self._make_invoices(self.run)
        self._use(self.other, "M2", "01-20", 10)
        self._run_all("2024-01-31")
        self._reverse(self.others.move_id)
        self._use(self.one, "M1", "01-20", 10)
        run = self._make_amounts(self._make_run("2024-01-31"))
        first = run.document_ids.filtered(lambda document: document.contract_ids == self.other)
        first.with_user(self.user).action_exclude()
        self._renew(run)
        self._make_invoices(run)
        # 30 and 10 are 65.00
        self.assertEqual(self.one.amount_invoiced + self.other.amount_invoiced, 65.0)

    def test_lines_of_one_contract_are_settled_as_well(self):
        tariff = self._make_tariff(((10, 1.0), (20, 1.5), (0, 2.0)), tier_scope="contract")
        contract = self._make_shared({"tariff_id": tariff.id}, {"tariff_id": tariff.id})
        self._use(contract, "M1", "01-05", 20)
        self._use(contract, "M2", "01-06", 30)
        run = self._make_amounts(self._make_run("2024-01-31", record_ids=contract.ids))
        second = run.line_ids.sorted("amount")[1]
        second.action_exclude()
        self._renew(run)
        self._make_invoices(run)
        # the second settles the first, its invoice is reversed, its line ends before
        move = self._run_all("2024-01-31", record_ids=contract.ids).document_ids.move_id
        self.assertEqual(contract.amount_invoiced, 85.0)
        self._reverse(move)
        self.assertFalse(any(run.line_ids.mapped("is_unsettled")), "25.00 for 20 is right")


@tagged("post_install", "-at_install")
class TestSharedInCompanies(CustomerCommon):
    """A customer of two companies: each has its bands, though the contracts have the same days."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other_company = cls.setup_other_company()["company"]
        (cls.user | cls.reviewer).company_ids += cls.other_company
        cls.there = {"company_id": cls.other_company.id}
        cls.other_scenario = cls._make_scenario("There", **cls.there)
        cls.other_shared = cls._make_tariff(GRADUATED, tier_scope="customer", **cls.there)

    def _make_there(self, meter, quantity, **vals):
        line = {"tariff_id": self.other_shared.id, "meter_code": meter}
        contract = self._make_metered(line, **self.there, **vals)
        self._use(contract, meter, "01-05", quantity)
        return contract

    def _make_here(self, meter, quantity, **vals):
        line = {"tariff_id": self.shared.id, "meter_code": meter}
        contract = self._make_metered(line, **vals)
        self._use(contract, meter, "01-05", quantity)
        return contract

    @classmethod
    def _make_usage(cls, **vals):
        company = cls.env["billing.contract"].browse(vals["contract_id"]).company_id
        return super()._make_usage(company_id=company.id, **vals)

    def test_each_company_has_its_own_bands(self):
        self._make_here("M1", 20)
        self._make_there("M1", 30)
        here = self._make_amounts(self._make_run("2024-01-31"))
        there = self._make_amounts(self._make_run("2024-01-31", self.other_scenario))
        self.assertAmounts(here, [25.0])
        self.assertAmounts(there, [45.0])
        # what is excluded there concerns nobody here
        there.document_ids.with_user(self.user).action_exclude()
        self.assertFalse(here.stale_count)
        self._make_invoices(here)
        self.assertFalse(here.line_ids.is_unsettled)

    def test_a_tariff_is_one_company_s(self):
        contract = self._make_there("M1", 20)
        with self.assertRaises(UserError):
            contract.line_ids.tariff_id = self.shared

    def test_merged_customers_share_in_each_company(self):
        """25.00 of 20 were invoiced to one of them, in both companies; then 30 of the other."""
        twin = self._make_partner("Twin")
        here, there = self._make_here("M1", 20), self._make_there("M1", 20)
        self._run_all("2024-01-31")
        self._run_all("2024-01-31", self.other_scenario)
        self._make_here("M2", 30, partner_id=twin.id)
        self._make_there("M2", 30, partner_id=twin.id)
        merge = self.env["base.partner.merge.automatic.wizard"]
        merge._merge((twin | self.debtor).ids, twin)
        self.assertAmounts(self._run_all("2024-01-31"), [60.0])
        self.assertAmounts(self._run_all("2024-01-31", self.other_scenario), [60.0])
        self.assertEqual((here | there).mapped("amount_invoiced"), [25.0, 25.0])
