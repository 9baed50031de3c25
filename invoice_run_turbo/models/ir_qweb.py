from lxml import etree

from odoo import models

from .account_move_send import TurboBatch


class IrQweb(models.AbstractModel):
    """Mails of a run: the text of their template is compiled once."""

    _inherit = "ir.qweb"

    def _generate_code_uncached(self, template):
        # EXTENDS 'base': core compiles the text of a mail template anew for each mail
        batch = self.env.context.get("invoice_run_batch")
        if not isinstance(batch, TurboBatch) or not isinstance(template, etree._Element):
            return super()._generate_code_uncached(template)
        # by what a stored template is cached by
        names = self._get_template_cache_keys()
        key = (etree.tostring(template), *(self.env.context.get(name) for name in names))
        if key not in batch.compiled:
            batch.compiled[key] = super()._generate_code_uncached(template)
        return batch.compiled[key]
