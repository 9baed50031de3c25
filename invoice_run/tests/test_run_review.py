from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestRunReview(InvoiceRunCommon):
    """The review of a run: last time, this time, why; filters, pages, totals, rights."""

    def _propose(self, date, **vals):
        return self._make_amounts(self._make_run(date, **vals))

    def _get_rows(self, run, **options):
        return run.with_user(self.user).get_review(**options)["rows"]

    def _get_row(self, run, **options):
        [row] = self._get_rows(run, **options)
        return row

    def assertWhy(self, run, *reasons, last=None):
        """Each reason is (text, amount); they come to the difference, in the row and its lines."""
        row = self._get_row(run)
        found = [(reason["text"], reason["amount"]) for reason in row["reasons"]]
        self.assertEqual(found, list(reasons))
        if last is not None:
            self.assertAlmostEqual(row["last"], last, 2)
        lines = run.env["invoice.run.document"].browse(row["id"]).get_review_lines()
        for line in lines:
            total = sum(reason["amount"] for reason in line["reasons"])
            self.assertAlmostEqual(total, line["difference"], 2)
        self.assertAlmostEqual(sum(line["amount"] for line in lines), row["untaxed"], 2)
        self.assertAlmostEqual(sum(line["last"] for line in lines), row["last"], 2)
        return row, lines

    # ------------------------------------------------------------------
    # Why
    # ------------------------------------------------------------------

    def test_as_last_time(self):
        self._make_contract(date_start="2024-01-01", title="Hall 7")
        self._run_all("2024-01-15")
        run = self._propose("2024-02-15")
        row, [line] = self.assertWhy(run, last=100.0)
        self.assertEqual((row["title"], row["difference"]), ("Hall 7", 0.0))
        self.assertEqual(line["reasons"], [])
        self.assertEqual(run.get_review(filters=["changed"])["rows"], [])

    def test_first_invoice(self):
        self._make_contract(
            [{}, {"price_interval": "once", "price_unit": 50.0}], date_start="2024-01-01"
        )
        run = self._propose("2024-01-15")
        self.assertWhy(run, ("first invoice", 100.0), ("invoiced once", 50.0), last=0.0)

    def test_billed_once(self):
        self._make_contract(
            [{}, {"price_interval": "once", "price_unit": 50.0}], date_start="2024-01-01"
        )
        self._run_all("2024-01-15")
        run = self._propose("2024-02-15")
        _row, lines = self.assertWhy(run, ("invoiced once last time", -50.0), last=150.0)
        self.assertEqual([line["gone"] for line in lines], [False, True])

    def test_price_of_the_same_line(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.line_ids.price_unit = 103.0
        self.assertWhy(self._propose("2024-02-15"), ("price +3.0 %", 3.0), last=100.0)

    def test_price_of_the_line_that_replaced_it(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        self._change(contract, date="2024-02-01", price_unit=97.0)
        self.assertWhy(self._propose("2024-02-15"), ("price −3.0 %", -3.0), last=100.0)

    def test_price_in_the_middle_of_a_month(self):
        contract = self._make_contract(date_start="2024-03-01")
        self._run_all("2024-03-15")
        self._change(contract, date="2024-04-16", price_unit=110.0)
        run = self._propose("2024-04-20")
        self.assertAmounts(run, [50.0, 55.0])
        self.assertWhy(run, ("price +10.0 %", 5.0), last=100.0)

    def test_cut_period(self):
        contract = self._make_contract(date_start="2024-02-01")
        self._run_all("2024-02-15")
        contract.date_end = "2024-03-17"
        self.assertWhy(self._propose("2024-03-15"), ("17 of 31 days", -45.16), last=100.0)

    def test_cut_period_last_time(self):
        self._make_contract(date_start="2024-01-15", period_anchor="calendar")
        self._run_all("2024-01-20")
        run = self._propose("2024-02-15")
        self.assertWhy(run, ("last time 17 of 31 days", 45.16), last=54.84)

    def test_price_and_days(self):
        """93.10 for 31 days, then 17 days at 5 % more: both take their part."""
        contract = self._make_contract([{"price_unit": 93.1}], date_start="2024-02-01")
        self._run_all("2024-02-15")
        contract.date_end = "2024-03-17"
        contract.line_ids.price_unit = 93.1 * 1.05
        run = self._propose("2024-03-15")
        self.assertWhy(run, ("17 of 31 days", -42.04), ("price +5.0 %", 2.55), last=93.1)

    def test_several_periods(self):
        self.debtor.allow_invoice_grouping = True
        self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        run = self._propose("2024-04-15")
        self.assertWhy(run, ("3 periods, 1 last time", 200.0), last=100.0)

    def test_price_per_day(self):
        self._make_contract([{"price_unit": 2.0, "price_interval": "day"}], date_start="2024-01-01")
        self._run_all("2024-01-15")
        run = self._propose("2024-02-15")
        self.assertWhy(run, ("29 days, 31 last time", -4.0), last=62.0)

    def test_quantity_of_a_line(self):
        contract = self._make_contract([{"quantity": 10}], date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.line_ids.quantity = 12
        self.assertWhy(self._propose("2024-02-15"), ("quantity 10 → 12", 200.0), last=1000.0)

    def test_quantity_of_the_line_that_replaced_it(self):
        contract = self._make_contract([{"quantity": 10}], date_start="2024-01-01")
        self._run_all("2024-01-15")
        self._change(contract, date="2024-02-01", quantity=8)
        self.assertWhy(self._propose("2024-02-15"), ("quantity 10 → 8", -200.0), last=1000.0)

    def test_new_line(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.line_ids.copy(
            {"contract_id": contract.id, "price_unit": 20.0, "date_start": "2024-02-01"}
        )
        self.assertWhy(self._propose("2024-02-15"), ("new line", 20.0), last=100.0)

    def test_line_that_ended(self):
        contract = self._make_contract([{}, {"price_unit": 30.0}], date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.line_ids[1].date_end = "2024-01-31"
        self.assertWhy(self._propose("2024-02-15"), ("line ended", -30.0), last=130.0)

    def test_charge_missing(self):
        """Of a contract that shared the last invoice, and is held this time."""
        self.debtor.allow_invoice_grouping = True
        self._make_contract(date_start="2024-01-01")
        held = self._make_contract([{"price_unit": 400.0}], date_start="2024-01-01")
        self._run_all("2024-01-15")
        held.billing_hold = True
        run = self._propose("2024-02-15")
        row, lines = self.assertWhy(run, ("charge missing", -400.0), last=500.0)
        self.assertTrue(row["flagged"] and lines[1]["gone"])
        self.assertEqual(row["flags"], ["Charge Missing"])

    def test_contract_that_got_its_own_invoice_is_not_missing(self):
        self.debtor.allow_invoice_grouping = True
        self._make_contract(date_start="2024-01-01")
        self._make_contract([{"price_unit": 400.0}], date_start="2024-01-01")
        self._run_all("2024-01-15")
        self.debtor.allow_invoice_grouping = False
        run = self._propose("2024-02-15")
        self.assertEqual([row["last"] for row in self._get_rows(run)], [100.0, 400.0])
        self.assertEqual([row["reasons"] for row in self._get_rows(run)], [[], []])

    def test_credit(self):
        contract = self._make_contract([{}, {"price_unit": 90.0}], date_start="2024-01-01")
        self._run_all("2024-02-15")
        contract.line_ids[1].date_end = "2024-01-31"
        run = self._propose("2024-03-15")
        self.assertWhy(run, ("credit −90.00", -90.0), ("line ended", -90.0), last=190.0)
        run.document_ids.with_user(self.reviewer).action_accept()
        self._make_invoices(run)
        self.assertWhy(self._propose("2024-04-15"), ("credit last time", 90.0), last=10.0)

    def test_usage(self):
        contract = self._make_contract(date_start="2024-01-01")
        vals = {"contract_id": contract.id, "price_unit": 2.0}
        self._make_usage(date="2024-01-05", quantity=42, **vals)
        self._run_all("2024-01-15")
        self._make_usage(date="2024-02-05", quantity=61, **vals)
        run = self._propose("2024-02-15")
        self.assertWhy(run, ("usage 42 → 61", 38.0), last=184.0)
        self._run_all_of(run)
        self.assertWhy(self._propose("2024-03-15"), ("usage 61 → 0", -122.0), last=222.0)

    def test_usage_at_another_price(self):
        self._make_usage(date="2024-01-05", quantity=40, price_unit=2.0)
        self._run_all("2024-01-15", self.usage_scenario)
        self._make_usage(date="2024-02-05", quantity=50, price_unit=2.2)
        run = self._propose("2024-02-15", scenario=self.usage_scenario)
        self.assertWhy(run, ("usage 40 → 50", 20.0), ("price +10.0 %", 10.0), last=80.0)

    def test_invoice_that_was_edited(self):
        """Last time is what the invoice says, not what the run once planned."""
        self._make_contract(date_start="2024-01-01")
        move = self._run_all("2024-01-15").document_ids.move_id
        move.button_draft()
        move.invoice_line_ids.price_unit = 80.0
        move.action_post()
        self.assertWhy(self._propose("2024-02-15"), ("other amount", 20.0), last=80.0)

    def test_foreign_currency(self):
        """Of an invoice in another currency, in this one's: the rate of this one's date."""
        currency = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.currency_id = currency
        contract.line_ids.price_unit = 200.0
        row = self._get_row(self._propose("2024-02-15"))
        self.assertEqual((row["last"], row["difference"]), (200.0, 0.0))

    def test_invoiced_run_is_compared_as_it_was(self):
        """Not with its own invoices, nor with those of later runs."""
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.line_ids.price_unit = 103.0
        february = self._run_all("2024-02-15")
        contract.line_ids.price_unit = 50.0
        self._run_all("2024-03-15")
        self.assertWhy(february, ("price +3.0 %", 3.0), last=100.0)

    def test_part_that_was_left_out_is_compared_with_nothing(self):
        self._make_contract([{}, {"price_unit": 30.0}], date_start="2024-01-01")
        self._run_all("2024-01-15")
        run = self._propose("2024-02-15")
        run.line_ids.filtered(lambda line: line.amount == 30.0).action_exclude()
        [row] = self._get_rows(run, filters=["excluded"])
        self.assertEqual((row["untaxed"], row["last"]), (30.0, 0.0))
        self.assertEqual(row["reasons"], [])

    def _change(self, contract, **vals):
        """Change the only line of ``contract`` from a date on."""
        wizard = self.env["billing.contract.change"].with_context(
            active_model=contract.line_ids._name, active_ids=contract.line_ids.ids
        )
        change = "price" if "price_unit" in vals else "quantity"
        wizard.create({"change": change, **vals}).action_apply()

    def _run_all_of(self, run):
        run.document_ids.with_user(self.reviewer).action_accept()
        self._make_invoices(run)

    # ------------------------------------------------------------------
    # Filters, pages, totals
    # ------------------------------------------------------------------

    def _make_mixed_run(self):
        """Five customers: as last time, price, first, five times as much, excluded."""
        contracts = {}
        for name in ("A same", "B price", "D large", "E excluded"):
            partner = self._make_partner(name)
            contracts[name] = self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        self._run_all("2024-01-15")
        contracts["B price"].line_ids.price_unit = 103.0
        contracts["D large"].line_ids.price_unit = 500.0
        self._make_contract(date_start="2024-02-01", partner_id=self._make_partner("C first").id)
        run = self._propose("2024-02-15")
        self._get_document(run, "E excluded").action_exclude()
        return run

    def _get_document(self, run, name):
        return run.document_ids.filtered(lambda document: document.partner_id.name == name)

    def _get_names(self, run, **options):
        return [row["customer"][0] for row in self._get_rows(run, **options)]

    def test_filters(self):
        run = self._make_mixed_run()
        self._get_document(run, "A same").sudo()._set_failed("Because")
        for filters, names in (
            ([], "ABCDE"),
            (["changed"], "BCD"),
            (["flagged"], "D"),
            (["failed"], "A"),
            (["excluded"], "E"),
            (["failed", "excluded"], "AE"),
            (["no such filter"], "ABCDE"),
        ):
            with self.subTest(filters=filters):
                self.assertEqual("".join(self._get_names(run, filters=filters)), names)
        self.assertEqual(
            run.get_review()["counts"], {"changed": 3, "flagged": 1, "failed": 1, "excluded": 1}
        )
        self.assertEqual(self._get_names(run, search="b pri"), ["B"])
        self.assertEqual(self._get_names(run, search="a same", filters=["changed"]), [])

    def test_pages(self):
        run = self._make_mixed_run()
        first = run.get_review(limit=2)
        self.assertEqual(first["total"], 5)
        second = run.get_review(offset=2, limit=2, only_rows=True)
        self.assertEqual(set(second), {"rows", "total"})
        names = [row["customer"][0] for row in first["rows"] + second["rows"]]
        self.assertEqual("".join(names), "ABCD")
        self.assertEqual(self._get_names(run, offset=4, limit=2), ["E"])
        self.assertEqual(len(self._get_rows(run, offset=-1, limit=0)), 1)

    def test_totals_leave_out_what_is_excluded(self):
        run = self._make_mixed_run()
        [totals] = run.get_review(filters=["excluded"])["totals"]
        self.assertEqual((totals["count"], totals["untaxed"]), (4, 803.0))
        self.assertEqual((totals["last"], totals["difference"]), (300.0, 503.0))
        self.assertEqual((totals["left_out"], totals["with_left_out"]), (1, 903.0))
        self._get_document(run, "E excluded").action_include()
        [totals] = run.get_review()["totals"]
        self.assertEqual((totals["count"], totals["untaxed"], totals["last"]), (5, 903.0, 400.0))
        self.assertEqual((totals["left_out"], totals["with_left_out"]), (0, 903.0))

    def test_queries_do_not_grow_with_the_rows(self):
        for number in range(12):
            partner = self._make_partner(f"Customer {number:02}")
            self._make_contract(
                [{}, {"price_unit": 30.0}], date_start="2024-01-01", partner_id=partner.id
            )
        self._run_all("2024-01-15")
        for line in self.env["billing.contract.line"].search([("price_unit", "=", 30.0)]):
            line.price_unit = 33.0
        run = self._propose("2024-02-15").with_user(self.user)
        counts = []
        for limit in (2, 12):
            self.env.flush_all()
            self.env.invalidate_all()
            run.get_review(limit=2)  # what is looked up once for all
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            rows = run.get_review(limit=limit)["rows"]
            counts.append(self.env.cr.sql_log_count - before)
            self.assertEqual({row["reasons"][0]["text"] for row in rows}, {"price +10.0 %"})
        self.assertEqual(counts[0], counts[1])

    # ------------------------------------------------------------------
    # Rights and buttons
    # ------------------------------------------------------------------

    def test_buttons_by_role(self):
        run = self._make_mixed_run()
        row = self._get_row(run, filters=["flagged"])
        self.assertEqual(
            (row["can_check"], row["can_exclude"], row["can_include"]), (False, True, False)
        )
        review = run.with_user(self.reviewer).get_review(filters=["flagged"])
        self.assertTrue(review["rows"][0]["can_check"])
        self.assertTrue(review["run"]["can_approve"])
        self.assertFalse(run.with_user(self.user).get_review()["run"]["can_approve"])
        row = self._get_row(run, filters=["excluded"])
        self.assertEqual((row["can_exclude"], row["can_include"]), (False, True))

    def test_checked(self):
        run = self._make_mixed_run()
        self._get_document(run, "D large").with_user(self.reviewer).action_accept()
        self.assertEqual(self._get_rows(run, filters=["flagged"]), [])
        row = self._get_row(run, search="D large")
        self.assertTrue(row["checked"])
        self.assertFalse(row["flagged"] or row["can_check"])

    def test_approval_is_of_what_was_seen(self):
        run = self._make_mixed_run().with_user(self.reviewer)
        fingerprint = run.get_review()["fingerprint"]
        self._get_document(run, "B price").with_user(self.user).action_exclude()
        with self.assertRaisesRegex(UserError, "changed since"):
            run.action_approve(fingerprint)
        run.invalidate_recordset()
        run.action_approve(run.get_review()["fingerprint"])
        self.assertEqual(run.state, "approved")
        self.assertFalse(run.get_review()["run"]["can_approve"])

    def test_four_eyes_are_said_before(self):
        self.company.invoice_run_four_eyes = True
        run = self._propose_by(self.reviewer)
        found = run.with_user(self.reviewer).get_review()["run"]
        self.assertFalse(found["can_approve"])
        self.assertTrue(found["prepared"])

    def _propose_by(self, user):
        self._make_contract(date_start="2024-01-01")
        return self._make_amounts(self._make_run("2024-01-15"), user)

    def test_other_company(self):
        """Neither the run nor its lines are shown, and nobody else's invoice is last time."""
        other = self.setup_other_company()["company"]
        stranger = self._make_user(
            "review_stranger", "invoice_run.invoice_run_group_reviewer", company=other
        )
        self._make_contract(date_start="2024-01-01")
        run = self._propose("2024-01-15")
        for record, method in ((run, "get_review"), (run.document_ids, "get_review_lines")):
            with self.subTest(method=method), self.assertRaises(AccessError):
                getattr(record.with_user(stranger), method)()
        employee = self._make_user("review_employee", "base.group_user")
        with self.assertRaises(AccessError):
            run.with_user(employee).get_review()

    def test_shared_customer_of_another_company(self):
        other = self.setup_other_company()["company"]
        scenario = self._make_scenario("Other", source="usage", company_id=other.id)
        product = self._make_product("Usage", 7777.0)
        self._make_usage(
            date="2024-01-05", price_unit=7777.0, product_id=product.id, company_id=other.id
        )
        theirs = self._make_run("2024-01-10", scenario)
        theirs.action_generate_amounts()
        theirs._process_queue()
        theirs.action_approve()
        theirs.action_generate_invoices()
        theirs._process_queue()
        self.assertEqual(theirs.document_ids.state, "invoiced")
        self._make_usage(date="2024-01-07", price_unit=100.0)
        run = self._propose("2024-01-15", scenario=self.usage_scenario)
        self.assertWhy(run, ("first invoice", 100.0), last=0.0)
