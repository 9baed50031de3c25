from unittest.mock import patch

from odoo.addons.invoice_run.tests.sending_common import SendingCommon
from odoo.fields import Command
from odoo.tests import tagged


@tagged("post_install", "-at_install")
class TestSending(SendingCommon):
    """What a run leaves out while it sends, because it changes nothing."""

    def test_no_journal_item_is_written(self):
        """Neither for the sections of what is printed, nor for the token in the mail's link."""
        other = self._make_customer("Other", "other@example.com")
        run = self._make_run_to_send(other, self.debtor)
        Line, written = self.env.registry["account.move.line"], []
        write = Line.write

        def watched(lines, vals):
            written.append((lines.mapped("display_type"), vals))
            return write(lines, vals)

        self.env.invalidate_all()
        with patch.object(Line, "write", watched):
            self._send(run.with_context(force_report_rendering=True))
        self.assertEqual(written, [])
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"sent"})
        moves = run.document_ids.move_id
        self.assertEqual(len(set(moves.mapped("access_token")) - {False}), 2)
        self.assertTrue(all(moves.mapped("invoice_pdf_report_id")))

    def test_sections_read_ahead(self):
        """They are those that Odoo finds line by line."""
        moves = self._make_invoices_with_sections(3)
        report = self.env["ir.actions.report"]
        self.env.invalidate_all()
        report._read_run_sections("account.account_invoices", moves.ids)
        with patch.object(
            self.env.registry["account.move.line"],
            "_compute_parent_id",
            side_effect=AssertionError("all were found"),
        ):
            ahead = {line.id: line.parent_id.id for line in moves.line_ids}
        alone = {}
        for line in moves.line_ids:
            self.env.invalidate_all()
            alone[line.id] = line.browse(line.id).parent_id.id
        self.assertEqual(ahead, alone)
        self.assertGreater(len(set(ahead.values()) - {False}), len(moves))

    def test_token_is_written_as_by_odoo(self):
        """The same columns of the invoice and of its items change, and nothing else."""
        plain, ours = self._make_invoices_with_sections(2)
        changed = []
        for move in (plain, ours.with_context(invoice_run_batch=object())):
            before = self._read_rows(move)
            move._portal_ensure_token()
            after = self._read_rows(move)
            changed.append(
                [
                    {name for name in old if old[name] != new[name]}
                    for old, new in zip(before, after, strict=True)
                ]
            )
        self.assertEqual(*changed)
        self.assertIn("access_token", changed[0][0])

    def _read_rows(self, move):
        """The columns of an invoice and of its items, as they are in the database."""
        move.env.flush_all()
        self.env.cr.execute("SELECT * FROM account_move WHERE id = %s", [move.id])
        rows = self.env.cr.dictfetchall()
        self.env.cr.execute(
            "SELECT * FROM account_move_line WHERE move_id = %s ORDER BY id", [move.id]
        )
        return rows + self.env.cr.dictfetchall()

    def _make_invoices_with_sections(self, count):
        names = ("line_section", "product", "line_subsection", "product", "line_note")
        lines = [
            Command.create(
                {"name": f"{kind} {number}", "sequence": number}
                | (
                    {"price_unit": 10.0 * number, "quantity": 1}
                    if kind == "product"
                    else {"display_type": kind}
                )
            )
            for number, kind in enumerate((*names, *names), start=1)
        ]
        moves = self.env["account.move"].create(
            [
                {
                    "move_type": "out_invoice",
                    "partner_id": self.debtor.id,
                    "invoice_date": "2024-01-15",
                    "invoice_line_ids": lines,
                }
                for _number in range(count)
            ]
        )
        moves.action_post()
        return moves
