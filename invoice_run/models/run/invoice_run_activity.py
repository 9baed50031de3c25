from odoo import api, fields, models

from ..base.activity_types import APPROVE, ATTEND
from ..base.states import JOBS_OF_AMOUNTS


class InvoiceRun(models.Model):
    """Which user is told what: one activity of each kind, as long as there is something to do."""

    _inherit = "invoice.run"

    def _message_auto_subscribe_notify(self, partner_ids, template):
        # EXTENDS 'mail': the responsible user hears of a run when there is something to do
        return None

    def _drop_settled_activities(self, vals):
        """Remove activities that are done now that ``vals`` were written."""
        if vals.get("state", "amounts") != "amounts":
            self.activity_unlink([APPROVE])
        is_anew = vals.get("state") in ("submitted", "cancelled")
        if is_anew or vals.get("job") in (*JOBS_OF_AMOUNTS, "invoices"):
            self.activity_unlink([ATTEND])

    def _replace_activity(self, xml_id, user, summary, note=False, is_quiet=False):
        """Give ``user`` one activity of this kind; an earlier one is replaced.

        A reviewer gets it for a user who has left or cannot see the run any more; where there is
        none, the messages say so.

        :param is_quiet: without an email: nobody has to do anything now
        """
        self.ensure_one()
        reader = self._get_reachable(user)
        known = self.activity_search([xml_id], user_id=reader.id)
        if summary in known.mapped("summary"):
            return
        self.activity_unlink([xml_id])
        if not user:
            return
        if reader:
            run = self.with_context(mail_activity_quick_update=is_quiet)
            run.activity_schedule(xml_id, summary=summary, note=note, user_id=reader.id)
            return
        body = self.env._(
            "%(user)s can no longer see this run: nobody was notified.", user=user.name
        )
        self.message_post(body=body)

    def _get_reachable(self, user):
        """Return ``user``, or else the run's or the company's reviewer: who can see the run."""
        if not user:
            return user
        # sudo: a setting of the company
        stand_ins = [self._get_reviewer(), self.company_id.sudo().invoice_run_reviewer_id]
        for reader in (user, *stand_ins):
            if reader and self._is_visible_to(reader):
                return reader
        return user.browse()

    def _drop_activity(self, xml_id, summary):
        """Remove activities that nobody has to look at now."""
        activities = self.activity_search([xml_id])
        activities.filtered(lambda activity: activity.summary == summary).unlink()

    def _is_visible_to(self, user):
        run = self.with_user(user).with_context(allowed_company_ids=user.company_ids.ids)
        return user.active and run.has_access("read")

    # ------------------------------------------------------------------
    # The reviewer
    # ------------------------------------------------------------------

    has_reviewer = fields.Boolean(compute="_compute_has_reviewer")

    @api.depends("reviewer_id")
    def _compute_has_reviewer(self):
        for run in self:
            run.has_reviewer = bool(run._get_reviewer())

    def _get_reviewer(self):
        """Return who is to approve this run; nobody, where that user may not any more."""
        return self.reviewer_id.filtered(
            lambda user: user.active and user._is_invoice_run_reviewer()
        )

    def _ask_for_approval(self):
        """Ask the reviewer; a scheduled run without one tells whoever is responsible.

        In the Invoice Manager only when its user asks.
        """
        self.ensure_one()
        if not self.document_count or self.is_managed and not self.is_approval_asked:
            return
        if reviewer := self._get_reviewer():
            summary = self.env._("Approve invoice run %(run)s", run=self.reference)
            self._replace_activity(APPROVE, reviewer, summary)
        elif self.schedule_id.cycle != "once":
            summary = self.env._("%(run)s waits for approval", run=self.reference)
            self._replace_activity(ATTEND, self.user_id, summary)

    # ------------------------------------------------------------------
    # The responsible
    # ------------------------------------------------------------------

    def _tell_responsible(self, summary, note=False, is_quiet=False):
        """Ask the responsible user to look at the run, unless somebody watches it anyway.

        :param note: what to do, as HTML
        """
        if not self._has_onlooker():
            self._replace_activity(ATTEND, self.user_id, summary, note, is_quiet)

    def _tell_result(self):
        """Tell the responsible user how the run ended: what failed, what is to be done.

        By email only where something is to be decided, or where nobody pressed the last button.
        """
        self.ensure_one()
        self.invalidate_recordset([*self._get_total_fields(), "unset_count", "draft_count"])
        if summary := self._get_problem_text():
            self._tell_responsible(summary)
        elif self.state == "invoiced" and self.job == "none":
            by_itself = self._is_automatic("send")
            if by_itself and self._is_still_to_send():
                return
            self._tell_responsible(self._get_end_text(), is_quiet=not by_itself)

    def _is_still_to_send(self):
        """Whether invoices wait that can be sent as they are."""
        return self.pending_count and not self.draft_count

    def _get_problem_text(self):
        """Return what is left for a person after the work on this run, or nothing."""
        if self.failed_count:
            return self.env._(
                "%(run)s: %(failed)s failed, fix the cause and retry",
                run=self.reference,
                failed=self.failed_count,
            )
        if self.uncertain_count:
            return self.env._(
                "%(run)s: delivery unconfirmed: %(count)s, ask the customers",
                run=self.reference,
                count=self.uncertain_count,
            )
        if self.state == "invoiced" and self.job == "none" and self.unset_count:
            return self.env._(
                "%(run)s: choose how invoices go to their customers: %(count)s",
                run=self.reference,
                count=self.unset_count,
            )
        return None

    def _get_end_text(self):
        if self._is_still_to_send():
            return self.env._(
                "%(run)s: invoices wait to be sent: %(count)s",
                run=self.reference,
                count=self.pending_count,
            )
        return self.env._(
            "%(run)s is done. Invoices: %(invoices)s, sent: %(sent)s",
            run=self.reference,
            invoices=self.invoice_count,
            sent=self.sent_count,
        )

    # ------------------------------------------------------------------
    # Nothing to invoice
    # ------------------------------------------------------------------

    def _end_without_documents(self):
        """Move on where there is nothing to approve: nobody waits for an approval."""
        self.invalidate_recordset(["document_count", "exception_count"])
        if self.document_count:
            return
        if self.exception_count:
            self._tell_responsible(
                self.env._("%(run)s: nothing can be invoiced, see why", run=self.reference)
            )
        elif self.schedule_id.cycle != "once":
            self._close_empty()

    def _close_empty(self):
        """End a run with nothing due; its amounts can still be generated again."""
        self._set_state("invoiced")
        self.message_post(body=self.env._("Nothing was due: there is no invoice to create."))
