from odoo import api, models


class AskedOnce:
    """Records whose existence sending asks for with each invoice, as ``env.ref`` does.

    Reports, templates, layouts and country groups: while a batch is sent it is asked once.
    """

    __slots__ = ()  # as models have

    def exists(self):
        # EXTENDS 'base'
        batch = self.env["account.move.send"]._get_turbo_batch()
        if batch is None:
            return super().exists()
        key = self._name, self._ids
        if key not in batch.existing:
            found = super().exists()
            if found != self:
                return found
            batch.existing.add(key)
        return self


class IrActionsReport(AskedOnce, models.Model):
    _inherit = "ir.actions.report"


class IrUiView(AskedOnce, models.Model):
    _inherit = "ir.ui.view"


class MailTemplate(AskedOnce, models.Model):
    _inherit = "mail.template"


class ResCountryGroup(AskedOnce, models.Model):
    _inherit = "res.country.group"


class UomUom(models.Model):
    _inherit = "uom.uom"

    def _get_external_ids(self):
        # EXTENDS 'base': e-invoices ask for the code of the unit for each line, twice
        batch = self.env["account.move.send"]._get_turbo_batch()
        if batch is None:
            return super()._get_external_ids()
        if self._ids not in batch.units:
            batch.units[self._ids] = super()._get_external_ids()
        return batch.units[self._ids]


class MailAliasDomain(models.Model):
    _inherit = "mail.alias.domain"

    @api.model
    def _find_aliases(self, email_list):
        # EXTENDS 'mail': of the addresses of all customers at once
        batch = self.env["account.move.send"]._get_turbo_batch()
        if batch is None:
            return super()._find_aliases(email_list)
        if not batch.known.issuperset(email_list):
            asked = batch.addresses.union(email_list) - batch.known
            batch.known |= asked
            batch.aliases.update(super()._find_aliases(list(asked)))
        return [email for email in email_list if email in batch.aliases]
