from odoo import models
from odoo.tools import SQL

from ..base.states import DOCUMENT_OPEN

#: Records that a message names at most.
NAMED = 3


class InvoiceRun(models.Model):
    """Four eyes: a user who prepared anything of a run does not approve it.

    To prepare is to create or change what the run invoices or how: contracts, usage and orders, the
    schedule, its scenario, the run's dates and selection, its amounts, what is left out, the
    flags. See ``billing.change``. What somebody else has approved since no longer counts.
    """

    _inherit = "invoice.run"

    def _note_prepared(self):
        """Note that the present user prepares these runs."""
        self.env["billing.change"]._note(self)

    def _get_prepared_by(self, user):
        """Return in words what ``user`` prepared of this run; empty: nothing."""
        self.ensure_one()
        if self._has_changed(user, self) or user in self.submitted_by_id | self.amounts_by_id:
            return self.env._("this run")
        for record in (self.schedule_id, self.scenario_id):
            if self._has_changed(user, record) and not self._is_settled_since(user, record):
                return record.display_name
        return self._get_names_of_prepared(user)

    def _has_changed(self, user, record):
        return bool(self._get_change(user, record))

    def _get_change(self, user, record):
        # sudo: nobody reads this table but the engine
        changes = self.env["billing.change"].sudo()
        return changes.search(
            [
                ("user_id", "=", user.id),
                ("model", "=", record._name),
                ("res_id", "=", record.id),
            ]
        )

    def _is_settled_since(self, user, record):
        """Whether somebody else has approved another run of this schedule or scenario since."""
        names = {"invoice.run.schedule": "schedule_id", "billing.scenario": "scenario_id"}
        # sudo: of runs that this user may not see, only whether there is one
        return bool(
            self.sudo().search_count(
                [
                    (names[record._name], "=", record.id),
                    ("id", "!=", self.id),
                    ("approved_date", ">", self._get_change(user, record).date),
                    ("approved_by_id", "!=", user.id),
                ],
                limit=1,
            )
        )

    def _get_names_of_prepared(self, user):
        """Return a few names of what this run invoices and ``user`` created or changed."""
        names = []
        fields = self.env["invoice.run.line"]._fields
        # of an amount, to the records behind it, which people create and change
        for field_name in [*self.env["invoice.run.source"]._get_link_fields(), "tariff_id"]:
            model = fields[field_name].comodel_name
            ids = self._get_prepared_ids(user, field_name, model)
            # sudo: names of what is in a run that this user may read
            names += self.env[model].sudo().browse(ids).mapped("display_name")
            if len(names) >= NAMED:
                break
        names = names or self._get_prepared_usage(user).mapped("display_name")
        return ", ".join(names[:NAMED])

    def _get_prepared_usage(self, user):
        """Return items behind the amounts of metered lines that ``user`` created or changed."""
        self.env.flush_all()
        self.env["billing.change"]._write_noted()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT claim.usage_id
                  FROM invoice_run_line line
                  JOIN invoice_run_document document ON document.id = line.document_id
                  JOIN invoice_run_usage claim ON claim.line_id = line.id AND claim.is_claimed
                  JOIN billing_change change ON change.user_id = %s
                   AND change.model = 'billing.usage' AND change.res_id = claim.usage_id
                 WHERE line.run_id = %s AND line.is_metered AND document.state = ANY(%s)
                 LIMIT %s
                """,
                user.id,
                self.id,
                list(DOCUMENT_OPEN),
                NAMED,
            )
        )
        # sudo: names of what is in a run that this user may read
        return self.env["billing.usage"].sudo().browse([row[0] for row in rows])

    def _get_prepared_ids(self, user, field_name, model):
        """Return ids of ``model`` that are invoiced here, changed by ``user``, not approved since.

        :param field_name: the link of an amount to ``model``
        """
        self.env["invoice.run.line"].flush_model(["run_id", "document_id", field_name])
        self.env["invoice.run.document"].flush_model(["state", "approved_fingerprint"])
        self.env["invoice.run"].flush_model(["approved_date", "approved_by_id"])
        self.env["billing.change"]._write_noted()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT DISTINCT line.%(link)s
                  FROM invoice_run_line line
                  JOIN invoice_run_document document ON document.id = line.document_id
                  JOIN billing_change change ON change.user_id = %(user)s
                   AND change.model = %(model)s AND change.res_id = line.%(link)s
                 WHERE line.run_id = %(run)s AND document.state = ANY(%(open)s)
                   AND NOT EXISTS (
                       SELECT 1 FROM invoice_run_line earlier
                         JOIN invoice_run_document approved ON approved.id = earlier.document_id
                         JOIN invoice_run run ON run.id = earlier.run_id
                        WHERE earlier.%(link)s = line.%(link)s AND run.id <> %(run)s
                          AND approved.approved_fingerprint IS NOT NULL
                          AND run.approved_date > change.date
                          AND run.approved_by_id <> %(user)s)
                 LIMIT %(limit)s
                """,
                link=SQL.identifier(field_name),
                user=user.id,
                model=model,
                run=self.id,
                open=list(DOCUMENT_OPEN),
                limit=NAMED,
            )
        )
        return [row[0] for row in rows]
