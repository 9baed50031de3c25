import tempfile

from odoo import Command, api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import split_every

from ..pdf_binder import PdfBinder
from .invoice_run_sending import SENDABLE_STATES

#: PDFs that are still to be made while somebody waits for the file; more is background work.
PRINT_AT_ONCE = 30
#: PDFs made, or bound, before memory is given back.
PRINTS_PER_CHUNK = 50


class InvoiceRunDocument(models.Model):
    """On paper: the PDFs of many invoices in one file."""

    _inherit = "invoice.run.document"

    print_attachment_id = fields.Many2one(
        "ir.attachment", "Printed In", readonly=True, help="The file of the run that holds it."
    )

    def action_print(self):
        """Make one PDF of these documents, in the order of their numbers; also once more.

        What waits to be printed counts as printed then; the state of others stays.

        :raises UserError: no confirmed invoice among them, or too many PDFs are still to be made
        """
        self.check_access("write")
        # sudo: documents are the engine's; the user may read the run and print it
        documents = self.sudo()._get_printable()
        if not documents:
            raise UserError(self.env._("None of these documents has a confirmed invoice to print."))
        missing = len(documents.filtered(lambda doc: not doc.move_id.invoice_pdf_report_id))
        if missing > PRINT_AT_ONCE:
            raise UserError(
                self.env._(
                    "%(count)s PDFs are still to be made: choose at most %(limit)s, or set them to "
                    'be sent by "Print" and press "Print" on the run, which works in the '
                    "background.",
                    count=missing,
                    limit=PRINT_AT_ONCE,
                )
            )
        documents._make_pdfs()
        return documents._print()._get_download_action()

    def _get_printable(self):
        return self.filtered(
            lambda doc: doc.state in SENDABLE_STATES and doc.move_id.state == "posted"
        )

    def _make_pdfs(self):
        """Make the PDFs that are missing, through Odoo's sending; what fails says why."""
        missing = self.filtered(lambda doc: not doc.move_id.invoice_pdf_report_id)
        if not missing:
            return
        errors = self.env["account.move.send"]._send_run_documents(missing, "manual")
        for document in missing:
            if error := errors.get(document.move_id.id):
                document._set_print_failed(error)

    def _set_print_failed(self, reason):
        if self.send_action == "print":
            self._set_send_failed(reason)

    def _print(self):
        """Bind the PDFs of these documents into one file on their run; return the run.

        :raises UserError: there is none
        """
        run = self.run_id[:1]
        with tempfile.TemporaryFile(prefix="invoice_run.") as file:
            printed = self._bind(file)
            if not printed:
                raise UserError(
                    "\n".join(filter(None, self.mapped("send_error")))
                    or self.env._("There is no PDF to print.")
                )
            file.seek(0)
            attachment = run._keep_print(file.read(), len(printed))
        waiting = printed.filtered(
            lambda doc: doc.send_action == "print" and doc.send_state in ("pending", "failed")
        )
        waiting._set_sent(waiting[:1]._get_channel_label())
        waiting.write({"send_state": "printed", "send_date": False})
        printed.write({"print_attachment_id": attachment.id})
        return run

    def _bind(self, file):
        """Write the PDFs of these documents into ``file``; return those that are in it."""
        printed = self.browse()
        with PdfBinder(file) as binder:
            for ids in split_every(PRINTS_PER_CHUNK, self._get_ids_by_number()):
                for document in self.browse(ids):
                    if document._bind_one(binder):
                        printed |= document
                self.env["ir.attachment"].invalidate_model(flush=False)
        return printed

    def _bind_one(self, binder):
        content = self.move_id.invoice_pdf_report_id.raw
        if not content:
            return False
        try:
            binder.append(content)
        except Exception as error:  # one file that cannot be read does not hold the others
            self._set_print_failed(self._get_error_text(error))
            return False
        return True

    def _get_ids_by_number(self):
        """Return the ids in the order of the invoices' numbers."""
        moves = self.env["account.move"].search(
            [("id", "in", self.move_id.ids)], order="sequence_prefix, sequence_number, id"
        )
        by_move = {document.move_id.id: document.id for document in self}
        return [by_move[move_id] for move_id in moves.ids]


class InvoiceRun(models.Model):
    _inherit = "invoice.run"

    print_attachment_ids = fields.Many2many(
        "ir.attachment",
        "invoice_run_print_attachment_rel",
        string="Printed Files",
        copy=False,
        readonly=True,
    )

    @api.model
    def _get_engine_fields(self):
        # EXTENDS 'invoice.run.guarded'
        return super()._get_engine_fields() | {"print_attachment_ids"}

    def action_print(self):
        """Print what waits for it: at once where it is little, else in the background.

        With nothing new to print, the latest file is opened again.

        :raises UserError: there is nothing to print
        """
        self.ensure_one()
        self.check_access("write")
        documents = self._get_documents_to_print()
        if not documents and self.print_attachment_ids:
            return self._get_download_action()
        if not documents:
            raise UserError(self.env._("%(run)s has nothing to print.", run=self.reference))
        missing = documents.filtered(lambda doc: not doc.move_id.invoice_pdf_report_id)
        if len(missing) <= PRINT_AT_ONCE:
            return documents.with_env(self.env).action_print()
        if self.job != "none":
            raise UserError(
                self.env._("%(run)s is at work: print when it is done.", run=self.reference)
            )
        self._queue_job("print")
        return None

    def action_reprint(self):
        """Make one PDF of all documents that were printed, once more."""
        self.ensure_one()
        self.check_access("write")
        # sudo: documents are the engine's
        printed = (
            self.env["invoice.run.document"]
            .sudo()
            .search([("run_id", "=", self.id), ("send_state", "=", "printed")])
        )
        return printed.with_env(self.env).action_print()

    def _get_documents_to_print(self):
        domain = Domain("run_id", "in", self.ids) & Domain("send_action", "=", "print")
        domain &= Domain("send_state", "=", "pending") & Domain("state", "in", SENDABLE_STATES)
        domain &= Domain("move_id.state", "=", "posted")
        # sudo: documents are the engine's
        return self.env["invoice.run.document"].sudo().search(domain)

    def _process_job_print(self):
        """Make the PDFs chunk by chunk, then bind them; return whether the job is finished."""
        documents = self._get_documents_to_print()
        missing = documents.filtered(lambda doc: not doc.move_id.invoice_pdf_report_id)
        for ids in split_every(PRINTS_PER_CHUNK, missing.ids):
            self.env["invoice.run.document"].browse(ids)._make_pdfs()
            self._notify_progress()
            go_on = self._commit_step(remaining=1)
            self.env.invalidate_all()
            if not go_on or not self._lock_job("print"):
                return False
        # without those whose PDF failed
        documents = self._get_documents_to_print()
        if documents:
            documents._print()
        self.write({"job": "none"})
        self._notify_progress()
        self._commit_step()
        return True

    def _keep_print(self, content, count):
        """Keep a printed file on the run and say so in its chatter."""
        number = len(self.print_attachment_ids) + 1
        attachment = self.env["ir.attachment"].create(
            {
                "name": f"{self.reference.replace('/', '-')}-{number}.pdf",
                "raw": content,
                "mimetype": "application/pdf",
                "res_model": self._name,
                "res_id": self.id,
            }
        )
        self._write_engine({"print_attachment_ids": [Command.link(attachment.id)]})
        self.message_post(
            body=self.env._("%(count)s documents printed.", count=count),
            attachment_ids=attachment.ids,
        )
        return attachment

    def _get_download_action(self):
        """Return the action that opens the latest printed file."""
        attachment = self.print_attachment_ids.sorted("id")[-1:]
        return {
            "type": "ir.actions.act_url",
            "url": f"/web/content/{attachment.id}?download=true",
            "target": "self",
        }
