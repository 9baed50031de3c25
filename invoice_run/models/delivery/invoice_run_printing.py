import tempfile

from odoo import Command, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import split_every

from ...engine.pdf_binder import PdfBinder
from ..base.errors import RETRY_ERRORS, is_outage
from ..base.states import DOCUMENT_SENDABLE, SEND_OPEN

#: PDFs that are still to be printed while a user waits for the file; more is background work.
PRINT_AT_ONCE = 30
#: PDFs that are bound while somebody waits for the file; more is background work.
BIND_AT_ONCE = 500
#: PDFs printed, or bound, before memory is released.
PRINTS_PER_CHUNK = 50


class InvoiceRunDocument(models.Model):
    """Printing: the PDFs of many invoices in one file."""

    _inherit = "invoice.run.document"

    print_attachment_id = fields.Many2one(
        "ir.attachment", "Printed In", readonly=True, help="The file of the run that contains it."
    )

    def action_print(self):
        """Return one PDF of these documents, in the order of their numbers; it can be repeated.

        What waits to be printed counts as printed then; the state of others stays.

        :raises UserError: no confirmed invoice among them, they are of several runs, or too many
        """
        self.check_access("write")
        # sudo: documents belong to the engine; the user may read the run and print it
        documents = self.sudo()._get_printable()
        documents._check_printed_together()
        reasons = documents._make_pdfs()
        if not documents._print():
            raise UserError(documents._get_no_print_error(reasons))
        return documents.run_id._get_download_action()

    def _check_printed_together(self):
        """Refuse documents that cannot become one file at once.

        :raises UserError: says what to choose instead
        """
        if not self:
            raise UserError(self.env._("None of these documents has a confirmed invoice to print."))
        if len(self.run_id) > 1:
            # the file is kept on its run, for users who may read that run
            raise UserError(
                self.env._(
                    "These documents are of several runs (%(runs)s). Print those of one run at a "
                    "time.",
                    runs=", ".join(self.run_id.mapped("reference")),
                )
            )
        if (missing := len(self._get_without_pdf())) > PRINT_AT_ONCE:
            raise UserError(
                self.env._(
                    "%(count)s PDFs still have to be created: select at most %(limit)s, or set "
                    "“Send By” to “Print” and press “Print” on the run, which works in the "
                    "background.",
                    count=missing,
                    limit=PRINT_AT_ONCE,
                )
            )
        if len(self) > BIND_AT_ONCE:
            raise UserError(
                self.env._(
                    "Select at most %(limit)s documents, or press “Print” or “Print All Again” on "
                    "the run, which works in the background.",
                    limit=BIND_AT_ONCE,
                )
            )

    def _is_printed_at_once(self):
        """Whether this is little enough to be printed while somebody waits."""
        return len(self) <= BIND_AT_ONCE and len(self._get_without_pdf()) <= PRINT_AT_ONCE

    def _get_no_print_error(self, reasons):
        """Return why there is no file; ``reasons``: why PDFs could not be printed."""
        reasons = reasons or list(filter(None, self.mapped("send_error")))
        if not reasons and self.move_id.filtered("sending_data"):
            return self.env._(
                "These invoices are in the sending queue of Accounting, which creates their "
                "PDFs. Print them afterwards."
            )
        return "\n".join(reasons) or self.env._("There is no PDF to print.")

    def _get_printable(self):
        return self.filtered(
            lambda doc: doc.state in DOCUMENT_SENDABLE and doc.move_id.state == "posted"
        )

    def _get_without_pdf(self):
        """Return those whose PDF is to be printed here.

        Not what waits in Accounting's own sending queue, which prints the PDF too: to print it here
        would take the invoice out of that queue.
        """
        return self.filtered(
            lambda doc: not (doc.move_id.invoice_pdf_report_id or doc.move_id.sending_data)
        )

    def _make_pdfs(self):
        """Print the PDFs that are missing, through Odoo's sending; what fails says why.

        :return: the reasons of those that failed
        """
        missing = self._get_without_pdf()
        if not missing:
            return []
        try:
            with missing._undo_on_error():
                errors = self.env["account.move.send"]._send_run_documents(missing, "manual")
        except RETRY_ERRORS:
            raise
        except Exception as error:
            if is_outage(error):
                raise
            return missing._make_pdfs_after(error)
        for document in missing:
            if reason := errors.get(document.move_id.id):
                document._set_print_failed(reason)
        return list(errors.values())

    def _make_pdfs_after(self, error):
        """Find by halves whom an error is about that Odoo did not attribute to an invoice."""
        self.env.invalidate_all(flush=False)
        if len(self) == 1:
            reason = self._get_error_text(error)
            self._set_print_failed(reason)
            return [reason]
        half = len(self) // 2
        reasons = []
        for part in (self[:half], self[half:]):
            reasons += part._make_pdfs()
            # the next failure undoes its transaction: what was printed, or noted, is not part of it
            self.env["invoice.run"]._commit_step()
        return reasons

    def _set_print_failed(self, reason):
        if self.send_action == "print":
            self._set_send_failed(reason)

    def _print(self):
        """Bind the PDFs of these documents into one file on their run.

        :return: the documents in it; where there are none, there is no file
        """
        with tempfile.TemporaryFile(prefix="invoice_run.") as file:
            printed = self._bind(file)
            if not printed:
                return printed
            file.seek(0)
            attachment = self.run_id._keep_print(file.read(), len(printed))
        waiting = printed.filtered(
            lambda doc: doc.send_action == "print" and doc.send_state in SEND_OPEN
        )
        waiting._set_sent(waiting[:1]._get_channel_label(), "printed", send_date=False)
        printed.write({"print_attachment_id": attachment.id})
        return printed

    def _bind(self, file):
        """Write the PDFs of these documents into ``file``; return those that are in it."""
        printed = []
        with PdfBinder(file) as binder:
            for ids in split_every(PRINTS_PER_CHUNK, self._get_ids_by_number()):
                printed += [doc.id for doc in self.browse(ids) if doc._bind_one(binder)]
                self.env["ir.attachment"].invalidate_model(flush=False)
        return self.browse(printed)

    def _bind_one(self, binder):
        pdf = self.move_id.invoice_pdf_report_id
        if not pdf:
            return False
        if not pdf.raw:
            self._set_print_failed(
                self.env._(
                    "The file of the PDF is missing on the server. Ask your administrator to "
                    "restore it, then retry."
                )
            )
            return False
        try:
            binder.append(pdf.raw)
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
        engine=True,
    )

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
        return self._print_documents(documents)

    def action_reprint(self):
        """Print all documents that were printed once more, as one PDF."""
        self.ensure_one()
        self.check_access("write")
        return self._print_documents(self._get_documents_to_print(again=True), again=True)

    def _print_documents(self, documents, again=False):
        """Print ``documents`` at once and open the file, or have the background do it."""
        if documents._is_printed_at_once():
            return documents.with_env(self.env).action_print()
        if self.job != "none":
            raise UserError(
                self.env._("%(run)s is being processed: print when it is done.", run=self.reference)
            )
        self._queue_job("reprint" if again else "print")
        return None

    def _get_documents_to_print(self, again=False):
        """Return the documents that wait to be printed.

        :param again: those that were printed before instead
        """
        domain = Domain("run_id", "in", self.ids) & Domain("state", "in", DOCUMENT_SENDABLE)
        domain &= Domain("move_id.state", "=", "posted")
        if again:
            domain &= Domain("send_state", "=", "printed")
        else:
            domain &= Domain("send_action", "=", "print") & Domain("send_state", "=", "pending")
        # sudo: documents belong to the engine
        return self.env["invoice.run.document"].sudo().search(domain)

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
            body=self.env._("Documents printed: %(count)s.", count=count),
            attachment_ids=attachment.ids,
        )
        return attachment

    def _get_download_action(self):
        """Return the action that opens the latest printed file."""
        return self.print_attachment_ids.sorted("id")[-1:]._get_download_action()
