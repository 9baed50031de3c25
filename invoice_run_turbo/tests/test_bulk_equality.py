import random
from unittest.mock import patch

from freezegun import freeze_time

from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.models import BaseModel
from odoo.tests import tagged

from .. import core, known_overrides, taxes
from ..bulk import BulkCache
from ..known_overrides import Known
from .bulk_rows import get_differences, read_rows

DATE = "2024-03-15"


@tagged("post_install", "-at_install")
class TestBulkEquality(InvoiceRunCommon):
    """Invoices made in bulk have the same rows as those of plain ``account.move.create``."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.company.tax_calculation_rounding_method = "round_per_line"
        cls.taxes = cls._make_taxes()
        cls.currencies = [
            cls.company.currency_id,
            cls._make_currency("KWD", 1.7, 0.001),
            cls._make_currency("JPY", 151.4, 1.0),
            cls._make_currency("CHF", 0.91, 0.01),
        ]
        cls.terms = cls._make_terms()
        cls.positions = cls._make_positions()
        cls.distributions = cls._make_distributions()
        cls.partners = cls._make_partners()
        cls.products = [cls._make_product(f"Product {n}", 10.0 * n) for n in range(1, 5)]
        cls.bulk_count = 0

    @classmethod
    def _make_taxes(cls):
        cls.tax_tag = cls.env["account.account.tag"].create(
            {"name": "Base", "applicability": "taxes", "country_id": cls.company.country_id.id}
        )
        included = cls._make_tax("7.7 % incl.", 7.7, price_include_override="tax_included")
        excluded = cls._make_tax("21 %", 21.0)
        split = cls._make_tax("Split", 13.0, factors=(33.3, 66.7), analytic=True)
        fixed = cls._make_tax("Fixed", 1.25, amount_type="fixed")
        base = cls._make_tax("On top", 5.0, include_base_amount=True, sequence=1)
        single = [
            excluded,
            included,
            cls._make_tax("Reverse charge", 20.0, factors=(100.0, -100.0)),
            split,
            cls._make_tax(
                "Division", 9.5, amount_type="division", price_include_override="tax_included"
            ),
            cls._make_tax_group(),
            cls._make_tax("0 %", 0.0),
        ]
        return [*single, base + excluded, excluded + fixed, split + included, excluded.browse()]

    @classmethod
    def _make_tax(cls, name, amount, factors=(100.0,), **vals):
        return cls.env["account.tax"].create(
            {
                "name": name,
                "amount": amount,
                "type_tax_use": "sale",
                "company_id": cls.company.id,
                "invoice_repartition_line_ids": cls._prepare_repartition(factors),
                "refund_repartition_line_ids": cls._prepare_repartition(factors),
                **vals,
            }
        )

    @classmethod
    def _prepare_repartition(cls, factors):
        """Return the base and a tax line per factor: the first has the account, others the tag."""
        tag = [Command.set(cls.tax_tag.ids)]
        account = cls.company_data["default_account_tax_sale"]
        taxes = [
            {
                "repartition_type": "tax",
                "factor_percent": factor,
                "account_id": account.id if number == 0 else False,
                "tag_ids": tag if number else False,
            }
            for number, factor in enumerate(factors)
        ]
        base = {"repartition_type": "base", "tag_ids": tag}
        return [Command.create(vals) for vals in (base, *taxes)]

    @classmethod
    def _make_tax_group(cls):
        children = cls._make_tax("A", 3.0) + cls._make_tax("B", 4.5)
        return cls.env["account.tax"].create(
            {
                "name": "Group",
                "amount_type": "group",
                "type_tax_use": "sale",
                "company_id": cls.company.id,
                "children_tax_ids": [Command.set(children.ids)],
            }
        )

    @classmethod
    def _make_currency(cls, code, rate, rounding):
        currency = cls.setup_other_currency(code, rates=[("2020-01-01", rate)], rounding=rounding)
        return currency

    @classmethod
    def _make_terms(cls):
        def make(name, *lines):
            return cls.env["account.payment.term"].create(
                {"name": name, "line_ids": [Command.create(line) for line in lines]}
            )

        def part(value, days, kind="percent"):
            return {"value": kind, "value_amount": value, "nb_days": days}

        thirds = make("Thirds", part(33.33, 0), part(33.33, 30), part(33.34, 60))
        fixed = make("Fixed", part(11.11, 0, "fixed"), part(100.0, 45))
        same_day = make("Same day twice", part(40.0, 30), part(60.0, 30))
        thirty = cls.env.ref("account.account_payment_term_30days")
        return [thirds, fixed, same_day, thirty, thirty.browse()]

    @classmethod
    def _make_positions(cls):
        position = cls.env["account.fiscal.position"].create(
            {"name": "Export", "company_id": cls.company.id}
        )
        account = cls.company_data["default_account_revenue"]
        position.account_ids = [
            Command.create(
                {
                    "account_src_id": account.id,
                    "account_dest_id": account.copy({"code": "499999"}).id,
                }
            ),
            Command.create(
                {
                    "account_src_id": cls.company_data["default_account_receivable"].id,
                    "account_dest_id": cls.company_data["default_account_receivable"]
                    .copy({"code": "199999"})
                    .id,
                }
            ),
        ]
        return [position, position.browse()]

    @classmethod
    def _make_distributions(cls):
        plans = cls.env["account.analytic.plan"].create([{"name": "P"}, {"name": "Q"}])
        accounts = cls.env["account.analytic.account"].create(
            [
                {"name": f"A{n}", "plan_id": plan.id, "company_id": cls.company.id}
                for plan in plans
                for n in range(2)
            ]
        )
        first, second, third, _fourth = accounts.ids
        return [
            False,
            {str(first): 100.0},
            {str(first): 33.333, str(second): 66.667},
            {f"{first},{third}": 50.0, str(second): 50.0},
        ]

    @classmethod
    def _make_partners(cls):
        account = cls.company_data["default_account_receivable"]
        partners = [cls._make_partner(f"P{n}", f"p{n}@example.com") for n in range(9)]
        cls._make_partner("Delivery", parent_id=partners[0].id, type="delivery")
        partners[1].allow_invoice_grouping = True
        partners[2].allow_invoice_grouping = True
        partners[3].property_account_receivable_id = account.copy({"code": "188888"})
        partners[4].user_id = cls.manager
        partners[5].parent_id = partners[0]
        partners[6].bank_ids = [Command.create({"acc_number": "BE68539007547034"})]
        partners[7].customer_rank = 3
        partners[8].lang = "en_US"
        return partners

    def _make_contracts(self, seed, count, **fixed):
        """Make contracts of random terms; half of them have several lines."""
        draw = random.Random(seed)
        for _number in range(count):
            vals = {
                "partner_id": draw.choice(self.partners).id,
                "currency_id": draw.choice(self.currencies).id,
                "payment_term_id": draw.choice(self.terms).id,
                "fiscal_position_id": draw.choice(self.positions).id,
                "user_id": draw.choice([self.manager.id, False]),
                "client_order_ref": draw.choice(["PO 17", False]),
                "billing_timing": draw.choice(["advance", "arrears"]),
                "date_start": f"2024-0{draw.randint(1, 2)}-{draw.randint(1, 28):02}",
                **fixed,
            }
            sign = draw.choice([1, 1, 1, -1])
            lines = [self._draw_line(draw, sign) for _line in range(draw.choice([1, 1, 2, 3]))]
            self._make_contract(lines, **vals)

    def _draw_line(self, draw, sign):
        return {
            "product_id": draw.choice(self.products).id,
            "name": f"Rent {draw.random():.3f}",
            "quantity": sign * draw.choice([1, 2, 3.5, 1.234]),
            "price_unit": draw.choice([100.0, 21.53, 0.07, 1234.567, 33.333]),
            "discount": draw.choice([0, 0, 10, 33.33]),
            "tax_ids": [Command.set(draw.choice(self.taxes).ids)],
            "analytic_distribution": draw.choice(self.distributions),
        }

    def _assert_equal(self, least_bulk=0.9, confirmed_at_once=True):
        """Invoice all contracts in both ways, and compare all rows.

        :param confirmed_at_once: whether they are created as confirmed
        """
        run = self._make_amounts(self._make_run(DATE))
        # the tests' context turns the chatter off
        run = run.with_context(tracking_disable=False, mail_create_nolog=False)
        run.with_user(self.reviewer).action_approve()
        run.action_generate_invoices()
        plain = self._read_plain(run)
        Bulk = self.env.registry["invoice.run.bulk"]
        original, made = Bulk._create_bulk, []

        def counting(bulk, vals_list, cache):
            made.extend(vals_list)
            return original(bulk, vals_list, cache)

        self.patch(Bulk, "_create_bulk", counting)
        confirmed = self._count_confirmed()
        moves = self._invoice(run)
        self.assertEqual(len(confirmed), len(moves) if confirmed_at_once else 0)
        self.assertGreaterEqual(len(made), least_bulk * len(moves))
        self.assertTrue(plain["mail_message"])
        self.assertFalse(get_differences(plain, read_rows(moves))[:20])
        return moves

    def _count_confirmed(self):
        """Return a list to which the values of invoices are added that are created as confirmed."""
        Bulk = self.env.registry["invoice.run.bulk"]
        original, confirmed = Bulk._create_confirmed, []

        def counting(bulk, vals_list, cache):
            confirmed.extend(vals_list)
            return original(bulk, vals_list, cache)

        self.patch(Bulk, "_create_confirmed", counting)
        return confirmed

    def _read_plain(self, run):
        """Return the rows of the plain path, whose invoices are gone afterwards."""
        savepoint = self.env.cr.savepoint()
        with patch.object(core, "is_as_read", lambda _env, _step: False):
            rows = read_rows(self._invoice(run))
        savepoint.close(rollback=True)
        self.env.invalidate_all(flush=False)
        self.env.cr.cache.clear()
        self.env.cr.precommit.clear()
        self.env.cr.postcommit.clear()
        self.assertFalse(run.document_ids.move_id)
        return rows

    def _invoice(self, run):
        # as a worker that has just started: the order of a distribution's accounts decides
        # where the last coin goes, and the database's differs from that of these contracts
        self.env.invalidate_all()
        with freeze_time("2024-03-20 10:00:00"):
            run._process_queue()
        self.assertFalse(run.document_ids.filtered("error").mapped("error"))
        return run.document_ids.move_id.sorted("id")

    # ------------------------------------------------------------------

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
        self.patch(self.env.registry, "_invoice_run_tax_engine", None)
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
        self.patch(self.env.registry, "_invoice_run_bulk_obstacles", None)
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
        self.patch(self.env.registry, "_invoice_run_bulk_obstacles", pairs)
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
        self.patch(self.env.registry, "_invoice_run_numbering", None)
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
