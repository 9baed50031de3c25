from odoo import api, models


class IrModuleModule(models.Model):
    _inherit = "ir.module.module"

    @api.model
    def _load_module_terms(self, modules, langs, overwrite=False):
        # EXTENDS 'base': each company has its own default scenarios, which no file names
        result = super()._load_module_terms(modules, langs, overwrite=overwrite)
        # sudo: whoever adds a language need not configure the invoicing of all companies
        scenarios = self.env["billing.scenario"].sudo()
        addons = {key.split(".")[0] for key in scenarios._get_default_scenarios()}
        if addons.intersection(modules):
            scenarios._translate_all_default_scenarios(langs)
        return result
