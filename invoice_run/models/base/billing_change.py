from odoo import api, fields, models
from odoo.tools import SQL

#: Key of what a cursor keeps until it is flushed: {(user id, model, record id): date}.
NOTED = "invoice_run.billing_change"


class BillingChange(models.Model):
    """When a person last changed something that is invoiced, or how: for four eyes.

    One row per person and record. ``write_uid`` knows only the last person: a change by another
    would cover the trace of the first.
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
    def _search(self, *args, **kwargs):
        self._write_noted()
        return super()._search(*args, **kwargs)

    @api.model
    def _note(self, records):
        """Note that the present user changed ``records``; the engine and the system do not count.

        Written at the end of the transaction, or of a savepoint, as tracked values are: one
        statement however often people save. Before SQL reads the table, call :meth:`_write_noted`.
        """
        ids = records._origin.ids
        if self.env.su or not ids:
            return
        precommit = self.env.cr.precommit
        if NOTED not in precommit.data:
            precommit.add(self._write_noted)
        keys = ((self.env.uid, records._name, id_) for id_ in ids)
        precommit.data.setdefault(NOTED, {}).update(dict.fromkeys(keys, fields.Datetime.now()))

    @api.model
    def _write_noted(self):
        """Write what this transaction noted and has not written yet, in one statement."""
        noted = sorted(self.env.cr.precommit.data.pop(NOTED, {}).items())
        if not noted:
            return
        users, models_, ids = zip(*(key for key, _date in noted), strict=True)
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO billing_change (user_id, model, res_id, date)
                SELECT noted.*
                  FROM unnest(%(users)s, %(models)s::varchar[], %(ids)s, %(dates)s::timestamp[])
                    AS noted (user_id, model, res_id, date)
                  JOIN res_users person ON person.id = noted.user_id
                    ON CONFLICT (user_id, model, res_id) DO UPDATE SET date = EXCLUDED.date
                """,
                users=list(users),
                models=list(models_),
                ids=list(ids),
                dates=[date for _key, date in noted],
            )
        )
