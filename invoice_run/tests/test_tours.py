from unittest.mock import patch

from dateutil.relativedelta import relativedelta

from odoo import fields
from odoo.addons.base.models.ir_mail_server import IrMail_Server
from odoo.fields import Command
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger
from odoo.tools.translate import TranslationImporter

from ..models.accounting import invoice_run_reversal
from .common import InvoiceRunCommon
from .sending_common import SendingCommon


@tagged("post_install", "-at_install")
class TestTours(HttpCase, SendingCommon):
    """What people click, each in their role; what is queued is done within the click."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.invoice_run_auto_amounts = False
        # who repairs an address
        cls.user.group_ids += cls.env.ref("base.group_partner_manager")

    def setUp(self):
        super().setUp()
        model = self.env.registry["invoice.run"]
        queue = model._queue_job

        def queue_and_do(runs, *args, **vals):
            queue(runs, *args, **vals)
            runs._process_queue()

        self.queue = queue
        self.enterContext(patch.object(model, "_queue_job", queue_and_do))
        self.enterContext(patch.object(IrMail_Server, "_disable_send", lambda server: False))

    def _open_run(self, run, tour, login="run_user"):
        self.start_tour(f"/odoo/action-invoice_run.invoice_run_action/{run.id}", tour, login=login)
        self.env.invalidate_all()

    def _check_one_mail(self, *addresses):
        """Each of these had one mail; colleagues have theirs."""
        recipients = self.inbox.get_recipients()
        counts = {address: recipients.count(address) for address in addresses}
        self.assertEqual(counts, dict.fromkeys(addresses, 1))

    def test_month_end_from_schedule_to_sent(self):
        self._make_contract(date_start="2024-01-01")
        self.start_tour(
            "/odoo/action-invoice_run.invoice_run_schedule_action/new",
            "invoice_run_schedule_to_amounts",
            login="run_user",
        )
        schedule = self.env["invoice.run.schedule"].search([("name", "=", "Rent of halls")])
        self.assertEqual(len(schedule.run_ids), 2)
        run = schedule.run_ids.sorted("number")[0]
        self.assertEqual(run.state, "amounts")
        self._open_run(run, "invoice_run_reject_then_approve", login="run_reviewer")
        self.assertEqual(run.approved_by_id, self.reviewer)
        self.assertIn("Rejected: The price is old", " ".join(run.message_ids.mapped("body")))
        self._open_run(run, "invoice_run_invoices_to_sent")
        self.assertEqual(run.invoice_ids.state, "posted")
        self._check_one_mail("debtor@example.com")

    @mute_logger("odoo.addons.mail.models.mail_mail")
    def test_failures_repaired_then_reversed(self):
        run = self._make_run_to_send(self._make_customer("Silent", False), self.debtor)
        run.action_send()
        self.assertEqual(self._get_states(run), {"Silent": "failed", "Debtor": "sent"})
        self._open_run(run, "invoice_run_repair_and_reverse")
        self._check_one_mail("debtor@example.com", "found@example.com")
        self.assertEqual(set(run.document_ids.mapped("state")), {"released", "credit"})
        self.assertEqual(set(run.invoice_ids.mapped("payment_state")), {"reversed"})

    def test_reversing_in_the_background_stopped(self):
        self.patch(invoice_run_reversal, "REVERSE_AT_ONCE", 1)
        run = self._make_run_to_send(
            self._make_customer("Second", "second@example.com"), self.debtor
        )
        with patch.object(self.env.registry["invoice.run"], "_queue_job", self.queue):
            self._open_run(run, "invoice_run_stop_reversing")
        run._process_queue()
        self.assertFalse(run.invoice_ids.reversal_move_ids)
        self.assertEqual(set(run.document_ids.mapped("state")), {"invoiced"})

    def test_why_a_contract_is_not_in_the_run(self):
        contract = self._make_contract(
            date_start="2024-01-01", billing_hold=True, billing_hold_reason="quarrel"
        )
        self._make_run("2023-12-31", name="Earlier")
        self._make_run("2024-01-31", name="January")
        self.start_tour(
            f"/odoo/action-invoice_run.billing_contract_action/{contract.id}",
            "invoice_run_explain_contract",
            login="run_user",
        )
        self.env.invalidate_all()
        self.assertEqual(contract.title, "Typed before asking")

    def test_find_what_is_missing_in_a_run(self):
        self._make_contract(date_start="2024-01-01", title="Missing", activate=False)
        self._open_run(self._make_run("2024-01-31"), "invoice_run_find_missing")

    def test_first_use_with_sample_data(self):
        self.start_tour("/odoo/invoice-run-dashboard", "invoice_run_first_use", login="run_manager")
        self.assertFalse(self.env["invoice.run.sample"]._get_records("billing.contract"))


@tagged("post_install", "-at_install")
class TestTodayTours(HttpCase, InvoiceRunCommon):
    """What waits today, solved where it is shown; lists that Back and a reload find again."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.this_month = fields.Date.today().replace(day=1)
        cls.reviewer.group_ids += cls.env.ref("base.group_partner_manager")

    def _bill(self, name):
        self._make_contract(
            date_start=self.this_month,
            date_end=self.this_month,
            partner_id=self._make_partner(name, f"{name}@example.com").id,
        )
        return self._run_all(self.this_month)

    def _open_run(self, run, tour, login="run_user"):
        self.start_tour(f"/odoo/invoice-runs/{run.id}", tour, login=login)

    def test_today(self):
        document = self._bill("Debtor by post").document_ids
        self._make_contract(
            [{"price_unit": 0.0}], title="Free of charge", date_start=self.this_month
        )
        self._make_contract(date_start=self.this_month)
        self._make_amounts(self._make_run(self.this_month))
        self.start_tour("/odoo/invoice-run-dashboard", "invoice_run_today", login="run_reviewer")
        self.assertEqual(document.send_action, "email")

    def test_nothing_waits(self):
        self.start_tour("/odoo/invoice-run-dashboard", "invoice_run_today_empty", login="run_user")

    def test_back_and_reload(self):
        self._bill("First")
        run = self._bill("Second")
        self._open_run(run, "invoice_run_back")
        url = f"/odoo/invoice-runs/{run.id}/billing-run-documents"
        self.start_tour(url, "invoice_run_reload", login="run_user")

    def test_buttons_of_a_run(self):
        self._make_contract(date_start=self.this_month)
        run = self._make_amounts(self._make_run(self.this_month))
        self._open_run(run, "invoice_run_buttons", login="run_reviewer")


@tagged("post_install", "-at_install")
class TestFirstInvoiceTours(HttpCase, SendingCommon):
    """From nothing to the first sent invoice; nothing is done that the clicks do not do."""

    def setUp(self):
        super().setUp()
        self.enterContext(patch.object(IrMail_Server, "_disable_send", lambda server: False))

    def test_first_invoice_of_an_empty_company(self):
        company = self._create_company(name="Empty")
        company.email = False
        roles = ("invoice_run.invoice_run_group_manager", "base.group_partner_manager")
        roles += ("product.group_product_manager", "base.group_erp_manager")
        self._make_user("first_manager", ",".join(roles), company=company)
        self.start_tour(
            "/odoo/invoice-run-dashboard", "invoice_run_first_invoice", login="first_manager"
        )
        self.env.invalidate_all()
        move = self.env["account.move"].search([("company_id", "=", company.id)])
        self.assertEqual((move.state, move.partner_id.name), ("posted", "First Customer"))
        self.assertEqual(move.invoice_run_document_id.send_state, "sent")
        self.assertEqual(self.inbox.get_recipients(), ["first.customer@example.com"])
        schedule = self.env["invoice.run.schedule"].search(
            [("company_id", "=", company.id), ("cycle", "=", "monthly")]
        )
        self.assertEqual(set(schedule.run_ids.mapped("state")), {"on_hold"})

    def test_invoice_now_asks_for_approval(self):
        self.company.invoice_run_reviewer_id = self.reviewer
        contract = self._make_contract(date_start="2024-01-01", title="Apartment 2B")
        contract.date_end = "2024-01-31"
        self.start_tour(
            f"/odoo/action-invoice_run.billing_contract_action/{contract.id}",
            "invoice_run_invoice_now",
            login="run_user",
        )
        self.env.invalidate_all()
        run = contract.run_line_ids.run_id
        self.assertEqual((run.state, run.reviewer_id), ("amounts", self.reviewer))
        run.with_user(self.reviewer).action_approve()
        run._process_queue()
        self.assertEqual(run.invoice_ids.state, "posted")
        self.assertEqual(self.inbox.get_recipients().count("debtor@example.com"), 1)


@tagged("post_install", "-at_install")
class TestContractTours(HttpCase, InvoiceRunCommon):
    """What contracts charge, what changed, what became of each month."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.this_month = fields.Date.today().replace(day=1)
        cls.contract = cls._make_contract(
            date_start=cls.this_month - relativedelta(months=1), title="Raised"
        )

    def _change_price(self):
        self.contract.line_ids._change_from(self.this_month, {"price_unit": 110.0})

    def test_bridge(self):
        self._change_price()
        self._make_contract([{"price_unit": 30.0}], date_start=self.this_month, title="Fresh")
        self.start_tour(
            "/odoo/action-invoice_run.billing_bridge_action", "invoice_run_bridge", login="run_user"
        )

    def test_planned_price(self):
        self.start_tour(
            f"/odoo/action-invoice_run.billing_contract_action/{self.contract.id}",
            "invoice_run_planned_price",
            login="run_user",
        )
        self.env.invalidate_all()
        self.assertEqual(self.contract.line_ids.price_ids.price_unit, 120.0)

    def test_price_update(self):
        self.start_tour(
            "/odoo/action-invoice_run.billing_price_update_action/new",
            "invoice_run_price_update",
            login="run_reviewer",
        )
        self.env.invalidate_all()
        self.assertIn(103.0, self.contract.line_ids.price_ids.mapped("price_unit"))
        mails = self.env["mail.mail"].search([("res_id", "=", self.contract.id)])
        self.assertEqual(mails.recipient_ids, self.debtor)
        self.assertIn("103.00", mails.body_html)

    def test_tariff_and_a_line_by_usage(self):
        self.start_tour(
            "/odoo/action-invoice_run.billing_tariff_action/new",
            "invoice_run_tariff",
            login="run_manager",
        )
        tariff = self.env["billing.tariff"].search([("name", "=", "Kilometres by Bands")])
        bands = [(tier.up_to, tier.price_unit) for tier in tariff.tier_ids.sorted("sequence")]
        self.assertEqual(bands, [(100.0, 1.0), (0.0, 0.5)])
        self.start_tour(
            f"/odoo/action-invoice_run.billing_contract_action/{self.contract.id}",
            "invoice_run_metered_line",
            login="run_user",
        )
        self.env.invalidate_all()
        line = self.contract.line_ids
        self.assertEqual((line.tariff_id, line.is_metered), (tariff, True))
        self.assertEqual((line.price_interval, line.minimum_amount), ("period", 50.0))

    def test_tariff_of_invoiced_usage_from_a_date(self):
        last_month = self.this_month - relativedelta(months=1)
        band = Command.create({"price_unit": 1.0})
        tariff = self.env["billing.tariff"].create({"name": "By Usage", "tier_ids": [band]})
        copied = tariff.copy({"name": "Cheaper"})
        copied.tier_ids.price_unit = 0.9
        metered = {"is_metered": True, "price_interval": "period", "tariff_id": tariff.id}
        contract = self._make_contract([metered], date_start=last_month, billing_timing="arrears")
        self._make_usage(date=last_month, contract_id=contract.id, quantity=10)
        self._run_all(self.this_month - relativedelta(days=1), record_ids=contract.ids)
        self.start_tour(
            f"/odoo/action-invoice_run.billing_tariff_action/{tariff.id}",
            "invoice_run_tariff_from_date",
            login="run_manager",
        )
        self.env.invalidate_all()
        old, new = contract.line_ids.sorted("id")
        self.assertEqual((old.tariff_id, new.tariff_id), (tariff, copied))
        self.assertEqual((new.date_start, tariff.tier_ids.price_unit), (self.this_month, 1.0))

    def test_change_from_date(self):
        self._run_all(self.this_month - relativedelta(days=1))
        self.start_tour(
            f"/odoo/action-invoice_run.billing_contract_action/{self.contract.id}",
            "invoice_run_change_from_date",
            login="run_user",
        )
        self.env.invalidate_all()
        old, new = self.contract.line_ids.sorted("id")
        self.assertEqual((old.price_unit, new.price_unit), (100.0, 110.0))
        self.assertEqual(new.date_start, self.this_month)
        mails = self.env["mail.mail"].search([("res_id", "=", self.contract.id)])
        self.assertEqual(mails.recipient_ids, self.debtor)

    def test_usage_is_edited_in_its_list(self):
        item = self._make_usage(name="Trip", price_unit=0.0)
        self.start_tour(
            "/odoo/action-invoice_run.billing_usage_action",
            "invoice_run_edit_usage",
            login="run_user",
        )
        self.env.invalidate_all()
        self.assertEqual(item.amount, 12.5)

    def test_rules_speak_labels(self):
        rule = {"name": "Where", "field_path": "partner_id.country_id", "is_asked": True}
        scenario = self._make_scenario("Ruled", rule_ids=[Command.create(rule)])
        self.start_tour(
            f"/odoo/action-invoice_run.billing_scenario_action/{scenario.id}",
            "invoice_run_rules_by_label",
            login="run_user",
        )

    def test_timeline(self):
        self._run_all(self.this_month - relativedelta(days=1))
        self._change_price()
        self._make_amounts(self._make_run(self.this_month))
        self.start_tour(
            f"/odoo/action-invoice_run.billing_contract_action/{self.contract.id}",
            "invoice_run_timeline",
            login="run_user",
        )


@tagged("post_install", "-at_install")
class TestManagerTours(HttpCase, InvoiceRunCommon):
    """The Invoice Manager, clicked through by a user with the plain role."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls._make_partner("Other")
        cls._make_contract(date_start="2023-12-01", title="Blue")
        cls._make_contract(date_start="2023-12-01", title="Red", partner_id=cls.other.id)
        # to their end they owe two months, whatever day it is today
        cls.env["billing.contract"].search([("company_id", "=", cls.company.id)]).write(
            {"date_end": "2024-01-31"}
        )

    def _start(self, tour, user="run_user"):
        self.start_tour("/odoo/invoice-manager", tour, login=user)
        self.env.invalidate_all()

    def _get_run(self):
        return self.env["invoice.run"].search([("is_managed", "=", True)])

    def test_from_a_card_to_the_invoices(self):
        # nothing unusual, no first invoice: the company's setting approves
        self.company.invoice_run_auto_approve = True
        self._run_all("2023-12-15")
        self._start("invoice_manager")
        run = self._get_run()
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(set(run.invoice_ids.mapped("state")), {"posted"})
        self.assertEqual(
            {doc.partner_id.name: doc.send_action for doc in run.document_ids},
            {"Debtor": "print", "Other": "none"},
        )

    def test_in_dutch(self):
        self.env["res.lang"]._activate_lang("nl_NL")
        dutch = TranslationImporter(self.env.cr, verbose=False)
        dutch.load_file("invoice_run/i18n/nl.po", "nl_NL")
        dutch.save()
        self.user.lang = "nl_NL"
        self.company.invoice_run_auto_approve = True
        self._run_all("2023-12-15")
        self._start("invoice_manager_dutch")
        self.assertEqual(set(self._get_run().invoice_ids.mapped("state")), {"posted"})

    def test_approval_in_between(self):
        self.company.invoice_run_reviewer_id = self.reviewer
        self._make_contract(
            date_start="2023-12-01",
            date_end="2024-01-31",
            partner_id=self._make_partner("Held").id,
            billing_hold=True,
            billing_hold_reason="quarrel",
        )
        self._run_all("2023-12-15")
        taken = self._make_contract(
            date_start="2024-01-01",
            date_end="2024-01-31",
            partner_id=self._make_partner("Taken").id,
        )
        self._make_amounts(self._make_run("2024-01-31", record_ids=taken.ids))
        self._start("invoice_manager_ask")
        run = self._get_run()
        self.assertEqual(run.activity_ids.user_id, self.reviewer)
        self.assertFalse(run.invoice_ids)
        run.with_user(self.reviewer).action_approve()
        self._start("invoice_manager_go_on")
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(len(run.invoice_ids), 3)

    def test_values_are_asked_for(self):
        rules = (
            ("Started", "date_start", "between"),
            ("On hold", "billing_hold", "="),
            ("Proration", "proration", "="),
            ("Customer", "partner_id", "="),
            ("Title", "title", "ilike"),
            ("Price", "line_ids.price_unit", ">="),
        )
        self._make_scenario(
            "Asking",
            rule_ids=[
                Command.create(
                    {"name": name, "field_path": path, "operator": operator, "is_asked": True}
                )
                for name, path, operator in rules
            ],
        )
        self._run_all("2023-12-15")
        self._start("invoice_manager_rules")
        run = self._get_run()
        self.assertEqual(run.document_ids.partner_id, self.debtor)
        answers = [run.rule_values[str(rule.id)] for rule in run.scenario_id.rule_ids]
        self.assertEqual(
            answers,
            [
                ["2023-12-01", False],
                ["no", False],
                ["actual", False],
                [str(self.debtor.id), False],
                ["lu", False],
                ["95", False],
            ],
        )


@tagged("post_install", "-at_install")
class TestReviewTours(HttpCase, InvoiceRunCommon):
    """The review of a run, clicked and typed through."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.invoice_run_auto_amounts = False
        cls.contracts = {
            name: cls._make_contract(
                date_start="2024-01-01", partner_id=cls._make_partner(name).id, title=f"Of {name}"
            )
            for name in ("A same", "B price", "C large")
        }

    def setUp(self):
        super().setUp()
        self._run_all("2024-01-15")
        self.contracts["B price"].line_ids.price_unit = 103.0
        self.contracts["C large"].line_ids.price_unit = 500.0
        self.invoice_run = self._make_amounts(self._make_run("2024-02-15"))

    def test_review(self):
        self.start_tour(
            f"/odoo/action-invoice_run.invoice_run_action/{self.invoice_run.id}",
            "invoice_run_review",
            login="run_reviewer",
        )
        self.env.invalidate_all()
        self.assertEqual(self.invoice_run.state, "approved")
        self.assertEqual(self.invoice_run.approved_by_id, self.reviewer)
        states = {
            document.partner_id.name: (document.state, document.is_accepted)
            for document in self.invoice_run.document_ids
        }
        self.assertEqual(
            states,
            {
                "A same": ("excluded", False),
                "B price": ("to_do", False),
                "C large": ("to_do", True),
            },
        )

    def test_review_on_a_phone(self):
        self.browser_size = "390x844"
        self.contracts["C large"].line_ids.price_unit = 98765.43
        run = self._make_amounts(self._make_run("2024-03-15"))
        url = f"/odoo/action-invoice_run.invoice_run_action/{run.id}/invoice-run-review"
        self.start_tour(url, "invoice_run_review_phone", login="run_reviewer")

    def test_review_by_its_address(self):
        run = f"/odoo/action-invoice_run.invoice_run_action/{self.invoice_run.id}"
        url = f"{run}/invoice-run-review"
        model, asked = self.env.registry["invoice.run"], []
        get_review = model.get_review

        def note_and_get(run, *args, only_rows=False, **kwargs):
            asked.append(only_rows)
            return get_review(run, *args, only_rows=only_rows, **kwargs)

        with patch.object(model, "get_review", note_and_get):
            self.start_tour(url, "invoice_run_review_address", login="run_user")
        # the rows do not wait for what is read of all amounts
        self.assertEqual(asked, [True, False])

    def test_month_of_thirty_documents_with_five_differences(self):
        self.invoice_run.action_cancel()
        contracts = [
            self._make_contract(
                date_start="2024-03-01", partner_id=self._make_partner(f"Month {number}").id
            )
            for number in range(1, 31)
        ]
        ids = [contract.id for contract in contracts]
        first = self._make_amounts(self._make_run("2024-03-15", record_ids=ids))
        first.with_user(self.reviewer).action_approve()
        first.action_generate_invoices()
        first._process_queue()
        for contract in contracts[:3]:
            contract.line_ids.price_unit = 103.0
        for contract in contracts[3:5]:
            contract.line_ids.price_unit = 500.0
        run = self._make_amounts(self._make_run("2024-04-15", record_ids=ids))
        self.assertEqual(len(run.document_ids), 30)
        self.start_tour("/odoo/invoice-run-dashboard", "invoice_run_month", login="run_reviewer")
        self.env.invalidate_all()
        self.assertEqual((run.state, run.approved_by_id), ("approved", self.reviewer))
        accepted = run.document_ids.filtered("is_accepted").partner_id.mapped("name")
        self.assertEqual(sorted(accepted), ["Month 4", "Month 5"])
