from odoo import fields, models

from ...engine import usage_annex
from ..base.groups import ACCOUNTANTS


class BillingScenario(models.Model):
    """Whether customers get the usage items behind their invoices."""

    _inherit = "billing.scenario"

    usage_annex = fields.Selection(
        [("none", "Not sent"), ("csv", "CSV file"), ("xlsx", "Excel file")],
        "Usage as a File",
        required=True,
        default="none",
        help="The usage items of an invoice as a file: attached to the invoice and to its email.",
    )
    has_usage_page = fields.Boolean(
        "Usage on the PDF", help="Lists the usage items on a page after the invoice."
    )


class ResPartner(models.Model):
    """What a customer wants of the usage behind its invoices, whatever the scenario says."""

    _inherit = "res.partner"

    billing_usage_annex = fields.Selection(
        [("none", "Not sent"), ("csv", "CSV file"), ("xlsx", "Excel file")],
        "Usage as a File",
        company_dependent=True,
        groups=ACCOUNTANTS,
        help="The usage items of an invoice as a file: attached to the invoice and to its email, "
        "and part of its electronic invoice. Empty: as the scenario says.",
    )
    billing_usage_page = fields.Selection(
        [("yes", "Listed"), ("no", "Not listed")],
        "Usage on the PDF",
        company_dependent=True,
        groups=ACCOUNTANTS,
        help="Lists the usage items on a page after the invoice. Empty: as the scenario says.",
    )


class InvoiceRunDocument(models.Model):
    """The usage items of an invoice, for its customer: always those of this invoice."""

    _inherit = "invoice.run.document"

    usage_annex_id = fields.Many2one(
        "ir.attachment", "Usage as a File", readonly=True, copy=False, ondelete="set null"
    )

    def _get_usage_annex_kind(self):
        """Return which file the customer gets: ``none``, ``csv`` or ``xlsx``."""
        payer = self.payer_id.with_company(self.company_id)
        return payer.billing_usage_annex or self.run_id.scenario_id.usage_annex

    def _wants_usage_page(self):
        """Return whether the PDF lists the usage items: the customer decides, else the scenario."""
        wanted = self.payer_id.with_company(self.company_id).billing_usage_page
        return wanted == "yes" if wanted else self.run_id.scenario_id.has_usage_page

    def _get_usage_items(self):
        """Return the usage items behind this document, in order of their dates."""
        self.ensure_one()
        items = self.line_ids.usage_id | self.line_ids.usage_claim_ids.usage_id
        return items.sorted(lambda item: (item.date, item.id))

    def _get_usage_page(self):
        """Return header and rows of the usage items for the PDF; nothing where none is wanted.

        Of the invoice that they are on: a credit note of it has no page.
        """
        if not self._wants_usage_page() or not self._get_usage_items():
            return None
        return {"header": self._get_usage_header(), "rows": self._get_usage_rows()}

    def _get_usage_header(self):
        """Return the titles of the columns, in the language of the customer."""
        env = self.with_context(lang=self.partner_id.lang or self.env.lang).env
        return [
            env._("Date"),
            env._("Reference"),
            env._("Description"),
            env._("Key"),
            env._("Quantity"),
            env._("Unit"),
        ]

    def _get_usage_rows(self):
        """Return a row for each usage item, see :meth:`_get_usage_header`."""
        items = self._get_usage_items().with_context(lang=self.partner_id.lang or self.env.lang)
        return [
            [
                item.date,
                item.external_ref or "",
                item.name or item.product_id.display_name,
                item.usage_key or "",
                item.quantity,
                item.product_uom_id.name or "",
            ]
            for item in items
        ]

    def _attach_usage_annex(self):
        """Attach the usage items to the new invoices of these documents, where that is wanted."""
        for document in self.filtered("move_id"):
            kind = document._get_usage_annex_kind()
            if kind != "none" and document._get_usage_items():
                document.usage_annex_id = document._create_usage_annex(kind)

    def _create_usage_annex(self, kind):
        env = self.with_context(lang=self.partner_id.lang or self.env.lang).env
        header, rows = self._get_usage_header(), self._get_usage_rows()
        number = (self.move_id.name or self.title or "").replace("/", "-")
        return self.env["ir.attachment"].create(
            {
                "name": f"{env._('Usage')} {number}".strip(" -") + f".{kind}",
                "raw": usage_annex.render(kind, header, rows),
                "mimetype": usage_annex.MIMETYPES[kind],
                "res_model": "account.move",
                "res_id": self.move_id.id,
            }
        )
