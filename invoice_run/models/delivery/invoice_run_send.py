from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ..base.states import DOCUMENT_SENDABLE


class InvoiceRun(models.Model):
    """When a run's documents are sent, with what, and which of them are next."""

    _inherit = "invoice.run"

    send_after = fields.Datetime(
        "Send Not Before",
        copy=False,
        help="Nothing of this run is sent before this time. Empty: at once.",
    )
    send_wait_until = fields.Datetime(
        "Sending Resumes",
        readonly=True,
        copy=False,
        help="Sending waits until then: the limit of emails per hour is reached, or the mail "
        "server asked to try again later.",
        engine=True,
    )
    send_attachment_ids = fields.Many2many(
        "ir.attachment",
        "invoice_run_send_attachment_rel",
        string="Extra Attachments",
        copy=False,
        help="Sent with every invoice of this run, for example terms of business.",
    )
    to_print_count = fields.Integer("To Print", compute="_compute_send_counts")
    uncertain_count = fields.Integer("Delivery Unconfirmed", compute="_compute_send_counts")
    send_failed_count = fields.Integer("Not Sent", compute="_compute_send_counts")
    unset_count = fields.Integer("Sending Not Decided", compute="_compute_send_counts")

    @api.depends("document_ids.send_state")
    def _compute_send_counts(self):
        to_print = Domain("send_action", "=", "print") & Domain("send_state", "=", "pending")
        counts = {
            "to_print_count": self._count_by_run(to_print),
            "uncertain_count": self._count_by_run(Domain("send_state", "=", "uncertain")),
            "send_failed_count": self._count_by_run(Domain("send_state", "=", "failed")),
            "unset_count": self._count_by_run(
                Domain("is_send_unset", "=", True) & Domain("state", "in", DOCUMENT_SENDABLE)
            ),
        }
        for run in self:
            run.update({name: values.get(run, 0) for name, values in counts.items()})

    def _count_by_run(self, domain):
        """Return {run: number of its documents in ``domain``}."""
        domain &= Domain("run_id", "in", self.ids)
        documents = self.env["invoice.run.document"]
        return dict(documents._read_group(domain, ["run_id"], ["__count"]))

    def _own_send_attachments(self):
        """Attach uploads to the run, so that all who may read it may read them.

        Users who may write the run may then write them too: so only what this user uploaded, and no
        file that Odoo serves to others.
        """
        for run in self.filtered("send_attachment_ids"):
            # sudo: the user may write the run, and uploaded the files
            uploads = run.sudo().send_attachment_ids.filtered(
                lambda item: (
                    item.create_uid == self.env.user
                    and not (item.res_id or item.res_field or item.public or item.url)
                )
            )
            uploads.write({"res_model": run._name, "res_id": run.id})

    def _get_mail_template(self):
        """Return the email template of this run's invoices; none: Odoo's own."""
        self.ensure_one()
        return self.scenario_id.mail_template_id or self.company_id.invoice_run_mail_template_id

    # ------------------------------------------------------------------
    # Buttons
    # ------------------------------------------------------------------

    def action_send(self):
        """Send what is pending, in the background, not before ``send_after``.

        :raises UserError: the run has no invoices yet
        """
        self.check_access("write")
        for run in self:
            documents = run._get_pending_documents()
            if not (documents or run.invoice_count or run.sent_count):
                raise UserError(
                    self.env._("%(run)s has no invoices to send yet.", run=run.reference)
                )
            run._retry_waiting()
            run._ask_sending(documents)

    def _retry_waiting(self):
        """Do not wait any longer for a mail server that asked to come later."""
        waiting = self._get_pending_documents(Domain("send_next_try", "!=", False))
        waiting.write({"send_next_try": fields.Datetime.now()})

    def action_stop_sending(self):
        """Stop sending what has not left yet; it stays pending."""
        self.check_access("write")
        # workers that share the run would begin one chunk after the other before this one
        self._wait_for_turn()
        self.filtered(lambda run: run.job == "send")._stop_sending()

    def _stop_sending(self):
        # sudo: documents belong to the engine
        documents = self.env["invoice.run.document"].sudo()
        asked = self._get_asked_domain()
        documents.search(asked & Domain("send_message_id", "!=", False))._forget_unsent_mails()
        documents.search(asked).write({"send_asked": False})
        self._write_engine({"job": "none", "send_wait_until": False})

    def _get_asked_domain(self):
        return Domain("run_id", "in", self.ids) & Domain("send_asked", "=", True)

    def _retry_sending(self):
        """Try again exactly what failed; where delivery is unconfirmed, a person decides.

        Failed mails are replaced by new ones when their turn comes: there may be 100,000.
        """
        # sudo: documents belong to the engine
        documents = self.env["invoice.run.document"].sudo()
        failed = documents.search([("run_id", "in", self.ids), ("send_state", "=", "failed")])
        to_send = failed.filtered(lambda doc: doc.send_action != "print")
        (failed - to_send)._prepare_retry()
        to_send._set_send_state("pending", send_error=False, send_attempts=0)
        to_send.send_asked = True
        to_send.filtered("send_message_id").send_next_try = fields.Datetime.now()
        return failed

    def _ask_sending(self, documents):
        """Have the scheduled action send ``documents`` of this run."""
        self.ensure_one()
        if not documents:
            return
        # of workers that share the sending one always has a part of the run's row
        self._wait_for_turn()
        # sudo: documents belong to the engine; the caller checked who may send
        documents.sudo().write({"send_asked": True})
        self._plan_sending()
        if self.job in ("none", "send"):
            self._queue_job("send", send_wait_until=False)

    def _go_on_sending(self):
        """Send the invoices that are confirmed now, where that is automatic."""
        if self._is_automatic("send"):
            # credit notes of what was reversed wait for a person
            self._ask_sending(self._get_pending_documents(Domain("state", "!=", "credit")))

    def _queue_asked_sending(self):
        """Send what somebody asked for while other work was done on this run."""
        if self.job == "none" and self._get_documents_to_send(limit=1):
            self._queue_job("send")

    def _plan_sending(self):
        """Set the moment of sending where the schedule gives one."""
        schedule = self.schedule_id
        if self.send_after or schedule.send_when != "later":
            return
        day = self.invoice_date + timedelta(days=schedule.send_delay_days)
        minutes = round(schedule.send_time * 60)
        moment = datetime.combine(day, time(minutes // 60 % 24, minutes % 60))
        zone = self.company_id._get_invoice_run_zone()
        utc = moment.replace(tzinfo=zone).astimezone(ZoneInfo("UTC"))
        # sudo: part of the job, whoever asked for it
        self.sudo().send_after = utc.replace(tzinfo=None)

    # ------------------------------------------------------------------
    # Job
    # ------------------------------------------------------------------

    def _get_pending_domain(self):
        return (
            Domain("run_id", "in", self.ids)
            & Domain("state", "in", DOCUMENT_SENDABLE)
            & Domain("send_state", "=", "pending")
            & Domain("send_action", "not in", ("print", "none"))
        )

    def _get_pending_documents(self, domain=Domain.TRUE):
        """Return the documents in ``domain`` that wait to be sent, without reading them.

        Their invoices may still be drafts.
        """
        # sudo: documents belong to the engine
        documents = self.env["invoice.run.document"].sudo()
        return documents.search(self._get_pending_domain() & domain)

    def _get_to_send_domain(self):
        """Return the documents that were asked for and can be sent, now or at their next try.

        What somebody put into Accounting's own sending queue is left to it: the document
        follows that mail.
        """
        return (
            self._get_pending_domain()
            & Domain("send_asked", "=", True)
            & Domain("move_id.state", "=", "posted")
            & Domain("move_id.sending_data", "=", False)
        )

    def _get_documents_to_send(self, after_id=0, limit=None, among=None):
        """Return the next documents, by id, that were asked for and can be sent now.

        :param among: only those of these documents
        """
        domain = self._get_to_send_domain()
        domain &= Domain("send_next_try", "=", False) | Domain(
            "send_next_try", "<=", fields.Datetime.now()
        )
        domain &= Domain("id", ">", after_id)
        if among is not None:
            domain &= Domain("id", "in", among.ids)
        return self.env["invoice.run.document"].search(domain, limit=limit, order="id")

    @api.model
    def _update_pending_mails(self):
        """Read the state of mails that Odoo's own queue was sending when we looked last."""
        domain = [("send_state", "=", "pending"), ("send_message_id", "!=", False)]
        domain += [("run_id.job", "!=", "send"), ("send_next_try", "=", False)]
        self.env["invoice.run.document"].search(domain)._update_send_state()
