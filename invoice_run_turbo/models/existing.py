from odoo import api, models


class InvoiceRunTurboExisting(models.AbstractModel):
    """Records of which sending asks for each invoice whether they exist, as ``env.ref`` does.

    Reports, templates, layouts and country groups: while a batch is sent it is asked once.
    """

    _name = "invoice.run.turbo.existing"
    _description = "Asked Once Whether It Exists"

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


class IrActionsReport(models.Model):
    _name = "ir.actions.report"
    _inherit = ["ir.actions.report", "invoice.run.turbo.existing"]


class IrUiView(models.Model):
    _name = "ir.ui.view"
    _inherit = ["ir.ui.view", "invoice.run.turbo.existing"]


class MailTemplate(models.Model):
    _name = "mail.template"
    _inherit = ["mail.template", "invoice.run.turbo.existing"]


class ResCountryGroup(models.Model):
    _name = "res.country.group"
    _inherit = ["res.country.group", "invoice.run.turbo.existing"]


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
