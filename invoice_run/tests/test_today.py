from datetime import date

from freezegun import freeze_time
from lxml import etree

from odoo.exceptions import AccessError, UserError
from odoo.fields import Domain
from odoo.tests import new_test_user, tagged
from odoo.tools.safe_eval import safe_eval

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-03-15 12:00:00")
class TestToday(InvoiceRunCommon):
    """What waits today: each count is that of its list, and what one click solves is gone."""

    def _get_today(self, user=None):
        rows = self.env["invoice.run"].with_user(user or self.user).get_today()
        return {row["key"]: row for row in rows}

    def _get_list(self, key, user=None):
        """Return the records that a finding opens."""
        user = user or self.user
        action = self.env["invoice.run"].with_user(user).action_view_finding(key)
        self.assertFalse([name for name in action["context"] if name.startswith("search_default")])
        return self.env[action["res_model"]].with_user(user).search(action["domain"])

    def _check(self, key, records, user=None):
        self.assertEqual(self._get_list(key, user), records)
        self.assertEqual(self._get_today(user)[key]["count"], len(records))

    def _make_schedule(self, **vals):
        return self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": date(2024, 3, 1),
                "run_count": 2,
                **vals,
            }
        )

    def test_an_empty_company_has_nothing_to_do(self):
        self.assertFalse(self._get_today())
        self.assertFalse(self._get_today(self.reviewer))

    def test_runs(self):
        self._make_contract(date_start="2024-01-01")
        self.company.invoice_run_auto_amounts = False
        schedule = self._make_schedule()
        schedule.action_generate_runs()
        first = schedule.run_ids.sorted("number")[0]
        self._check("generate", first)
        self.env["invoice.run"].with_user(self.user).solve_finding("generate")
        self.assertNotIn("generate", self._get_today())
        first._process_queue()
        self.assertEqual(first.state, "amounts")
        review = self.env["invoice.run"].with_user(self.reviewer).action_view_finding("approve")
        self.assertEqual(review["tag"], "invoice_run.review")
        self.assertEqual(review["context"], {"active_id": first.id})
        self.assertNotIn("approve", self._get_today(self.user), "a task of reviewers")
        first.with_user(self.reviewer).action_approve()
        self.assertNotIn("approve", self._get_today(self.reviewer))
        self._check("invoice", first)

    def test_two_runs_to_approve_are_listed(self):
        self._make_contract(date_start="2024-02-01")
        self._make_contract(date_start="2024-03-01", partner_id=self._make_partner("Other").id)
        runs = self._make_amounts(self._make_run("2024-02-15"))
        runs |= self._make_amounts(self._make_run("2024-03-15"))
        self._check("approve", runs.with_user(self.reviewer).sorted(), self.reviewer)

    def test_documents(self):
        self._make_contract(date_start="2023-11-01", date_end="2024-03-31")
        run = self._run_all("2024-03-15")
        first, second, third, fourth, fifth = run.document_ids
        fifth._set_state("released")
        run.document_ids.send_action = "email"
        message = run.message_post(body="Mail")
        first._write_engine({"send_state": "failed"})
        second._set_send_state("uncertain")
        fourth._write_engine({"send_state": "failed", "send_message_id": message.id})
        self.env["mail.notification"].create(
            {
                "mail_message_id": message.id,
                "res_partner_id": self.debtor.id,
                "notification_type": "email",
                "notification_status": "bounce",
            }
        )
        self._check("unsent", first)
        self._check("uncertain", second)
        self._check("send", third)
        self._check("bounced", fourth)

    def test_no_way_of_sending(self):
        silent = self._make_partner("Silent")
        post = self._make_partner("Post", "post@example.com", invoice_sending_method="manual")
        for partner in (self.debtor, silent, post):
            self._make_contract(
                date_start="2024-03-01", date_end="2024-03-31", partner_id=partner.id
            )
        documents = self._run_all("2024-03-15").document_ids
        unsaid = documents.filtered(lambda document: document.partner_id != post)
        self._check("no_way", unsaid)
        user = self.user
        self.assertFalse(self._get_today()["no_way"]["solve"], "who may not write customers")
        with self.assertRaises(UserError):
            self.env["invoice.run"].with_user(user).solve_finding("no_way")
        user.group_ids += self.env.ref("base.group_partner_manager")
        self.env["invoice.run"].with_user(user).solve_finding("no_way")
        self.assertEqual(self.debtor.invoice_sending_method, "email")
        self.assertFalse(silent.invoice_sending_method)
        self._check("send", unsaid.filtered(lambda document: document.partner_id == self.debtor))
        self._check("no_way", unsaid.filtered(lambda document: document.partner_id == silent))
        self.assertFalse(any(documents.mapped("send_asked")), "nothing is sent by this")

    def test_failed_invoices(self):
        self._make_contract(date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-15"))
        run.document_ids._set_state("failed", error="no account")
        self._check("failed", run.document_ids)

    def test_contracts_and_usage(self):
        free = self._make_contract([{"price_unit": 0.0}], date_start="2024-04-01")
        ending = self._make_contract(date_start="2024-04-01", date_end="2024-04-14")
        self._make_contract(date_start="2024-04-01", date_end="2024-04-15")
        due = self._make_contract(date_start="2024-03-01")
        draft = self._make_contract(date_start="2024-04-01", activate=False)
        lost = self._make_usage(date="2024-03-01", contract_id=draft.id)
        self._make_usage(date="2024-03-01", contract_id=due.id)
        self._check("unpriced", free)
        self._check("ending", ending)
        self._check("due", due)
        self._check("unpaid_usage", lost)

    def test_gaps_in_numbers(self):
        self._make_contract(date_start="2024-01-01", date_end="2024-03-31")
        moves = self._run_all("2024-03-15").invoice_ids.sorted("sequence_number")
        self.assertEqual(len(moves), 3)
        self.assertNotIn("gaps", self._get_today())
        moves[1].button_draft()
        moves[1].with_context(force_delete=True).unlink()
        self._check("gaps", moves[2])

    def test_other_company_and_outsiders(self):
        other = self.setup_other_company()["company"]
        stranger = self._make_user(
            "run_other", "invoice_run.invoice_run_group_reviewer", company=other
        )
        self._make_contract(date_start="2024-01-01")
        self._make_amounts(self._make_run("2024-02-15"))
        self.assertFalse(self._get_today(stranger))
        outsider = new_test_user(self.env, "employee", groups="base.group_user")
        for method, arguments in (
            ("get_today", ()),
            ("action_view_finding", ("due",)),
            ("solve_finding", ("generate",)),
        ):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(self.env["invoice.run"].with_user(outsider), method)(*arguments)

    def test_a_finding_that_is_none(self):
        for key in ("approve", "nonsense", "due"):
            with self.subTest(key), self.assertRaises(UserError):
                self.env["invoice.run"].with_user(self.user).solve_finding(key)

    def test_number_of_queries_does_not_grow(self):
        """The page asks the same whether one contract is due or thirty."""
        user = self.env["invoice.run"].with_user(self.user)
        self._make_contract(date_start="2024-03-01")
        user.get_today()
        counts = []
        for _round in range(2):
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            user.get_today()
            counts.append(self.env.cr.sql_log_count - before)
            for _number in range(30):
                self._make_contract(date_start="2024-03-01")
        self.assertEqual(*counts)
        self.assertLess(counts[0], 60)


@tagged("post_install", "-at_install")
@freeze_time("2024-03-15 12:00:00")
class TestAddresses(InvoiceRunCommon):
    """Lists that a button opens are found again by their address: Back, a reload, a bookmark."""

    def _reopen(self, path, record):
        """Return the action that the web client loads for ``path`` under ``record``."""
        address = self.env["ir.actions.actions"].sudo().search([("path", "=", path)])
        self.assertEqual(address.type, "ir.actions.server", path)
        server = self.env["ir.actions.server"].with_user(self.user).browse(address.id)
        self.assertTrue(server.run()["display_name"], "the name in the breadcrumb, without record")
        return server.with_context(active_id=record.id, active_ids=record.ids).run()

    def _get_buttons(self, model):
        """Return {(method, context) of the buttons that open lists, in the form of ``model``}."""
        form = self.env[model].with_user(self.user).get_view(view_type="form")["arch"]
        buttons = etree.fromstring(form).iterfind(".//button[@type='object']")
        return {
            (button.get("name"), button.get("context") or "{}")
            for button in buttons
            if button.get("name").startswith("action_view_")
            or "oe_stat_button" in (button.get("class") or "")
        }

    def test_every_button_that_opens_a_list(self):
        cluster = self.env["billing.cluster"].create({"name": "C", "company_id": self.company.id})
        contract = self._make_contract(date_start="2024-01-01", cluster_id=cluster.id)
        run = self._run_all("2024-02-15")
        self._run_all("2024-03-15")
        usage = self._make_usage(date="2024-03-01")
        records = [
            run,
            run.document_ids[0],
            run.schedule_id,
            run.invoice_ids[0],
            contract,
            cluster,
            usage,
            self.debtor,
        ]
        opened = set()
        for record in records:
            for name, context in self._get_buttons(record._name):
                if not hasattr(type(record), name) or not self._is_ours(type(record), name):
                    continue
                with self.subTest(model=record._name, button=name, context=context):
                    opened |= self._check_button(record, name, safe_eval(context, {"uid": 0}))
        self.assertGreater(len(opened), 25)

    def _is_ours(self, model, name):
        owner = next(cls for cls in model.__mro__ if name in vars(cls))
        return owner.__module__.startswith("odoo.addons.invoice_run.")

    def _check_button(self, record, name, context):
        user = record.with_user(self.user).with_context(**context)
        action = getattr(user, name)()
        if not action or not action.get("domain") or action.get("target") == "new":
            return set()
        again = self._reopen(action.get("path"), record)
        self.assertEqual(again["res_model"], action["res_model"])
        self.assertEqual(again["path"], action["path"])
        self.assertEqual(Domain(again["domain"]), Domain(action["domain"]))
        self.assertEqual(again["context"], action["context"])
        return {action["path"]}

    def test_rows_of_a_report(self):
        self._make_contract(date_start="2024-01-01")
        report = self.env["billing.uninvoiced"].with_user(self.user)
        report = report.create({"company_id": self.company.id})
        action = report.action_compute()
        self.assertEqual(action["context"]["active_id"], report.id)
        again = self._reopen(action["path"], report)
        self.assertEqual(again, action)
        self.assertEqual(len(report.line_ids.search(again["domain"])), 1)

    def test_rows_of_forecast_and_cutoff(self):
        self._make_contract(date_start="2024-01-01")
        for model in ("billing.forecast", "billing.cutoff"):
            with self.subTest(model):
                report = self.env[model].with_user(self.user)
                report = report.create({"company_id": self.company.id})
                action = report.action_compute()
                self.assertEqual(action["context"]["active_id"], report.id)
                self.assertEqual(self._reopen(action["path"], report), action)
                found = self.env[action["res_model"]].with_user(self.user)
                self.assertTrue(found.search(action["domain"]))

    def test_rows_of_the_bridge(self):
        self._make_contract(date_start="2024-03-10")
        bridge = self.env["billing.bridge"].with_user(self.user)
        bridge = bridge.create({"company_id": self.company.id})
        bridge.action_compute()
        details = bridge.action_open_details()
        self.assertEqual(self._reopen(details["path"], bridge), details)
        kinds = [kind for kind, _label in bridge.line_ids._fields["kind"].selection]
        paths = set()
        for kind in [False, *kinds]:
            action = bridge.with_context(bridge_kind=kind).action_open_part()
            with self.subTest(kind):
                self.assertEqual(self._reopen(action["path"], bridge), action)
            paths.add(action["path"])
        self.assertEqual(len(paths), len(kinds) + 1)
        # the address of the statement names a record of the model, and no view
        arch = bridge.get_view(view_type="form")["arch"]
        self.assertIn("action_open_details", arch)
        dialog = self.env.ref("invoice_run.billing_bridge_action").view_id
        self.assertIn("action_compute", dialog.arch)

    def test_bars_of_the_chart(self):
        self._make_contract(date_start="2023-12-01", date_end="2024-02-29")
        self._run_all("2024-02-15")
        self._make_contract(date_start="2024-03-01")
        self._make_amounts(self._make_run("2024-03-15"))
        runs = self.env["invoice.run"].with_user(self.user)
        figures = runs.get_dashboard()
        months = [int(day[5:7]) for day in figures["days"]]
        self.assertEqual(sorted(months), list(range(1, 13)))
        amounts = {"invoiced": "amount_untaxed_signed", "planned": "company_amount_untaxed"}
        paths = set()
        for kind, name in amounts.items():
            self.assertTrue(any(figures[kind]), "something is to be counted")
            for month, total in zip(months, figures[kind], strict=True):
                action = runs.action_view_month(kind, month)
                self.assertEqual(self._reopen(action["path"], runs), action)
                found = self.env[action["res_model"]].with_user(self.user)
                found = found.search(action["domain"])
                self.assertEqual(sum(found.mapped(name)), total, (kind, month))
                paths.add(action["path"])
        self.assertEqual(len(paths), 24)
        for kind, month in (("invoiced", 13), ("else", 1), ("planned", [1])):
            with self.assertRaises(UserError):
                runs.action_view_month(kind, month)

    def test_findings_of_today(self):
        runs = self.env["invoice.run"].with_user(self.reviewer)
        for key in runs._get_findings():
            with self.subTest(key):
                action = runs.action_view_finding(key)
                address = self.env["ir.actions.actions"].sudo()
                address = address.search([("path", "=", action["path"])])
                server = self.env["ir.actions.server"].with_user(self.reviewer).browse(address.id)
                self.assertEqual(Domain(server.run()["domain"]), Domain(action["domain"]))

    def test_no_address_for_others(self):
        outsider = new_test_user(self.env, "employee", groups="base.group_user")
        address = self.env.ref("invoice_run.billing_run_documents_address").with_user(outsider)
        with self.assertRaises(AccessError):
            address.run()

    def test_runs_in_the_order_of_what_comes_next(self):
        self._make_contract(date_start="2024-01-01")
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": date(2024, 5, 1),
                "run_count": 2,
            }
        )
        schedule.action_generate_runs()
        soon, later = schedule.run_ids.sorted("number")
        old, new = self._make_run("2023-12-31"), self._make_run("2024-01-02")
        (old | new).action_cancel()
        begun = self._make_amounts(self._make_run("2024-02-15"))
        oldest = self._make_amounts(self._make_run("2024-01-15"))
        runs = oldest | begun | soon | later | new | old
        found = self.env["invoice.run"].with_user(self.user)
        found = found.search([("id", "in", runs.ids)], order="next_rank, id desc")
        self.assertEqual(found, runs.with_user(self.user))
        self.assertEqual(found.mapped("next_rank"), sorted(found.mapped("next_rank")))
        arch = found.get_view(view_type="list")["arch"]
        self.assertIn('default_order="next_rank, id desc"', arch)

    def test_filters_of_the_clock(self):
        names = {
            "filter_activities_my",
            "activities_overdue",
            "activities_today",
            "activities_upcoming_all",
        }
        for model in ("invoice.run", "invoice.run.schedule", "billing.contract"):
            arch = self.env[model].with_user(self.user).get_view(view_type="search")["arch"]
            for name in names:
                self.assertIn(f'name="{name}"', arch, model)
        run = self._make_run("2024-03-15")
        self._make_run("2024-03-16")
        run.activity_schedule("mail.mail_activity_data_todo", user_id=self.user.id)
        found = run.with_user(self.user).search([("my_activity_date_deadline", "=", "today")])
        self.assertEqual(found, run)
