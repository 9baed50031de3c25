"""Random work between approval and invoices: each invoice is one that a reviewer approved."""

import random

from odoo.exceptions import AccessError, MissingError, UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

REFUSALS = (AccessError, UserError, MissingError)
SEEDS = range(24)
#: At most so many acts come between approval and invoices.
STEPS = 4


@tagged("post_install", "-at_install")
class TestApprovalWalks(InvoiceRunCommon):
    """Prepare users, accountants and salespeople do what they like; the reviewer is away."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sales_scenario = cls._make_scenario("Orders", source="sale")
        cls.accountant = cls._make_user(
            "walk_accountant", "account.group_account_manager,base.group_partner_manager"
        )
        cls.seller = cls._make_user(
            "walk_seller", "sales_team.group_sale_manager,base.group_partner_manager"
        )
        cls.partners = [cls._make_partner(name) for name in ("One", "Two", "Three")]
        cls.tax = cls.company_data["default_tax_sale"]
        cls.taxed = cls._make_product("Taxed", 80.0, taxes_id=[Command.set(cls.tax.ids)])
        cls.euro = cls._make_currency()
        for number, partner in enumerate(cls.partners):
            currency = cls.euro if number == 2 else cls.company.currency_id
            cls._make_contract(
                [{"product_id": cls.taxed.id}, {"price_unit": 30.0}],
                date_start="2024-01-01",
                partner_id=partner.id,
                currency_id=currency.id,
            )
            cls._make_usage(date="2024-01-05", partner_id=partner.id, product_id=cls.taxed.id)
        cls.orders = cls._make_orders()

    @classmethod
    def _make_currency(cls):
        currency = cls.env.ref("base.EUR")
        currency.active = True
        cls.rate = cls.env["res.currency.rate"].create(
            {"currency_id": currency.id, "company_id": cls.company.id, "name": "2023-01-01"}
        )
        cls.rate.rate = 0.5
        return currency

    @classmethod
    def _make_orders(cls):
        product = cls._make_product("Ordered", 50.0, invoice_policy="order")
        # sudo: what exists before the walk, whoever made it
        orders = (
            cls.env["sale.order"]
            .sudo()
            .create(
                [
                    {
                        "partner_id": partner.id,
                        "company_id": cls.company.id,
                        "order_line": [Command.create({"product_id": product.id})],
                    }
                    for partner in cls.partners
                ]
            )
        )
        orders.action_confirm()
        orders.write({"approved_for_invoicing": True, "date_order": "2024-01-02 10:00:00"})
        return orders

    def test_walks(self):
        made = refused = 0
        for seed in SEEDS:
            with self.subTest(seed=seed), self.env.cr.savepoint() as savepoint:
                count, failures = self._walk(random.Random(seed))
                made, refused = made + count, refused + failures
                savepoint.rollback()
            self.env.invalidate_all(flush=False)
        self.assertGreater(made, 10, "invoices are made")
        self.assertGreater(refused, 10, "documents are refused")

    @mute_logger("odoo.addons.base.models.ir_model", "odoo.sql_db", "odoo.models.unlink")
    def _walk(self, chance):
        self.chance, self.log = chance, []
        scenario = chance.choice([self.scenario, self.usage_scenario, self.sales_scenario])
        self.run = self._make_amounts(self._make_run("2024-01-15", scenario))
        self.approved = self._see()
        self.run.with_user(self.reviewer).action_approve()
        for act in chance.choices(self._get_acts(), k=chance.randint(1, STEPS)):
            self._do(act)
        for act in (self._generate, self._retry, self._generate):
            self._do(act)
        moves = self.env["account.move"].sudo().search([("invoice_run_id", "=", self.run.id)])
        for move in moves:
            self.assertIn(self._get_content(move), self.approved, self.log)
        documents = self.run.sudo().document_ids
        return len(moves), len(documents.filtered(lambda document: document.state == "failed"))

    def _see(self):
        """Return what the reviewer sees and approves, as contents of invoices."""
        return [
            (
                document.partner_id,
                document.currency_id,
                str(document.invoice_date),
                round(document.amount_untaxed, 2),
                round(document.amount_total, 2),
                round(document.company_amount_total, 2),
                [
                    (line.product_id, round(line.quantity * line.price_unit, 2), line.tax_ids)
                    for line in document.line_ids
                ],
            )
            for document in self.run.document_ids
        ]

    def _get_content(self, move):
        lines = move.invoice_line_ids.filtered(lambda line: line.display_type == "product")
        return (
            move.partner_id,
            move.currency_id,
            str(move.invoice_date),
            round(move.amount_untaxed, 2),
            round(move.amount_total, 2),
            round(move.amount_total_signed, 2),
            [
                (line.product_id, round(line.quantity * line.price_unit, 2), line.tax_ids)
                for line in lines
            ],
        )

    def _do(self, act):
        try:
            with self.env.cr.savepoint():
                act()
                self.env.flush_all()
            self.log.append(act.__name__)
        except REFUSALS as error:
            self.log.append(f"{act.__name__}: {str(error)[:60]}")
        self.env.invalidate_all(flush=False)

    def _get_acts(self):
        names = [name for name in dir(type(self)) if name.startswith("_act_")]
        return [getattr(self, name) for name in names]

    def _generate(self):
        forged = {"default_price_unit": 1.0, "default_partner_id": self.debtor.id}
        run = self.run.with_user(self.user).with_context(
            **self.chance.choice([{}, forged, {"skip_invoice_sync": True}])
        )
        run.action_generate_invoices()
        run._process_queue()

    def _retry(self):
        run = self.run.with_user(self.user)
        run.action_retry_failed()
        run._process_queue()

    def _pick(self, model, user):
        records = self.env[model].with_user(user).search([("company_id", "=", self.company.id)])
        return self.chance.choice(records)

    # ------------------------------------------------------------------
    # Who prepares
    # ------------------------------------------------------------------

    def _act_prepare_price(self):
        self._pick("billing.contract.line", self.user).price_unit = self.chance.choice([1, 90, 1e5])

    def _act_prepare_customer(self):
        contract = self._pick("billing.contract", self.user)
        contract.partner_id = self.chance.choice(self.partners)

    def _act_prepare_line(self):
        contract = self._pick("billing.contract", self.user)
        contract.line_ids = [Command.create({"product_id": self.product.id, "price_unit": 999.0})]

    def _act_prepare_usage(self):
        usage = self._pick("billing.usage", self.user)
        usage.write({"quantity": 7.0, "partner_id": self.chance.choice(self.partners).id})

    def _act_prepare_exclusion(self):
        documents = self.run.with_user(self.user).document_ids
        self.chance.choice(documents).action_exclude()

    def _act_prepare_exclusion_of_an_amount(self):
        self.chance.choice(self.run.with_user(self.user).line_ids).action_exclude()

    def _act_prepare_inclusion(self):
        self.run.with_user(self.user).document_ids.action_include()

    def _act_prepare_renewal(self):
        run = self.run.with_user(self.user)
        run.action_renew_stale()
        run._process_queue()

    def _act_prepare_date(self):
        self.run.with_user(self.user).invoice_date = "2024-02-20"

    def _act_prepare_schedule(self):
        schedule = self.run.schedule_id.with_user(self.user)
        schedule.invoice_date_mode = self.chance.choice(["generation", "last_of_month"])

    def _act_prepare_some_invoices(self):
        self.chance.choice(self.run.with_user(self.user).document_ids).action_generate_invoices()
        self.run.with_user(self.user)._process_queue()

    # ------------------------------------------------------------------
    # Who forges
    # ------------------------------------------------------------------

    def _act_forge_document(self):
        document = self.chance.choice(self.run.with_user(self.user).document_ids)
        document.write({"amount_total": 1.0, "partner_id": self.debtor.id})

    def _act_forge_amount(self):
        run = self.run.with_user(self.user)
        run.write({"line_ids": [Command.update(run.line_ids[:1].id, {"price_unit": 1.0})]})

    def _act_forge_approval(self):
        self.run.with_user(self.user).write({"state": "approved", "approved_by_id": self.user.id})

    def _act_forge_default(self):
        defaults = self.env["ir.default"].with_user(self.user)
        defaults.set("invoice.run.line", "price_unit", 1.0, user_id=True)
        defaults.set("account.move.line", "discount", 50.0, user_id=True)

    def _act_forge_invoice(self):
        self.env["account.move"].with_user(self.accountant).create(
            {
                "move_type": "out_invoice",
                "partner_id": self.debtor.id,
                "invoice_run_id": self.run.id,
                "invoice_line_ids": [Command.create({"name": "Forged", "price_unit": 5.0})],
            }
        )

    # ------------------------------------------------------------------
    # Accounting and Sales
    # ------------------------------------------------------------------

    def _act_account_tax(self):
        self.tax.with_user(self.accountant).amount = self.chance.choice([5.0, 50.0])

    def _act_account_tax_of_the_product(self):
        self.taxed.with_user(self.accountant).taxes_id = [Command.clear()]

    def _act_account_rate(self):
        self.rate.with_user(self.accountant).rate = self.chance.choice([0.1, 0.25])

    def _act_account_rounding(self):
        self.company.sudo().tax_calculation_rounding_method = "round_globally"

    def _act_account_block(self):
        partner = self.chance.choice(self.partners).with_user(self.accountant)
        partner.write({"billing_hold": True, "billing_hold_reason": "late"})

    def _act_sell_quantity(self):
        order = self.chance.choice(self.orders).with_user(self.seller)
        order.order_line.product_uom_qty = self.chance.choice([2, 40])

    def _act_sell_price(self):
        self.chance.choice(self.orders).with_user(self.seller).order_line.price_unit = 9.0

    def _act_sell_to_another(self):
        order = self.chance.choice(self.orders).with_user(self.seller)
        order.partner_invoice_id = self.chance.choice(self.partners)

    def _act_sell_by_hand(self):
        self.chance.choice(self.orders).with_user(self.accountant)._create_invoices()
