import io

from pypdf import PdfReader

from odoo.tests import tagged

from .manager_common import ALL, ManagerCommon
from .sending_common import SendingCommon


@tagged("post_install", "-at_install")
class TestManagerSending(SendingCommon, ManagerCommon):
    """Process sends what is to be emailed, Print makes one file of the others."""

    def test_one_by_mail_one_on_paper_one_made_only(self):
        paper, quiet = self._make_partner("Paper"), self._make_partner("Quiet")
        for partner in (self.debtor, paper, quiet):
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        manager = self._open(self.reviewer)
        manager = manager.with_context(force_report_rendering=True)
        self._fetch(manager)
        manager.action_set_send(self._select(manager, "Paper"), "print")
        with self._real_sending():
            state = self._process(manager)
        self.assertEqual((state["run"]["sent"], state["run"]["to_print"]), (1, 1))
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])
        rows = {row["customer"]: row for row in manager.get_rows()["rows"]}
        self.assertEqual(
            {name: row["send_state"] for name, row in rows.items()},
            {"Debtor": "sent", "Paper": "pending", "Quiet": "none"},
        )
        self.assertEqual(rows["Debtor"]["send_channel"], "Email")
        self.assertRegex(rows["Debtor"]["pdf"], r"^/web/content/\d+$")
        with self._real_sending():
            action = manager.action_print()
        attachment = int(action["url"].split("/web/content/")[1].split("?")[0])
        content = self.env["ir.attachment"].browse(attachment).raw
        text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)
        self.assertIn(rows["Paper"]["move_name"], text)
        self.assertNotIn(rows["Quiet"]["move_name"], text)
        # pressed once more: nobody is written to twice, the same file opens
        self.assertEqual(manager.action_print(), action)
        self.assertEqual(len(self.inbox.mails), 1)

    def test_failed_mail_is_sent_again_from_the_row(self):
        self.debtor.email = False
        self._make_contract(date_start="2024-01-01")
        manager = self._open(self.reviewer)
        manager = manager.with_context(force_report_rendering=True)
        self._fetch(manager)
        with self._real_sending():
            state = self._process(manager)
        self.assertEqual((state["run"]["failed"], state["run"]["unsent"]), (1, 1))
        [row] = manager.get_rows({"filter": "failed"})["rows"]
        self.assertIn("email address", row["send_error"])
        self.assertEqual([card["id"] for card in manager.get_cards()["runs"]], manager.run_id.ids)
        self.debtor.email = "found@example.com"
        with self._real_sending():
            state = self._work(manager, manager.action_send(ALL))
        self.assertEqual((state["run"]["failed"], state["run"]["unsent"]), (0, 0))
        self.assertEqual(self.inbox.get_recipients(), ["found@example.com"])
