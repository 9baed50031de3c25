"""What ordinary work in Accounting and Sales asks the database, statement by statement.

None of it has to do with a run, so our addons should add nothing to its cost.
Each operation begins with an empty cache, as a request does, and nothing is committed.
"""

import json
import re
from collections import Counter

from odoo.fields import Command

USER_GROUPS = (
    "account.group_account_manager",
    "sales_team.group_sale_manager",
    "base.group_partner_manager",
    "product.group_product_manager",
)
DATE = "2026-01-15"
#: Each operation is done so many times; the first time is not counted, it reads what all share.
TIMES = 3
NUMBERS = re.compile(r"\d+|'[^']*'")


def main(env) -> None:
    """The last line of the output is {operation: {"count": of each, "statements": …}}."""
    env = _make_user(env)
    work = Work(env)
    result = {}
    for number in range(TIMES):
        for name in OPERATIONS:
            statements = work.measure(getattr(work, name))
            if number:
                result.setdefault(name, Counter()).update(statements)
    env.cr.rollback()
    print(json.dumps({name: _show(found) for name, found in result.items()}), flush=True)


def _show(statements) -> dict:
    return {"count": statements.total() / (TIMES - 1), "statements": dict(statements)}


def _make_user(env):
    groups = [env.ref(name).id for name in USER_GROUPS]
    vals = {"name": "Accountant", "login": "queries", "email": "queries@example.com"}
    user = env["res.users"].create({**vals, "group_ids": [Command.link(id_) for id_ in groups]})
    return env(user=user, su=False)


class Work:
    """One method for each operation, in the order of ``OPERATIONS``: each builds on the last."""

    def __init__(self, env):
        self.env = env
        self.product = env["product.product"].create(
            {
                "name": "Chair",
                "type": "service",
                "list_price": 100.0,
                "invoice_policy": "order",
            }
        )
        self.number = 0

    def measure(self, operation) -> Counter:
        """Return the statements of ``operation``, with their numbers and texts left out."""
        self.env.flush_all()
        self.env.invalidate_all()
        cursor, found = self.env.cr, Counter()
        execute = cursor.execute

        def count(query, params=None, log_exceptions=True):
            code = getattr(query, "code", query)
            found[NUMBERS.sub("?", str(code))] += 1
            return execute(query, params, log_exceptions)

        cursor.execute = count
        try:
            operation()
            # as at the end of a request: what is written and noted then counts
            cursor.flush()
        finally:
            del cursor.execute
        return found

    # ------------------------------------------------------------------

    def create_partner(self):
        self.number += 1
        vals = {"name": f"Customer {self.number}", "email": "customer@example.com"}
        self.partner = self.env["res.partner"].create(vals)

    def rename_partner(self):
        self.partner.write({"name": f"Renamed {self.number}", "zip": f"{self.number}"})

    def change_price(self):
        self.product.write({"list_price": 100.0 + self.number})

    def create_invoice(self):
        lines = [
            Command.create({"product_id": self.product.id, "quantity": number + 1})
            for number in range(3)
        ]
        self.invoice = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.partner.id,
                "invoice_date": DATE,
                "invoice_line_ids": lines,
            }
        )

    def change_invoice(self):
        line = self.invoice.invoice_line_ids[0]
        self.invoice.write({"invoice_line_ids": [Command.update(line.id, {"quantity": 7})]})

    def remove_invoice_line(self):
        line = self.invoice.invoice_line_ids[-1]
        self.invoice.write({"invoice_line_ids": [Command.delete(line.id)]})

    def post_invoice(self):
        self.invoice.action_post()

    def reset_invoice(self):
        self.invoice.button_draft()

    def cancel_invoice(self):
        self.invoice.button_cancel()

    def post_again(self):
        self.invoice.button_draft()
        self.invoice.action_post()

    def email_invoice(self):
        wizard = self.env["account.move.send.wizard"].with_context(
            active_model="account.move", active_ids=self.invoice.ids
        )
        wizard.create({"sending_methods": ["email"]}).action_send_and_print()

    def pay_invoice(self):
        self.env["account.payment.register"].with_context(
            active_model="account.move", active_ids=self.invoice.ids
        ).create({"payment_date": DATE}).action_create_payments()

    def reverse_invoice(self):
        wizard = self.env["account.move.reversal"].with_context(
            active_model="account.move", active_ids=self.invoice.ids
        )
        wizard.create({"journal_id": self.invoice.journal_id.id}).refund_moves()

    def post_refund(self):
        self.invoice.reversal_move_ids.action_post()

    def delete_invoice(self):
        self.invoice.copy().unlink()

    def create_order(self):
        lines = [Command.create({"product_id": self.product.id}) for _number in range(3)]
        self.order = self.env["sale.order"].create(
            {"partner_id": self.partner.id, "order_line": lines}
        )

    def change_order(self):
        line = self.order.order_line[0]
        lines = [
            Command.update(line.id, {"product_uom_qty": 5}),
            Command.create({"product_id": self.product.id}),
        ]
        self.order.write({"order_line": lines})

    def confirm_order(self):
        self.order.action_confirm()

    def invoice_order(self):
        self.invoice = self.order._create_invoices()

    def post_order_invoice(self):
        self.invoice.action_post()


OPERATIONS = [
    name for name, value in vars(Work).items() if callable(value) and not name.startswith("_")
]
OPERATIONS.remove("measure")
