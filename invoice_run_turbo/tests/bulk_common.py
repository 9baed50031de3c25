"""Random contracts, and their invoices made in two ways."""

import random
from unittest.mock import patch

from freezegun import freeze_time

from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.fields import Command

from .. import core
from .bulk_rows import get_differences, read_rows

DATE = "2024-03-15"


class BulkCommon(InvoiceRunCommon):
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
        made = self._count_created("_create_bulk")
        confirmed = self._count_confirmed()
        moves = self._invoice(run)
        self.assertEqual(len(confirmed), len(moves) if confirmed_at_once else 0)
        self.assertGreaterEqual(len(made), least_bulk * len(moves))
        self.assertTrue(plain["mail_message"])
        self.assertFalse(get_differences(plain, read_rows(moves))[:20])
        return moves

    def _count_confirmed(self):
        """Return a list to which the values of invoices are added that are created as confirmed."""
        return self._count_created("_create_confirmed")

    def _count_created(self, name):
        """Return a list to which the values are added that this method of the bulk model gets."""
        Bulk = self.env.registry["invoice.run.bulk"]
        original, created = getattr(Bulk, name), []

        def counting(bulk, vals_list, cache):
            created.extend(vals_list)
            return original(bulk, vals_list, cache)

        self.patch(Bulk, name, counting)
        return created

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
