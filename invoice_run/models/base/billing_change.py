from odoo import api, fields, models
from odoo.tools import SQL


class BillingChange(models.Model):
    """When a person last changed something that is invoiced, or how: for four eyes.

    One row a person and record. ``write_uid`` knows the last person only, so the trace of one
    would be gone with the next change of another.
    """

    _name = "billing.change"
    _description = "Change of Invoicing Data"
    _log_access = False

    model = fields.Char(required=True)
    res_id = fields.Integer("Record", required=True)
    user_id = fields.Many2one("res.users", required=True, ondelete="cascade")
    date = fields.Datetime(required=True)

    _one_a_person = models.UniqueIndex("(user_id, model, res_id)")

    @api.model
    def _note(self, records):
        """Note that the present user changed ``records``; the engine and the system are nobody."""
        ids = records._origin.ids
        if self.env.su or not ids:
            return
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO billing_change (user_id, model, res_id, date)
                SELECT %(user)s, %(model)s, id, %(now)s FROM unnest(%(ids)s) AS id
                    ON CONFLICT (user_id, model, res_id) DO UPDATE SET date = EXCLUDED.date
                """,
                user=self.env.uid,
                model=records._name,
                now=fields.Datetime.now(),
                ids=sorted(set(ids)),
            )
        )
