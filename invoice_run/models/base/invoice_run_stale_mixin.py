from odoo import api, models
from odoo.fields import Domain

from .values import is_other_value


class InvoiceRunStaleMixin(models.AbstractModel):
    """Marks amounts as changed when a field changes that they depend on."""

    _name = "invoice.run.stale.mixin"
    _description = "Record That Amounts Are Calculated From"

    #: Whether creating or changing such a record is preparing runs, see ``billing.change``.
    _prepares_runs = False
    #: Whether amounts look such records up: then a new one concerns them, one that is deleted, and
    #: a changed one also as it was before, when it may have concerned other amounts.
    _is_looked_up = False

    @api.model
    def _get_stale_fields(self):
        """Return the names of the fields that amounts and their documents are calculated from."""
        raise NotImplementedError

    def _get_stale_domain(self):
        """Return the amounts that are calculated from these records."""
        raise NotImplementedError

    def _filtered_in_amounts(self):
        """Return those of these records that amounts may be calculated from, as they are now.

        Only what is known without a query: by default, all of them.
        """
        return self

    @api.model_create_multi
    def create(self, vals_list):
        records = super().create(vals_list)
        if self._prepares_runs:
            self.env["billing.change"]._note(records)
        records._mark_looked_up()
        return records

    def write(self, vals):
        names = self._get_stale_fields().intersection(vals)
        if not names:
            return super().write(vals)
        # the value of one company concerns the amounts of that company only
        own = {name for name in names if self._fields[name].company_dependent}
        changed = self._get_changed(vals, names - own)
        changed_own = self._get_changed(vals, own) - changed
        noted = changed | changed_own
        noted._mark_looked_up()
        # before: what is written may take a record out of the runs
        changed, changed_own = changed._filtered_in_amounts(), changed_own._filtered_in_amounts()
        result = super().write(vals)
        if noted:
            noted._follow_change(vals)
        if self._prepares_runs:
            self.env["billing.change"]._note(noted)
        Line = self.env["invoice.run.line"]
        if changed:
            Line._mark_stale(changed._get_stale_domain())
        if changed_own:
            company = Domain("company_id", "=", self.env.company.id)
            Line._mark_stale(company & Domain(changed_own._get_stale_domain()))
        return result

    def _follow_change(self, vals):
        """Do what else follows when ``vals`` have changed one of the stale fields of these."""

    @api.ondelete(at_uninstall=False)
    def _unlink_mark_looked_up(self):
        self._mark_looked_up()

    def _mark_looked_up(self):
        """Mark the amounts that have looked these records up, or would now."""
        if self and self._is_looked_up:
            self.env["invoice.run.line"]._mark_stale(self._get_stale_domain())

    def _get_changed(self, vals, names):
        """Return the records in which ``vals`` gives one of the fields ``names`` another value.

        An import writes all columns, changed or not.
        """
        names = names.intersection(vals)
        return self.filtered(lambda record: any(record._is_changed(name, vals) for name in names))

    def _is_changed(self, name, vals):
        return is_other_value(self, name, vals[name])
