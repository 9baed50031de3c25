from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.models import BaseModel
from odoo.tests import tagged

from .. import known_overrides, taxes
from ..bulk import BulkCache
from ..known_overrides import Known
from .bulk_common import BulkCommon
from .strangers import forgetting


@tagged("post_install", "-at_install")
class TestBulkEquality(BulkCommon):
    """Invoices made in bulk have the same rows as those of plain ``account.move.create``."""

    def test_random_contracts(self):
        self._make_contracts(1, 30)
        moves = self._assert_equal()
        self.assertEqual(set(moves.mapped("move_type")), {"out_invoice", "out_refund"})
        self.assertGreater(len(moves.currency_id), 3)

    def test_random_contracts_with_taxes_rounded_per_document(self):
        self.company.tax_calculation_rounding_method = "round_globally"
        self._make_contracts(2, 30)
        self._assert_equal()

    def test_equal_lines(self):
        """Their taxes are computed once, whoever gets the invoice; one that differs, by itself."""
        split, on_top = self.taxes[3], self.taxes[7]
        lines = [
            {"tax_ids": [Command.set(split.ids)], "analytic_distribution": self.distributions[2]},
            {"tax_ids": [Command.set(on_top.ids)], "price_unit": 33.333},
        ]
        vals = {"date_start": "2024-03-01", "billing_timing": "advance"}
        for partner in self.partners[:6]:
            self._make_contract(lines, partner_id=partner.id, **vals)
        other = {**lines[0], "analytic_distribution": self.distributions[3]}
        self._make_contract([other, lines[1]], partner_id=self.partners[6].id, **vals)
        Bulk = self.env.registry["invoice.run.bulk"]
        original, computed = Bulk._compute_taxes, []

        def counting(bulk, lines, head):
            computed.append(head.partner)
            return original(bulk, lines, head)

        self.patch(Bulk, "_compute_taxes", counting)
        moves = self._assert_equal(least_bulk=1)
        self.assertEqual(len(moves), 7)
        self.assertEqual(len(computed), 2)
        for move in moves:
            items = move.line_ids.filtered("tax_line_id")
            self.assertEqual(items.partner_id, move.commercial_partner_id)

    def test_an_unread_part_of_the_tax_engine(self):
        """Nothing is remembered then: it could depend on the customer."""
        self.assertTrue(taxes.is_engine_known(self.env))
        self.patch(taxes, "_get_unknown", lambda _env: [("_eval_tax_amount", "stranger")])
        self.enterContext(forgetting(self.env))
        self.assertFalse(taxes.is_engine_known(self.env))
        run = self._make_amounts(self._make_run("2020-01-15"))
        self.assertFalse(run.document_ids[:1]._are_taxes_remembered())

    def test_drafts(self):
        self.scenario.invoice_state = "draft"
        self._make_contracts(3, 12)
        moves = self._assert_equal(confirmed_at_once=False)
        self.assertEqual(set(moves.mapped("state")), {"draft"})

    def test_distribution_models(self):
        self.env["account.analytic.distribution.model"].create(
            [
                {
                    "product_id": self.products[0].id,
                    "analytic_distribution": self.distributions[1],
                    "company_id": self.company.id,
                },
                {
                    "partner_id": self.partners[0].id,
                    "analytic_distribution": self.distributions[3],
                    "company_id": self.company.id,
                },
            ]
        )
        self._make_contracts(4, 12)
        moves = self._assert_equal()
        self.assertTrue(moves.line_ids.analytic_line_ids)

    def test_due_date_of_the_schedule(self):
        self._make_contracts(5, 6)
        run_vals = {"due_date": "2024-04-30"}
        original = self._make_run
        self.patch(
            type(self), "_make_run", lambda test, date, **vals: original(date, **run_vals, **vals)
        )
        moves = self._assert_equal()
        self.assertEqual({str(day) for day in moves.mapped("invoice_date_due")}, {"2024-04-30"})

    def _prepare_vals_list(self, count):
        """Return the values of ``count`` invoices of customers of their own, all for the bulk."""
        taxes = [Command.set(self.taxes[0].ids)]
        for number in range(count):
            partner = self._make_partner(f"{number}", f"{number}@example.com")
            self._make_contract([{"tax_ids": taxes}], partner_id=partner.id)
        run = self._make_amounts(self._make_run("2020-01-15")).sudo()
        bulk = self.env["invoice.run.bulk"].with_company(self.company).sudo()
        return bulk, [document._prepare_move_vals() for document in run.document_ids]

    def test_links_to_another_company_are_refused(self):
        """One of many alike is checked: one that is not alike is found, wherever it stands."""
        other = self.env["res.company"].create({"name": "Other"})
        bulk, vals_list = self._prepare_vals_list(4)
        product = self._make_product("Foreign", 1.0, company_id=other.id)
        line_vals = vals_list[2]["invoice_line_ids"][0][2]
        own, line_vals["product_id"] = line_vals["product_id"], product.id
        with self.assertRaisesRegex(UserError, "Foreign"), self.env.cr.savepoint():
            bulk._create_moves(vals_list)
        line_vals["product_id"] = own
        self.env["res.partner"].browse(vals_list[3]["partner_id"]).company_id = other
        with self.assertRaisesRegex(UserError, "crossover"):
            bulk._create_moves(vals_list)

    def test_one_of_each_kind_is_checked(self):
        bulk, vals_list = self._prepare_vals_list(4)
        checked = []

        def counting(records, fnames=None):
            if fnames is None:
                checked.append((records._name, len(records)))

        self.patch(BaseModel, "_check_company", counting)
        self.assertEqual(len(bulk._create_moves(vals_list)), 4)
        self.assertIn(("account.move", 1), checked)
        # the product, its tax, the receivable
        self.assertIn(("account.move.line", 3), checked)

    def _get_obstacles(self, **vals):
        self._make_contract([{"tax_ids": [Command.set(self.taxes[0].ids)]}], **vals)
        run = self._make_amounts(self._make_run("2020-01-15"))
        bulk = self.env["invoice.run.bulk"].with_company(self.company).sudo()
        move_vals = run.sudo().document_ids._prepare_move_vals()
        return bulk._get_bulk_obstacles(move_vals, BulkCache(bulk.env, [move_vals]))

    def test_no_obstacle(self):
        self.assertFalse(self.env["invoice.run.bulk"]._get_registry_obstacles())
        self.assertFalse(self._get_obstacles())

    def test_early_payment_discount_is_an_obstacle(self):
        term = self.terms[3].copy({"early_discount": True})
        self.assertEqual(self._get_obstacles(payment_term_id=term.id), ["early payment discount"])

    def test_storno_is_an_obstacle(self):
        self.company.account_storno = True
        self.assertEqual(self._get_obstacles(), ["Storno accounting"])

    def test_discount_allocation_is_an_obstacle(self):
        account = self.company_data["default_account_expense"]
        self.company.account_discount_expense_allocation_id = account
        self.assertEqual(self._get_obstacles(), ["Separate account for expense discount"])

    def test_tax_due_on_payment_is_an_obstacle(self):
        self.company.tax_exigibility = True
        account = self.company_data["default_account_tax_sale"].copy({"reconcile": True})
        self.taxes[0].cash_basis_transition_account_id = account
        self.taxes[0].tax_exigibility = "on_payment"
        self.assertEqual(self._get_obstacles(), ["taxes"])

    def test_values_that_an_addon_adds_are_an_obstacle(self):
        Document = self.env.registry["invoice.run.document"]
        original = Document._prepare_move_vals
        self.patch(
            Document, "_prepare_move_vals", lambda doc: {**original(doc), "narration": "Thank you"}
        )
        self.assertEqual(self._get_obstacles(), ["values: narration"])

    def test_an_override_that_nobody_read_is_an_obstacle(self):
        bulk = self.env["invoice.run.bulk"]
        self.assertFalse(bulk._get_registry_obstacles())
        Bulk = self.env.registry["invoice.run.bulk"]
        original = Bulk._get_modules

        def get_modules(bulk, model, method):
            strangers = ["stranger"] if method == "_compute_needed_terms" else []
            return original(bulk, model, method) + strangers

        self.patch(Bulk, "_get_modules", get_modules)
        self.enterContext(forgetting(self.env))
        self.assertEqual(
            bulk._get_registry_obstacles(), ["account.move._compute_needed_terms (stranger)"]
        )

    def _pretend_module(self, module, **limits):
        """Pretend that an addon with known overrides is installed."""
        known = Known(frozenset(), **limits)
        names = {**known_overrides.KNOWN_OVERRIDES, module: [known]}
        self.patch(known_overrides, "KNOWN_OVERRIDES", names)
        self.patch(self.env.registry, "_init_modules", self.env.registry._init_modules | {module})

    def _get_fast_path(self):
        settings = self.env["res.config.settings"].with_company(self.company)
        return settings.create({}).invoice_run_fast_path

    def test_a_localisation_keeps_companies_of_its_country_only(self):
        self._pretend_module("l10n_there", country="XX")
        self.assertFalse(self._get_obstacles())
        self.assertEqual(self._get_fast_path(), "On.")
        self._pretend_module("l10n_here", country=self.company.account_fiscal_country_id.code)
        self.assertEqual(self._get_obstacles(), ["l10n_here"])
        self.assertEqual(self._get_fast_path(), "Off for this company, because of: l10n_here.")

    def test_a_localisation_of_credit_notes(self):
        country = self.company.account_fiscal_country_id.code
        self._pretend_module("l10n_here", country=country, move_type="out_refund")
        self.assertFalse(self._get_obstacles())
        self.assertEqual(self._get_fast_path(), "On.")
        self._make_contract([{"quantity": -1.0, "tax_ids": [Command.set(self.taxes[0].ids)]}])
        run = self._make_amounts(self._make_run("2020-01-15"))
        credit = run.sudo().document_ids.filtered(lambda document: document.amount_total < 0)
        vals = credit._prepare_move_vals()
        bulk = self.env["invoice.run.bulk"].with_company(self.company).sudo()
        obstacles = bulk._get_bulk_obstacles(vals, BulkCache(bulk.env, [vals]))
        self.assertEqual(obstacles, ["l10n_here"])

    def test_numbers_of_some_journals_or_countries(self):
        bulk, journal = self.env["invoice.run.bulk"], self.company_data["default_journal_sale"]
        other = journal.copy({"code": "OTH", "restrict_mode_hash_table": True})
        self._pretend_module("l10n_here", numbers=True, journal_field="restrict_mode_hash_table")
        self.assertTrue(bulk._is_numbering_known(journal))
        self.assertFalse(bulk._is_numbering_known(journal + other))
        self.assertFalse(self._get_obstacles())
        country = self.company.account_fiscal_country_id.code
        self._pretend_module("l10n_here", numbers=True, country=country)
        self.assertFalse(bulk._is_numbering_known(journal))
        self.assertFalse(self._get_obstacles())

    def test_settings_say_what_holds_it_back(self):
        self.assertEqual(self._get_fast_path(), "On.")
        self.company.account_storno = True
        self.assertEqual(
            self._get_fast_path(), "Off for this company, because of: Storno accounting."
        )
        pairs = [("account.move._compute_date", "b"), ("account.move.x", "a")]
        Bulk = self.env.registry["invoice.run.bulk"]
        self.patch(Bulk, "_get_unknown_overrides", lambda _bulk: pairs)
        self.assertEqual(self._get_fast_path(), "Off, because of these apps: a, b.")
        self.env["ir.config_parameter"].sudo().set_param("invoice_run.bulk_create", "0")
        self.assertIn("invoice_run.bulk_create", self._get_fast_path())

    def test_numbers_that_a_localisation_counts_apart(self):
        bulk = self.env["invoice.run.bulk"]
        self.assertTrue(bulk._is_numbering_known(self.env["account.journal"]))
        Bulk, Move = self.env.registry["invoice.run.bulk"], self.env.registry["account.move"]
        get_modules = Bulk._get_modules
        start, domain = Move._get_starting_sequence, Move._get_last_sequence_domain
        self._make_contracts(7, 24)
        run = self._make_amounts(self._make_run("2024-01-31"))
        others = run.document_ids[::2]

        def get_kind(move):
            return "B" if move.invoice_run_document_id in others else "A"

        def get_domain(move, relaxed=False):
            where, params = domain(move, relaxed=relaxed)
            return where + " AND name LIKE %(kind)s", {**params, "kind": get_kind(move) + "%"}

        self.patch(
            Bulk,
            "_get_modules",
            lambda model, *names: [*get_modules(model, *names), "localisation"],
        )
        self.enterContext(forgetting(self.env))
        self.patch(Move, "_get_starting_sequence", lambda move: get_kind(move) + start(move))
        self.patch(Move, "_get_last_sequence_domain", get_domain)
        moves = self._make_invoices(run)
        for move in moves:
            self.assertTrue(move.name.startswith(get_kind(move)), move.name)
        self.assertEqual({move.name[0] for move in moves}, set("AB"))

    def test_obstacles_among_others(self):
        """The order of the documents is that of the invoices, whichever way they are made."""
        term = self.terms[3].copy({"early_discount": True})
        for number in range(6):
            partner = self._make_partner(f"{number}", f"{number}@example.com")
            vals = {"payment_term_id": term.id} if number % 3 == 1 else {}
            self._make_contract(partner_id=partner.id, **vals)
        run = self._run_all("2020-01-15")
        moves = run.invoice_ids.sorted("sequence_number")
        self.assertEqual(moves.partner_id.mapped("name"), list("012345"))
        self.assertEqual(len(moves.line_ids.filtered("discount_date").move_id), 2)

    def test_followers_are_notified(self):
        """An addon has somebody follow new invoices: the creation message reaches them."""
        Move = self.env.registry["account.move"]
        follower = self.manager.partner_id
        original = Move._message_auto_subscribe_followers
        self.patch(
            Move,
            "_message_auto_subscribe_followers",
            lambda moves, values, subtypes: [
                *original(moves, values, subtypes),
                (follower.id, self.env.ref("account.mt_invoice_created").ids, False),
            ],
        )
        self.manager.notification_type = "inbox"
        self._make_contracts(6, 3)
        moves = self._assert_equal()
        invoices = moves.filtered(lambda move: move.move_type == "out_invoice")
        self.assertTrue(invoices)
        notified = invoices.sudo().message_ids.notification_ids.res_partner_id
        self.assertEqual(notified, follower)
