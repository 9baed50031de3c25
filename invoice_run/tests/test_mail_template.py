"""Invoices are mailed with templates for invoices, and no others."""

from odoo.exceptions import AccessError, ValidationError
from odoo.tests import tagged

from .sending_common import SendingCommon

SECRET = "{{ object.login }}"


@tagged("post_install", "-at_install")
class TestMailTemplate(SendingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        template = {"name": "Invite", "subject": f"Welcome {SECRET}", "body_html": "<p>Hi</p>"}
        cls.invite = cls._make_template("res.users", **template)
        cls.own = cls.env.ref("account.email_template_edi_invoice").copy(
            {"name": "Own", "subject": "Yours {{ object.name }}"}
        )

    @classmethod
    def _make_template(cls, model, **vals):
        model_id = cls.env["ir.model"].sudo()._get_id(model)
        return cls.env["mail.template"].sudo().create({"model_id": model_id, **vals})

    def test_other_templates_are_refused_when_saved(self):
        with self.assertRaisesRegex(ValidationError, "not for invoices"):
            self.scenario.with_user(self.manager).mail_template_id = self.invite
        with self.assertRaisesRegex(ValidationError, "not for invoices"):
            self.company.invoice_run_mail_template_id = self.invite
        forged = self.env["billing.scenario"].with_user(self.manager)
        with self.assertRaisesRegex(ValidationError, "not for invoices"):
            forged.with_context(default_mail_template_id=self.invite.id).create(
                {"name": "Forged", "company_id": self.company.id}
            )
        self.scenario.with_user(self.manager).mail_template_id = self.own

    def _force(self, record, name):
        self.env.flush_all()
        self.env.cr.execute(
            f"UPDATE {record._table} SET {name} = %s WHERE id = %s", [self.invite.id, record.id]
        )
        self.env.invalidate_all()

    def test_other_templates_are_refused_when_sent(self):
        for record, name in (
            (self.scenario, "mail_template_id"),
            (self.company, "invoice_run_mail_template_id"),
        ):
            with self.subTest(model=record._name):
                customer = self._make_customer(record._name, "customer@example.com")
                run = self._make_run_to_send(customer)
                self._force(record, name)
                self._send(run)
                document = run.document_ids.search(
                    [("run_id", "=", run.id), ("partner_id", "=", customer.id)]
                )
                self.assertEqual(document.send_state, "failed")
                self.assertIn("not for invoices", document.send_error)
                self.assertFalse(self.inbox.mails)
                bodies = document.move_id.message_ids.mapped(lambda item: item.subject or "")
                self.assertFalse([body for body in bodies if "Welcome" in body])
                record[name] = self.own
                self._retry(run)
                self.assertEqual(document.send_state, "sent")
                self.assertIn("Yours", self.inbox.mails[0]["Subject"])
                record[name] = False
                self.inbox.reset()

    def test_accountant_who_sends_such_an_invoice_gets_the_usual_template(self):
        run = self._make_run_to_send()
        self._force(self.scenario, "mail_template_id")
        accountant = self._make_user("mail_accountant", "account.group_account_invoice")
        send = self.env["account.move.send"].with_user(accountant)
        template = send._get_default_mail_template_id(
            run.document_ids.move_id.with_user(accountant)
        )
        self.assertEqual(template.model, "account.move")

    def test_manager_of_runs_writes_no_expressions(self):
        """Users who may not edit templates gain nothing: those for invoices are checked by Odoo."""
        editors = self.env.ref("mail.group_mail_template_editor")
        employees = self.env.ref("base.group_user").sudo()
        employees.implied_ids -= editors
        self.env.invalidate_all()
        manager = self._make_user("no_editor", "invoice_run.invoice_run_group_manager")
        self.assertFalse(manager.has_group("mail.group_mail_template_editor"))
        model_id = self.env["ir.model"].sudo()._get_id("account.move")
        with self.assertRaises(AccessError):
            self.env["mail.template"].with_user(manager).create(
                {
                    "name": "Mine",
                    "model_id": model_id,
                    "subject": "{{ object.company_id.user_ids[:1].signup_type }}",
                }
            )
