import io
import signal
import tracemalloc

from PIL import Image
from pypdf import PdfReader
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from odoo.exceptions import UserError
from odoo.tests import BaseCase, tagged
from odoo.tools import mute_logger
from odoo.tools.pdf import PdfReadError

from ..engine.pdf_binder import PdfBinder
from .sending_common import SendingCommon

INVOICING_LOG = "odoo.addons.invoice_run.models.document.invoice_run_invoicing"


def make_pdf(*pages, picture=None):
    """Return a PDF with one page for each text."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(300, 400), pageCompression=1)
    for text in pages:
        canvas.drawString(30, 350, text)
        if picture:
            canvas.drawImage(picture, 30, 30)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


@tagged("post_install", "-at_install")
class TestPdfBinder(BaseCase):
    def _bind(self, contents):
        file = io.BytesIO()
        with PdfBinder(file) as binder:
            for content in contents:
                binder.append(content)
        return file.getvalue()

    def _get_texts(self, content):
        reader = PdfReader(io.BytesIO(content), strict=True)
        return [page.extract_text().strip() for page in reader.pages]

    def test_pages_in_order(self):
        bound = self._bind([make_pdf("One", "Two"), make_pdf("Three")])
        self.assertEqual(self._get_texts(bound), ["One", "Two", "Three"])
        page = PdfReader(io.BytesIO(bound)).pages[2]
        self.assertEqual([float(value) for value in page.mediabox], [0, 0, 300, 400])

    def test_a_broken_file_adds_nothing(self):
        file = io.BytesIO()
        with PdfBinder(file) as binder:
            binder.append(make_pdf("One"))
            with self.assertRaises(PdfReadError), mute_logger("pypdf", "PyPDF2"):
                binder.append(b"<html>no PDF</html>")
            binder.append(make_pdf("Two"))
        self.assertEqual(self._get_texts(file.getvalue()), ["One", "Two"])

    def _make_circle(self, kids, parent):
        """Return a PDF whose node of pages (2) has these kids and this parent."""
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [%s] /Count 1 %s >>" % (kids, parent),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] >>",
        ]
        content, positions = b"%PDF-1.7\n", []
        for number, data in enumerate(objects, 1):
            positions.append(len(content))
            content += b"%d 0 obj\n%s\nendobj\n" % (number, data)
        table = b"".join(b"%010d 00000 n \n" % position for position in positions)
        end = b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(content)
        return content + b"xref\n0 4\n0000000000 65535 f \n" + table + end

    def _append_in_time(self, binder, content):
        def stop(_signal, _frame):
            raise TimeoutError("it does not end")

        before = signal.signal(signal.SIGALRM, stop)
        signal.alarm(20)
        try:
            with mute_logger("pypdf", "PyPDF2"):
                binder.append(content)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    def test_pages_that_refer_to_each_other_in_a_circle_end(self):
        file = io.BytesIO()
        with PdfBinder(file) as binder:
            binder.append(self._make_circle(b"3 0 R", b""))
            with self.assertRaisesRegex(ValueError, "in a circle"):
                self._append_in_time(binder, self._make_circle(b"3 0 R", b"/Parent 2 0 R"))
            binder.append(make_pdf("One"))
            for kids in (b"2 0 R", b"2 0 R 3 0 R"):
                try:
                    self._append_in_time(binder, self._make_circle(kids, b""))
                except TimeoutError:
                    raise
                except Exception as error:
                    self.assertTrue(str(error) or repr(error))
        self.assertIn("One", self._get_texts(file.getvalue()))

    def test_equal_objects_once_and_little_memory_for_many(self):

        noise = Image.effect_noise((120, 120), 90)
        picture = ImageReader(noise)
        contents = [make_pdf(f"Invoice {number}", picture=picture) for number in range(30)]
        single = len(contents[0])
        with open("/dev/null", "wb") as nowhere, PdfBinder(nowhere) as binder:
            binder.append(contents[0])
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            for number in range(1000):
                binder.append(contents[number % 30])
            _now, peak = tracemalloc.get_traced_memory()
        self.assertLess(peak, 8_000_000)
        self.assertGreater(1000 * single, 10_000_000)
        bound = self._bind(contents)
        self.assertLess(len(bound), 3 * single)
        self.assertEqual(len(self._get_texts(bound)), 30)


@tagged("post_install", "-at_install")
class TestPrinting(SendingCommon):
    """One PDF of all that is to be printed, by a plain user."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scenario.send_action = "print"

    def _make_printed_run(self, count=3):
        run = self._make_run_to_send(*[self.debtor] * count)
        for document in run.document_ids:
            self._give_pdf(document.move_id)
        return run.with_user(self.user)

    def _give_pdf(self, move):
        self.env["ir.attachment"].create(self._prepare_pdf_vals(move))
        move.invalidate_recordset()

    def _prepare_pdf_vals(self, move):
        return {
            "name": f"{move.name}.pdf",
            "raw": make_pdf(f"Page of {move.name}"),
            "mimetype": "application/pdf",
            "res_model": "account.move",
            "res_id": move.id,
            "res_field": "invoice_pdf_report_file",
        }

    def _get_texts(self, action):
        attachment_id = int(action["url"].split("/web/content/")[1].split("?")[0])
        attachment = self.env["ir.attachment"].with_user(self.user).browse(attachment_id)
        reader = PdfReader(io.BytesIO(attachment.raw))
        return [page.extract_text().strip() for page in reader.pages]

    def _get_expected(self, documents):
        return [f"Page of {name}" for name in sorted(documents.move_id.mapped("name"))]

    def test_print_once_in_the_order_of_numbers(self):
        run = self._make_printed_run()
        self.assertEqual(run.to_print_count, 3)
        self.assertEqual(run.pending_count, 0)
        action = run.action_print()
        self.assertEqual(self._get_texts(action), self._get_expected(run.document_ids))
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"printed"})
        self.assertEqual(run.sent_count, 3)
        self.assertEqual(run.print_attachment_ids, run.document_ids.print_attachment_id)
        self.assertIn("Documents printed: 3", run.message_ids[:1].body)
        # nothing new: the same file is opened again
        self.assertEqual(run.action_print(), action)
        self.assertEqual(len(run.print_attachment_ids), 1)

    def test_only_new_ones_then_all_again(self):
        run = self._make_printed_run()
        first, second, third = run.document_ids
        second.send_action = "none"
        texts = self._get_texts(run.action_print())
        self.assertEqual(texts, self._get_expected(first | third))
        second.send_action = "print"
        self.assertEqual(self._get_texts(run.action_print()), self._get_expected(second))
        texts = self._get_texts(run.action_reprint())
        self.assertEqual(texts, self._get_expected(run.document_ids))
        self.assertEqual(len(run.print_attachment_ids), 3)

    def test_some_documents_printed_by_hand(self):
        run = self._make_printed_run()
        document = run.document_ids[1]
        self.assertEqual(self._get_texts(document.action_print()), self._get_expected(document))
        self.assertEqual(document.send_state, "printed")
        self.assertEqual(run.to_print_count, 2)

    def test_printed_by_hand_stays_to_be_mailed(self):
        self.scenario.send_action = "email"
        run = self._make_printed_run(1)
        run.document_ids.action_print()
        self.assertEqual(run.document_ids.send_state, "pending")
        self._send(run)
        self.assertEqual(run.document_ids.send_state, "sent")
        # the responsible gets a mail too: the run is done
        invoices = [mail for mail in self.inbox.mails if "debtor@" in str(mail["To"])]
        self.assertEqual(len(invoices), 1)

    def test_background_job(self):
        run = self._make_printed_run()
        run.sudo()._queue_job("print")
        run._process_queue()
        self.assertEqual(run.job, "none")
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"printed"})
        self.assertEqual(len(run.print_attachment_ids), 1)
        run.sudo()._queue_job("print")
        run._process_queue()
        self.assertEqual(len(run.print_attachment_ids), 1)

    def test_a_file_that_cannot_be_read(self):
        run = self._make_printed_run()
        broken = run.document_ids[0]
        broken.move_id.sudo().invoice_pdf_report_id.raw = b"%PDF-broken"
        with mute_logger(INVOICING_LOG, "PyPDF2", "pypdf"):
            texts = self._get_texts(run.action_print())
        self.assertEqual(texts, self._get_expected(run.document_ids - broken))
        self.assertEqual(broken.send_state, "failed")
        broken.move_id.sudo().invoice_pdf_report_id.raw = make_pdf(f"Page of {broken.move_id.name}")
        run.action_retry_failed()
        self.assertEqual(self._get_texts(run.action_print()), self._get_expected(broken))

    def test_a_file_that_is_gone(self):
        run = self._make_printed_run(2)
        gone, other = run.document_ids
        self._lose_file(gone)
        run.sudo()._queue_job("print")
        run._process_queue()
        self.assertEqual(
            (run.job, other.send_state, gone.send_state), ("none", "printed", "failed")
        )
        self.assertIn("missing on the server", gone.send_error)
        run.action_retry_failed()
        run.sudo()._queue_job("print")
        run._process_queue()
        self.assertEqual((run.job, gone.send_state), ("none", "failed"), "no file is no crash")
        self.assertEqual(len(run.print_attachment_ids), 1)

    def _lose_file(self, document):
        attachment = document.move_id.sudo().invoice_pdf_report_id
        attachment.flush_recordset()
        self.env.cr.execute(
            "UPDATE ir_attachment SET store_fname = '00/gone' WHERE id = %s", [attachment.id]
        )
        attachment.invalidate_recordset()

    def test_what_accounting_is_about_to_send_is_left_to_it(self):
        run = self._make_printed_run(1)
        queued = self._make_run_to_send()
        queued.document_ids.move_id.sending_data = {"author_user_id": self.user.id}
        self._make_pdfs_without_rendering()
        with self.assertRaisesRegex(UserError, "in the sending queue of"):
            queued.with_user(self.user).action_print()
        queued.sudo()._queue_job("print")
        queued._process_queue()
        self.assertEqual((queued.job, queued.to_print_count), ("none", 1))
        self.assertTrue(queued.document_ids.move_id.sending_data)
        # its PDF is there: printed, and still sent by Accounting
        run.document_ids.move_id.sudo().sending_data = {"author_user_id": self.user.id}
        run.action_print()
        self.assertEqual(run.document_ids.send_state, "printed")
        self.assertTrue(run.document_ids.move_id.sending_data)

    def test_an_invoice_that_stops_all_stands_alone(self):
        run = self._make_run_to_send(*[self.debtor] * 3).with_user(self.user)
        bad = run.document_ids[1]
        self._make_pdfs_without_rendering(bad.move_id)
        run.sudo()._queue_job("print")
        run._process_queue()
        self.assertEqual(run.job, "none")
        self.assertEqual(run.document_ids.mapped("send_state"), ["printed", "failed", "printed"])
        self.assertEqual(bad.send_error, "no report for this customer")
        with self.assertRaisesRegex(UserError, "no report for this customer"):
            bad.action_print()
        # what is not to be printed has no reason in the row, and sees it at once
        bad.send_action = "none"
        with self.assertRaisesRegex(UserError, "no report for this customer"):
            bad.action_print()

    def _make_pdfs_without_rendering(self, bad=None):
        """Stub the rendering; ``bad`` is refused before, outside of the steps for each invoice."""
        send = type(self.env["account.move.send"])
        reason = "no report for this customer"

        def check(this, moves, **settings):
            if bad and bad in moves:
                raise UserError(reason)

        def prepare(this, invoices_data):
            for move, data in invoices_data.items():
                data["pdf_attachment_values"] = self._prepare_pdf_vals(move)

        self.patch(send, "_check_invoice_report", check)
        self.patch(send, "_prepare_invoice_pdf_report", prepare)

    def test_send_pressed_while_printing(self):
        run = self._make_printed_run(2)
        run.document_ids[0].send_action = "email"
        run.sudo()._queue_job("print")
        self._send(run)
        self.assertEqual(run.job, "none")
        self.assertEqual(run.document_ids.mapped("send_state"), ["sent", "printed"])
        self.assertIn("debtor@example.com", self.inbox.get_recipients())

    def test_documents_of_two_runs_are_refused(self):
        first, second = self._make_printed_run(1), self._make_printed_run(1)
        with self.assertRaisesRegex(UserError, "of several runs"):
            (first | second).document_ids.action_print()
        self.assertEqual((first | second).mapped("to_print_count"), [1, 1])
        self.assertFalse((first | second).print_attachment_ids)

    def test_much_to_bind_is_background_work(self):
        run = self._make_printed_run(2)
        self.patch(self._get_module(), "BIND_AT_ONCE", 1)
        presses = (("print", run.action_print), ("reprint", run.action_reprint))
        for count, (job, press) in enumerate(presses, 1):
            self.assertIsNone(press())
            self.assertEqual(run.job, job)
            self.assertEqual(run.get_progress()["total"], 2)
            run._process_queue()
            self.assertEqual(run.job, "none")
            self.assertEqual(len(run.print_attachment_ids), count)
            texts = self._get_texts(run._get_download_action())
            self.assertEqual(texts, self._get_expected(run.document_ids))
            self.assertEqual(set(run.document_ids.mapped("send_state")), {"printed"})
        with self.assertRaisesRegex(UserError, "at most 1"):
            run.document_ids.action_print()

    def test_nothing_to_print(self):
        self.scenario.send_action = "none"
        run = self._make_printed_run(1)
        with self.assertRaises(UserError):
            run.action_print()

    def test_many_missing_pdfs_are_background_work(self):
        run = self._make_run_to_send(*[self.debtor] * 2).with_user(self.user)
        self.patch_limit(1)
        self.assertIsNone(run.action_print())
        self.assertEqual(run.job, "print")
        with self.assertRaises(UserError):
            run.document_ids.action_print()

    def patch_limit(self, limit):
        self.patch(self._get_module(), "PRINT_AT_ONCE", limit)

    def _get_module(self):
        from ..models.delivery import invoice_run_printing

        return invoice_run_printing
