from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Domain
from odoo.tools import SQL, float_repr

from ..base.activity_types import APPROVE
from ..base.states import DOCUMENT_OPEN, RUN_APPROVED, RUN_TO_INVOICE

#: Documents that a refused approval names at most.
NAMED = 5


def get_columns(model, alias, names):
    """Return columns of ``model`` as SQL; 100.0 and 100.00 are the same amount."""
    return SQL(", ").join(
        SQL(
            "trim_scale(%s)" if model._fields[name].column_type[0] == "numeric" else "%s",
            SQL.identifier(alias, name),
        )
        for name in names
    )


class InvoiceRun(models.Model):
    """An approval covers a content: what the reviewer saw is what may be invoiced.

    The run has a fingerprint of its open documents and their amounts. The reviewer passes the one
    that was shown, and each document keeps the one that was approved, mixed with who approved and
    when, so that an approval which is withdrawn counts for nothing. An invoice is created only of a
    document whose present content is that one, see ``invoice.run.document._get_approval_error``.
    """

    _inherit = "invoice.run"

    is_approval_asked = fields.Boolean("Approval Requested", readonly=True, copy=False, engine=True)
    approval_asked_by_id = fields.Many2one(
        "res.users", "Approval Requested By", readonly=True, copy=False, engine=True
    )
    fingerprint = fields.Char(
        compute="_compute_fingerprint",
        help="Of the documents and amounts that wait for approval, as they are now.",
    )

    def _compute_fingerprint(self):
        # two seconds for 100,000 documents: only for those who pass it on
        may_approve = self.env.su or self.env.user._is_invoice_run_reviewer()
        for run in self:
            waits = may_approve and run.state == "amounts" and run.job == "none"
            run.fingerprint = waits and run._get_fingerprint()

    def _get_fingerprint(self):
        """Return a text that changes with anything that an approval is about.

        It holds a hash, the number of documents, the total and the moment; from the last three a
        refusal says what is different.
        """
        self.ensure_one()
        condition = SQL(
            "document.run_id = %s AND document.state = ANY(%s)", self.id, [*DOCUMENT_OPEN]
        )
        query = self.env["invoice.run.document"]._get_fingerprint_query(condition)
        [(digest, count, total, moment)] = self.env.execute_query(
            SQL(
                """
                SELECT encode(sha256(convert_to(
                           COALESCE(string_agg(print.hash, ',' ORDER BY print.hash), ''), 'UTF8'
                       )), 'hex'), count(*), COALESCE(sum(total), 0), now() AT TIME ZONE 'UTC'
                  FROM (%s) print
                """,
                query,
            )
        )
        total = float_repr(total, self.currency_id.decimal_places)
        return "|".join((digest, str(count), total, moment.isoformat()))

    # ------------------------------------------------------------------
    # Buttons
    # ------------------------------------------------------------------

    def action_approve(self, fingerprint=None):
        """Approve the amounts.

        :param fingerprint: the run's ``fingerprint`` as the reviewer saw it, else that in the
            context (``invoice_run_fingerprint``); without one, what is there now is approved
        :raises AccessError: the user is not a reviewer
        :raises UserError: there is nothing to approve, four eyes are asked for, or the run is not
            any more what the reviewer saw (says what changed)
        """
        self.check_access("write")
        self._check_not_busy()
        seen = fingerprint or self.env.context.get("invoice_run_fingerprint")
        for run in self.filtered(lambda run: run.state != "approved"):
            run._check_approvable()
            if seen:
                run._check_seen(seen)
            run._approve()

    def action_reject(self, reason=None):
        """Send the amounts back to the responsible; an approval without invoices is withdrawn.

        :param reason: why; it is logged and put into an activity
        :raises AccessError: the user is not a reviewer
        :raises UserError: no reason, or there is nothing to reject
        """
        self.check_access("write")
        self._check_not_busy()
        if not (reason or "").strip():
            raise UserError(self.env._("Enter the reason why the amounts are rejected."))
        for run in self:
            run._check_reviewer()
            if run.state not in RUN_TO_INVOICE or run.invoice_count:
                raise UserError(self.env._("%(run)s has no amounts to reject.", run=run.reference))
            run._set_state("amounts", **run._prepare_no_approval_vals())
            self.env["invoice.run.line"]._mark_unrated(run)
            run.activity_unlink([APPROVE])
            run.message_post(body=self.env._("Rejected: %(reason)s", reason=reason))
            if run.approval_asked_by_id != run.user_id:
                # the responsible gets an activity
                run._tell_asker(
                    self.env._("%(run)s rejected: %(why)s", run=run.reference, why=reason)
                )
            run._tell_responsible(
                self.env._("%(run)s rejected: %(why)s", run=run.reference, why=reason)
            )

    # ------------------------------------------------------------------
    # Who may approve, and what
    # ------------------------------------------------------------------

    def _check_reviewer(self):
        if not self.env.su and not self.env.user._is_invoice_run_reviewer():
            raise AccessError(
                self.env._(
                    "Only reviewers can approve invoice runs. Ask %(who)s.", who=self._get_who()
                )
            )

    def _check_approvable(self):
        self._check_reviewer()
        if self.state != "amounts" or not self.document_count:
            raise UserError(self.env._("%(run)s has no amounts to approve.", run=self.reference))
        # somebody may have taken as long to change a price as the amounts took
        if count := self.stale_count or self._mark_repriced_for_good():
            raise UserError(
                self.env._(
                    "%(run)s: %(count)s documents have changed since their amounts were generated, "
                    "and would fail. Press “Recalculate Changed” first.",
                    run=self.reference,
                    count=count,
                )
            )
        prepared = self._get_four_eyes_reason()
        if prepared:
            raise UserError(
                self.env._(
                    "Four-eyes principle: you created or changed part of what is to be approved "
                    "(%(what)s). Ask %(who)s to approve it.",
                    what=prepared,
                    who=self._get_who(),
                )
            )

    def _get_four_eyes_reason(self):
        """Return in words why its user may not approve this run, or nothing."""
        # sudo: the company's setting
        asked = self.company_id.sudo().invoice_run_four_eyes
        return self._get_prepared_by(self.env.user) if asked else ""

    def _can_approve(self):
        """Whether this user may approve the run."""
        self.ensure_one()
        return self.env.user._is_invoice_run_reviewer() and not self._get_four_eyes_reason()

    def _get_who(self):
        return self._get_reviewer().name or self.env._("a colleague with the reviewer's role")

    def _check_seen(self, seen):
        """Refuse the approval of something else than the reviewer saw.

        :param seen: see :meth:`_get_fingerprint`
        :raises UserError: says what changed
        """
        now = self._get_fingerprint()
        digest, count, total, moment = [*str(seen).split("|"), "", "", "", ""][:4]
        if digest == now.split("|")[0]:
            return
        _digest, count_now, total_now, _moment = now.split("|")
        raise UserError(
            self.env._(
                "%(run)s changed since you looked at it. Documents then: %(count)s over %(total)s, "
                "now: %(count_now)s over %(total_now)s. Changed: %(names)s. Look at it again "
                "before you approve it.",
                run=self.reference,
                count=count,
                total=total,
                count_now=count_now,
                total_now=total_now,
                names=self._get_names_of_changed(moment) or self.env._("what was excluded"),
            )
        )

    def _get_names_of_changed(self, moment):
        """Return the names of the open documents that were changed after ``moment``, a few."""
        try:
            since = fields.Datetime.to_datetime(moment.replace("T", " ")[:19])
        except ValueError:  # a moment that the run did not give
            return ""
        later = Domain("write_date", ">=", since) | Domain("line_ids.write_date", ">=", since)
        domain = Domain("run_id", "=", self.id) & Domain("state", "in", DOCUMENT_OPEN) & later
        documents = self.env["invoice.run.document"].search(domain, limit=NAMED)
        return ", ".join(documents.mapped("display_name"))

    # ------------------------------------------------------------------
    # Approval given, asked for, withdrawn
    # ------------------------------------------------------------------

    def _approve(self):
        """Note who approves what; the caller has checked that it may be approved."""
        self.activity_feedback([APPROVE])
        self._tell_asker(self.env._("%(run)s is approved.", run=self.reference))
        self._set_state(
            "approved", approved_by_id=self.env.uid, approved_date=fields.Datetime.now()
        )
        self._get_open_documents()._note_approved()
        if self._is_automatic("invoices"):
            self._start_invoices()
        # the open page shows it at once
        self._notify_progress()

    def _get_approval_seal(self):
        """Return who approved this run and when, which is mixed into each fingerprint."""
        self.ensure_one()
        return f"{self.approved_by_id.id}|{fields.Datetime.to_string(self.approved_date)}"

    def _prepare_no_approval_vals(self):
        return {"approved_by_id": False, "approved_date": False, "is_approval_asked": False}

    def _withdraw_approval(self, always=False):
        """Withdraw an approval: the amounts are not those that were approved.

        :param always: also where some invoices exist: the open documents changed
        """
        states = RUN_APPROVED if always else ("approved",)
        for run in self.filtered(lambda run: run.state in states):
            if run.invoice_count and not always:
                continue
            # invoices that are being created stop; other work goes on
            job = "none" if run.job == "invoices" else run.job
            run._set_state("amounts", job=job, **run._prepare_no_approval_vals())
            self.env["invoice.run.line"]._mark_unrated(run)
            run.message_post(body=self.env._("The amounts changed: the approval is withdrawn."))
            if job == "none":
                run._ask_for_approval()

    def _tell_asker(self, text):
        """Answer whoever asked for this approval, unless it is the one who decides."""
        asker = self.approval_asked_by_id
        if not asker or asker == self.env.user or not self._is_visible_to(asker):
            return
        self.message_post(body=text, partner_ids=asker.partner_id.ids)
        self._write_engine({"approval_asked_by_id": False})

    def action_ask_reviewer(self):
        """Open the question who is to approve this run.

        :raises UserError: nothing waits for approval
        """
        self.ensure_one()
        self.check_access("write")
        if self.state != "amounts" or not self.document_count:
            raise UserError(self.env._("%(run)s has no amounts to approve.", run=self.reference))
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Ask for Approval"),
            "res_model": "invoice.run.reviewer.question",
            "views": [(False, "form")],
            "target": "new",
            "context": {"default_run_id": self.id},
        }

    def _ask_reviewer(self):
        """Ask the reviewer, once, to approve this run."""
        self.ensure_one()
        if self.is_approval_asked:
            return
        self._write_engine({"is_approval_asked": True, "approval_asked_by_id": self.env.uid})
        self._ask_for_approval()
        self.message_post(
            body=self.env._("%(user)s asks for approval.", user=self.env.user.display_name)
        )


class InvoiceRunDocument(models.Model):
    """The content of a document, and the one that was approved."""

    _inherit = "invoice.run.document"

    approved_fingerprint = fields.Char(readonly=True, copy=False)

    # ------------------------------------------------------------------
    # Content
    # ------------------------------------------------------------------

    @api.model
    def _get_content_fields(self):
        """Return the stored fields that an approval is about. An addon can extend the list."""
        return [
            "amount_tax",
            "amount_total",
            "amount_untaxed",
            "category_id",
            "company_id",
            "currency_id",
            "date_from",
            "date_to",
            "fiscal_position_id",
            "is_grouped",
            "journal_id",
            "part",
            "partner_id",
            "payer_id",
            "payment_term_id",
            "preferred_payment_method_line_id",
            "reversed_entry_id",
            "run_id",
            "title",
        ]

    @api.model
    def _get_dated_fields(self):
        """Return the stored fields that follow from the invoice date, itself among them."""
        return [
            "company_amount_tax",
            "company_amount_total",
            "company_amount_untaxed",
            "currency_rate",
            "invoice_date",
            "invoice_date_due",
        ]

    @api.model
    def _get_fingerprint_query(self, condition, seal=""):
        """Return a query of documents: their ids, the hashes of their content, their totals.

        In the database, for the rows as they are: of 100,000 documents none need be read.

        :param condition: SQL on ``document``
        :param seal: text that each content is mixed with
        """
        self._flush_content()
        Line = self.env["invoice.run.line"]
        return SQL(
            """
            SELECT document.id, encode(sha256(convert_to(
                       ROW(%(document)s)::text || %(dates)s || COALESCE(lines.content, '')
                       || %(seal)s, 'UTF8'
                   )), 'hex') AS hash, document.company_amount_total AS total
              FROM invoice_run_document document
              JOIN invoice_run run ON run.id = document.run_id
              JOIN invoice_run_schedule schedule ON schedule.id = run.schedule_id
              LEFT JOIN LATERAL (
                SELECT string_agg(ROW(%(line)s, taxes.ids)::text, ';'
                                  ORDER BY line.sequence, line.id) AS content
                  FROM invoice_run_line line
                  LEFT JOIN LATERAL (
                    SELECT array_agg(tax.account_tax_id ORDER BY tax.account_tax_id) AS ids
                      FROM account_tax_invoice_run_line_rel tax
                     WHERE tax.invoice_run_line_id = line.id
                  ) taxes ON TRUE
                 WHERE line.document_id = document.id
              ) lines ON TRUE
             WHERE %(condition)s
            """,
            document=get_columns(self, "document", self._get_content_fields()),
            dates=self._get_dates_content(),
            line=get_columns(Line, "line", Line._get_content_fields()),
            seal=seal,
            condition=condition,
        )

    @api.model
    def _get_dates_content(self):
        """Return the part of a content that is about dates, as SQL.

        Where the day of generation decides, that is approved, and how long there is to pay.
        """
        return SQL(
            """
            CASE WHEN schedule.invoice_date_mode = 'generation'
                   OR schedule.invoice_date_mode <> 'schedule' AND run.activation_date IS NULL
                 THEN ROW(schedule.invoice_date_mode,
                          document.invoice_date_due - document.invoice_date)::text
                 ELSE ROW(%s)::text END
            """,
            get_columns(self, "document", self._get_dated_fields()),
        )

    @api.model
    def _flush_content(self):
        self.env["invoice.run"].flush_model()
        self.env["invoice.run.schedule"].flush_model(["invoice_date_mode"])
        self.flush_model()
        self.env["invoice.run.line"].flush_model()

    # ------------------------------------------------------------------
    # Approval
    # ------------------------------------------------------------------

    def _note_approved(self):
        """Note the content of these documents of one run as the approved one."""
        if not self:
            return
        self.env.cr.execute(
            SQL(
                """
                UPDATE invoice_run_document document SET approved_fingerprint = print.hash
                  FROM (%s) print WHERE print.id = document.id
                """,
                self._get_sealed_query(),
            )
        )
        self.invalidate_recordset(["approved_fingerprint"])

    def _get_sealed_query(self):
        """Return the query of these documents of one run, mixed with its approval."""
        condition = SQL("document.id = ANY(%s)", self.ids)
        return self._get_fingerprint_query(condition, self.run_id._get_approval_seal())

    def _get_unapproved(self):
        """Return those of these documents whose present content is not the approved one."""
        unapproved = self.filtered(lambda document: not document.run_id.approved_date)
        for documents in (self - unapproved).grouped("run_id").values():
            query = SQL(
                """
                SELECT document.id FROM invoice_run_document document JOIN (%s) print
                    ON print.id = document.id
                 WHERE document.approved_fingerprint IS DISTINCT FROM print.hash
                """,
                documents._get_sealed_query(),
            )
            unapproved |= self.browse([row[0] for row in self.env.execute_query(query)])
        return unapproved

    def _get_approval_error(self):
        """Return why there must be no invoice of this document: it is not what was approved."""
        self.ensure_one()
        who = self.run_id.approved_by_id.name
        return self.env._(
            "This is not what %(who)s approved: the document was changed, added or moved "
            "since. Press “Recalculate Changed”, then have it approved again.",
            who=who or self.env._("a reviewer"),
        )


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    @api.model
    def _get_content_fields(self):
        """Return the stored fields that an approval is about. An addon can extend the list.

        Always in the same order, which the fingerprint depends on.
        """
        names = [
            "amount",
            "amount_untaxed",
            "analytic_distribution",
            "billing_date_from",
            "billing_date_to",
            "corrects_id",
            "credited_line_id",
            "discount",
            "extra_tax_data",
            "is_metered",
            "is_true_up",
            "late_number",
            "name",
            "period_from",
            "period_to",
            "price_unit",
            "product_id",
            "product_uom_id",
            "quantity",
            "rated_quantity",
            "sequence",
            "tariff_id",
        ]
        return sorted({*names, *self.env["invoice.run.source"]._get_link_fields()})
