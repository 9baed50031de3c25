from odoo.fields import Datetime
from odoo.tests import HttpCase, tagged

from .common import SOURCE, FromContractCommon


@tagged("post_install", "-at_install")
class TestRpc(FromContractCommon, HttpCase):
    """A take-over by another program, as docs/api.md says."""

    def _call(self, method, user=None, **arguments):
        """Call a method of ``billing.takeover`` with the key of ``user``; return the answer."""
        keys = self.env["res.users.apikeys"].with_user(user or self.mover).sudo()
        key = keys._generate(None, "test", Datetime.add(Datetime.now(), hours=1))
        return self.url_open(
            f"/json/2/billing.takeover/{method}",
            json=arguments,
            headers={"Authorization": f"bearer {key}", "X-Odoo-Database": self.env.cr.dbname},
        )

    def test_look_take_over_and_undo(self):
        contract = self._make_oca()
        line = contract.contract_line_ids
        arguments = {"source": SOURCE, "record_ids": contract.ids}
        arguments["invoiced_until"] = {str(line.id): "2024-03-31"}
        [report] = self._call("get_report", **arguments, count=1).json()
        self.assertEqual(report["id"], contract.id)
        self.assertEqual(report["lines"][0]["next_from"], "2024-04-01")
        self.assertTrue(contract.active)
        [result] = self._call("take_over", **arguments, accept=True).json()
        self.assertFalse(result["error"])
        new = self.env["billing.contract"].browse(result["contract_ids"])
        self.assertEqual(new.line_ids.initial_invoiced_until, self._date("2024-03-31"))
        self.assertFalse(contract.active)
        answer = self._call("action_undo", ids=new.takeover_id.ids)
        self.assertEqual(answer.status_code, 200, answer.text)
        self.env.invalidate_all()
        self.assertTrue(contract.active)
        self.assertFalse(new.exists())

    def test_others_are_refused(self):
        contract = self._make_oca()
        arguments = {"source": SOURCE, "record_ids": contract.ids}
        for method in ("get_report", "take_over"):
            answer = self._call(method, self.user, **arguments)
            self.assertEqual(answer.status_code, 403, answer.text)
            self.assertIn("Only managers", answer.json()["message"])
        self.assertTrue(contract.active)
