from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.tests import tagged

from ..models import account_move


@tagged("post_install", "-at_install")
class TestNumbers(InvoiceRunCommon):
    """Numbers that others gave meanwhile are looked up, not tried one by one."""

    def test_numbers_of_other_workers_are_passed_at_once(self):
        for _number in range(5):
            self._make_contract(date_start="2024-02-01")
        run = self._make_amounts(self._make_run("2024-02-15"))
        self._make_invoices(run)
        move = run.document_ids[0].move_id
        text, values = move._get_next_sequence_format()
        self.assertEqual(values["seq"], 5)
        for size in (2, 5, 500):
            self.patch(account_move, "NUMBERS_PER_QUERY", size)
            for seen in range(6):
                last = move._get_last_number(self.env.cr, text, {**values, "seq": seen})
                self.assertEqual(last, 5)
        run.document_ids[3].move_id.name = "INV/2024/99999"
        last = move._get_last_number(self.env.cr, text, {**values, "seq": 0})
        self.assertEqual(last, 3, "up to the first that is free, as Odoo does")
