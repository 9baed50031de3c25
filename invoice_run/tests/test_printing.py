import io
import tracemalloc

from PIL import Image
from pypdf import PdfReader
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from odoo.exceptions import UserError
from odoo.tests import BaseCase, tagged
from odoo.tools import mute_logger
from odoo.tools.pdf import PdfReadError

from ..pdf_binder import PdfBinder
from .sending_common import SendingCommon


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
        self.env["ir.attachment"].create(
            {
                "name": f"{move.name}.pdf",
                "raw": make_pdf(f"Page of {move.name}"),
                "mimetype": "application/pdf",
                "res_model": "account.move",
                "res_id": move.id,
                "res_field": "invoice_pdf_report_file",
            }
        )
        move.invalidate_recordset()

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
        self.assertIn("3 documents printed", run.message_ids[:1].body)
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
        with mute_logger("odoo.addons.invoice_run.models.invoice_run_invoicing", "PyPDF2", "pypdf"):
            texts = self._get_texts(run.action_print())
        self.assertEqual(texts, self._get_expected(run.document_ids - broken))
        self.assertEqual(broken.send_state, "failed")
        broken.move_id.sudo().invoice_pdf_report_id.raw = make_pdf(f"Page of {broken.move_id.name}")
        run.action_retry_failed()
        self.assertEqual(self._get_texts(run.action_print()), self._get_expected(broken))

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
        from ..models import invoice_run_printing

        return invoice_run_printing
