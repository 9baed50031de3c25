from unittest.mock import patch

from odoo.addons.account.models.account_move import AccountMove
from odoo.exceptions import ValidationError
from odoo.fields import Command, Date
from odoo.tests import tagged

from .. import core
from ..bypassed import CONFIRMED_METHODS
from ..numbering import Chunk
from .bulk_common import BulkCommon
from .strangers import forgetting


@tagged("post_install", "-at_install")
class TestConfirmed(BulkCommon):
    """Invoices created as confirmed are those that Odoo creates as drafts and then confirms."""

    @property
    def journal(self):
        return self.company_data["default_journal_sale"]

    def _make_approved(self, *lines, **vals):
        """Return an approved run of a contract for each line."""
        for line in lines:
            self._make_contract([line], date_start="2024-03-01", **vals)
        run = self._make_amounts(self._make_run("2024-03-15"))
        run.with_user(self.reviewer).action_approve()
        run.action_generate_invoices()
        return run

    # ------------------------------------------------------------------
    # Numbers and references
    # ------------------------------------------------------------------

    def test_references_of_customers(self):
        self.journal.invoice_reference_type = "partner"
        self._make_contracts(1, 6)
        moves = self._assert_equal()
        invoices = moves.filtered(lambda move: move.move_type == "out_invoice")
        self.assertTrue(all("CUST" in move.payment_reference for move in invoices))

    def test_references_that_need_the_id(self):
        self.journal.invoice_reference_model = "euro"
        run = self._make_approved({"price_unit": 10.0}, {"price_unit": 20.0})
        tried = self._count_confirmed()
        moves = self._invoice(run)
        self.assertEqual(len(tried), 2)
        self.assertFalse(any(moves.mapped("is_manually_modified")))
        for move in moves:
            self.assertEqual(move.payment_reference, move._get_invoice_computed_reference())
            terms = move.line_ids.filtered(lambda line: line.display_type == "payment_term")
            self.assertEqual(set(terms.mapped("name")), {move.payment_reference})

    def test_numbers_of_a_format_of_the_journal(self):
        first = self._run_all_of_one()
        first.button_draft()
        first.name = "A-2024-007/B"
        first.action_post()
        self.journal.refund_sequence = False
        self.journal.sequence_override_regex = (
            r"^(?P<prefix1>.*?)(?P<year>\d{4})(?P<prefix3>\D+?)(?P<seq>\d+)(?P<suffix>\D*?)$"
        )
        self._make_contracts(5, 6)
        moves = self._assert_equal()
        numbers = sorted(moves.mapped("sequence_number"))
        self.assertEqual(numbers, list(range(8, 8 + len(moves))))

    def test_numbers_of_several_dates(self):
        """The format of a later one may be that of an earlier one of the same chunk."""
        self._make_numbered("INV/2024/00001", "2024-03-10")
        self._make_numbered("FA/2024/01/0007", "2025-02-01", is_draft=True)
        self._make_contracts(8, 2, currency_id=self.currencies[0].id)
        run = self._make_amounts(self._make_run("2024-03-15"))
        bulk = self.env["invoice.run.bulk"].with_company(self.company).sudo()
        documents = run.sudo().document_ids
        self.assertGreater(len(documents), 1)
        vals_list = [document._prepare_move_vals() for document in documents]
        self.assertFalse(bulk._get_confirming_obstacles(vals_list))
        for vals in vals_list[1:]:
            vals.update(invoice_date=Date.to_date("2025-01-02"))
        self.assertEqual(bulk._get_confirming_obstacles(vals_list), {"numbers"})
        chunk = bulk.with_context(invoice_run_chunk=Chunk(len(vals_list)))
        moves = chunk._create_moves(vals_list)
        moves._post(soft=False)
        last = moves.filtered(lambda move: move.date.year == 2025 and move.name[0] != "R")
        self.assertEqual(last.sorted("name")[0].name, "INV/2025/00001")

    def _make_numbered(self, name, date, is_draft=False):
        line = {"name": "x", "price_unit": 1.0}
        move = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.partners[0].id,
                "journal_id": self.journal.id,
                "invoice_date": date,
                "invoice_line_ids": [Command.create(line)],
            }
        )
        move.name = name
        if not is_draft:
            move.action_post()

    def test_a_number_that_somebody_took_meanwhile(self):
        taken = self._run_all_of_one()
        run = self._make_approved({"price_unit": 10.0}, {"price_unit": 20.0})
        Move = self.env.registry["account.move"]
        tried = self._count_confirmed()
        # as if the other invoice had been confirmed after the last number was looked up
        with patch.object(Move, "_wait_for_numbers", lambda _move, _text, _values: 0):
            moves = self._invoice(run)
        self.assertEqual(len(tried), 2)
        self.assertEqual(set(moves.mapped("state")), {"posted"})
        numbers = sorted(moves.mapped("sequence_number"))
        self.assertEqual(numbers, [taken.sequence_number + 1, taken.sequence_number + 2])
        self.assertEqual(sorted(moves.mapped("amount_untaxed")), [10.0, 20.0])

    def _run_all_of_one(self):
        self._make_contract([{"price_unit": 5.0}], date_start="2024-03-01", date_end="2024-03-31")
        return self._run_all("2024-03-15").document_ids.move_id

    # ------------------------------------------------------------------
    # What only Odoo confirms
    # ------------------------------------------------------------------

    def _forget_overrides(self):
        """Have the addons' overrides looked up again; those of this test are forgotten."""
        self.enterContext(forgetting(self.env))
        # Odoo's methods are those that were read; tests replace one
        self.assertFalse(core.get_changed(self.env))

    def assertConfirmedByOdoo(self, run):
        """Invoice the run; assert that all invoices were drafts before they were confirmed."""
        original, posted = AccountMove._post, []

        def post(moves, soft=True):
            posted.extend(moves.ids)
            return original(moves, soft)

        tried = self._count_confirmed()
        with patch.object(AccountMove, "_post", post):
            moves = self._invoice(run)
        self.assertFalse(tried)
        self.assertEqual(sorted(posted), moves.ids)
        self.assertEqual(set(moves.mapped("state")), {"posted"})
        return moves

    def test_at_once(self):
        run = self._make_approved({"price_unit": 10.0}, {"price_unit": 20.0})
        tried = self._count_confirmed()
        moves = self._invoice(run)
        self.assertEqual(len(tried), 2)
        self.assertEqual(set(moves.mapped("state")), {"posted"})
        self.assertEqual(set(run.document_ids.mapped("state")), {"invoiced"})

    def test_a_preview_stays_a_draft(self):
        self._make_contract([{"price_unit": 10.0}], date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-15"))
        move = run.sudo().document_ids._create_preview_move()
        self.assertEqual((move.state, move.name), ("draft", False))

    def test_sealed_journals(self):
        self.journal.restrict_mode_hash_table = True
        run = self._make_approved({"price_unit": 10.0})
        self.assertTrue(self.assertConfirmedByOdoo(run).inalterable_hash)

    def test_credits_of_other_invoices(self):
        bulk = self.env["invoice.run.bulk"]
        line = {"billing_credited_line_id": 1}
        vals = {
            "company_id": self.company.id,
            "journal_id": self.journal.id,
            "invoice_date": "2024-03-15",
            "invoice_line_ids": [Command.create(line)],
        }
        self.assertEqual(bulk._get_confirming_obstacles([vals]), {"credits of other invoices"})
        vals["invoice_line_ids"] = [Command.create({})]
        self.assertFalse(bulk._get_confirming_obstacles([vals]))
        self.company.sale_lock_date = Date.to_date("2024-03-31")
        self.assertEqual(bulk._get_confirming_obstacles([vals]), {"lock dates"})

    def test_an_override_that_nobody_read(self):
        Bulk = self.env.registry["invoice.run.bulk"]
        original = Bulk._get_modules
        for model, names in CONFIRMED_METHODS.items():
            for name in sorted(names):
                with self.subTest(model=model, name=name):
                    self._assert_stranger_is_seen(original, model, name)

    def _assert_stranger_is_seen(self, original, model, name):
        Bulk = self.env.registry["invoice.run.bulk"]
        self._forget_overrides()

        def get_modules(bulk, asked, method):
            strangers = ["stranger"] if (asked, method) == (model, name) else []
            return original(bulk, asked, method) + strangers

        with patch.object(Bulk, "_get_modules", get_modules):
            found = self.env["invoice.run.bulk"]._get_confirming_overrides()
        self.assertIn((f"{model}.{name}", "stranger"), found)

    def test_an_override_that_nobody_read_has_drafts(self):
        run = self._make_approved({"price_unit": 10.0})
        Bulk = self.env.registry["invoice.run.bulk"]
        original = Bulk._get_modules

        def get_modules(bulk, model, method):
            return original(bulk, model, method) + ["stranger"] * (method == "_post")

        self.assertEqual(self._get_fast_path(), "On.")
        self._forget_overrides()
        with patch.object(Bulk, "_get_modules", get_modules):
            self.assertConfirmedByOdoo(run)
            text = self._get_fast_path()
        self.assertIn("Confirming takes a step of its own, because of these apps: stranger", text)

    def _get_fast_path(self):
        settings = self.env["res.config.settings"].with_company(self.company)
        return settings.create({}).invoice_run_fast_path

    def test_a_rule_that_watches_changes(self):
        """Automation rules patch the methods of the registry's class."""
        run = self._make_approved({"price_unit": 10.0})
        Move = self.env.registry["account.move"]
        original, written = Move.write, []

        def write(moves, vals):
            written.append(set(vals))
            return original(moves, vals)

        with patch.object(Move, "write", write):
            self.assertConfirmedByOdoo(run)
            self.assertIn("automation rules watch invoices", self._get_fast_path())
        self.assertIn({"state", "posted_before"}, written)

    def test_a_rule_that_watches_items(self):
        """One that watches changes only, which confirming makes of each item."""
        bulk = self.env["invoice.run.bulk"]
        Line = self.env.registry["account.move.line"]
        self.assertFalse(bulk._is_confirming_patched())
        for name in ("create", "write", "_compute_field_value"):
            with self.subTest(name), patch.object(Line, name, getattr(Line, name)):
                self.assertTrue(bulk._is_confirming_patched())
                self.assertFalse(bulk._is_on(), "it may change items before taxes follow")
                self.assertIn("automation rules watch journal items", self._get_fast_path())
        self.assertTrue(bulk._is_on())

    def test_mandatory_plans_where_the_context_asks_for_them(self):
        """Also of lines without any distribution; the engine does not ask, an addon may."""
        plan = self.env["account.analytic.plan"].create({"name": "Mandatory"})
        plan.applicability_ids = [
            Command.create({"business_domain": "invoice", "applicability": "mandatory"})
        ]
        accounts = self.env["account.analytic.account"]
        accounts.create({"name": "A", "plan_id": plan.id, "company_id": self.company.id})
        run = self._make_approved({"price_unit": 10.0})
        vals = run.sudo().document_ids._prepare_move_vals()
        bulk = self.env["invoice.run.bulk"].with_company(self.company).sudo()
        bulk = bulk.with_context(invoice_run_chunk=Chunk(1), validate_analytic=True)
        tried = self._count_confirmed()
        with self.assertRaisesRegex(ValidationError, "100% analytic distribution"):
            bulk._create_moves([vals])
        self.assertEqual(len(tried), 1)

    def test_a_default_that_posts_later(self):
        """What ``_post`` looks at is looked at when all values are there."""
        self.env["ir.default"].set("account.move", "auto_post", "at_date")
        run = self._make_approved({"price_unit": 10.0})
        tried = self._count_confirmed()
        move = self._invoice(run)
        self.assertEqual(len(tried), 1)
        self.assertTrue(move._is_confirmed_by_odoo())
        self.assertEqual((move.auto_post, move.state), ("at_date", "posted"), "as Odoo does")

    # ------------------------------------------------------------------
    # Zero, drafts, forged contexts
    # ------------------------------------------------------------------

    def test_an_invoice_of_nothing_is_paid(self):
        lines = [
            {"product_id": self.products[0].id, "price_unit": 10.0},
            {"product_id": self.products[1].id, "price_unit": -10.0},
        ]
        account = self.company_data["default_account_revenue"].copy()
        self.products[1].property_account_income_id = account
        self._make_contract(lines, date_start="2024-03-01")
        run = self._make_approved()
        Move = self.env.registry["account.move"]
        original, paid = Move._invoice_paid_hook, []

        def hook(moves):
            paid.extend(moves.ids)
            return original(moves)

        with patch.object(Move, "_invoice_paid_hook", hook):
            move = self._invoice(run)
        self.assertEqual(move.amount_total, 0.0)
        self.assertEqual(move.payment_state, "paid")
        self.assertEqual(paid, move.ids)

    def test_a_forged_context_changes_nothing(self):
        """Over RPC somebody can send any key, but no object."""
        vals = {
            "move_type": "out_invoice",
            "partner_id": self.partners[0].id,
            "invoice_date": "2024-03-15",
            "invoice_line_ids": [Command.create({"name": "x", "price_unit": 7.0})],
        }
        forged = dict.fromkeys(("invoice_run_bulk", "invoice_run_chunk"), 1)
        move = self.env["account.move"].with_context(**forged).create(vals)
        self.assertEqual(move.state, "draft")
        self.assertFalse(move.name)
        self.assertEqual(move.amount_untaxed, 7.0)
        self.assertTrue(move.line_ids.filtered(lambda line: line.display_type == "payment_term"))
        self.scenario.invoice_state = "draft"
        run = self._make_approved({"price_unit": 10.0})
        run = run.with_context(**forged)
        self.assertEqual(self._invoice(run).state, "draft")
