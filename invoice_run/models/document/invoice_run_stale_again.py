import logging
from functools import partial

from odoo import SUPERUSER_ID, api, models
from odoo.fields import Domain

_logger = logging.getLogger(__name__)

#: Where a transaction keeps what it has changed.
KEY = "invoice_run.changed"


class InvoiceRunLine(models.Model):
    """Amounts that a worker creates while somebody changes what they are calculated from.

    Neither transaction sees the other one: the worker reads the old price, and who changes it finds
    no amount to mark. So who changes it looks again, after the commit.
    """

    _inherit = "invoice.run.line"

    @api.model
    def _mark_created_meanwhile(self, records):
        """Mark, after the commit, what is being created from ``records`` at this moment.

        :param records: what this transaction has changed; their ``_mark_created`` marks
        """
        if not records or not self.env["invoice.run"]._can_commit():
            return
        postcommit = self.env.cr.postcommit
        if KEY not in postcommit.data:
            changed = postcommit.data[KEY] = {}
            postcommit.add(partial(_look_again, self.env.registry, self.env.cr.now(), changed))
        postcommit.data[KEY].setdefault(records._name, set()).update(records.ids)


def _look_again(registry, since, changed):
    """Mark what was created while a transaction changed what it is calculated from.

    :param since: when that transaction began
    :param changed: {model: ids}
    """
    try:
        with registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            env["invoice.run"]._mark_created_since(since, changed)
    except Exception:  # what was changed is committed: nobody is told that it failed
        _logger.exception("Invoice run: amounts of %s could not be marked", changed)


class InvoiceRun(models.Model):
    _inherit = "invoice.run"

    @api.model
    def _mark_created_since(self, since, changed):
        """Mark the amounts of runs that were generating since ``since``; see above."""
        running = Domain("job", "=", "amounts") | Domain("amounts_date", ">=", since)
        runs = self.search(running)
        if not runs:
            return
        # what begins after the change sees it
        until = self.env.cr.now()
        runs._wait_for_turn()
        # to see what workers had in hand
        self._commit_step()
        created = Domain("run_id", "in", runs.ids) & Domain("create_date", "<=", until)
        for model, ids in changed.items():
            self.env[model].browse(ids).exists()._mark_created(created)
