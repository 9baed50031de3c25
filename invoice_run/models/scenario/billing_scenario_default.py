from odoo import api, models
from odoo.fields import Command

from ..base.invoice_run_guarded import ENGINE

TEXTS = ("name", "description")


def translate_unchanged(records, english, translated):
    """Write the texts of ``records``, in their language, where they are still the English ones.

    :param english: {field: text} that the records were created with
    :param translated: the same in the language of the records
    """
    for record in records:
        source = record.with_context(lang="en_US")
        vals = {
            name: translated[name]
            for name in TEXTS
            if name in english and source[name] == record[name] == english[name] != translated[name]
        }
        record.write(vals)


class BillingScenario(models.Model):
    """The scenarios that every company begins with; people change and delete them freely."""

    _inherit = "billing.scenario"

    @api.model
    def _get_default_scenarios(self):
        """Return {key: values} of the scenarios that each company gets. An addon adds its own.

        A key is an external id, to which the id of the company is added. Texts are in the
        language of the environment.
        """
        return {
            **self._get_default_contract_scenarios(),
            **self._get_default_usage_scenarios(),
            **self._get_default_sale_scenarios(),
        }

    def _get_default_contract_scenarios(self):
        return {
            "invoice_run.scenario_contracts_due": {
                "name": self.env._("All contracts due"),
                "description": self.env._(
                    "What each contract has due up to the target date, as it is set on the "
                    "contract, with the usage that belongs to it."
                ),
            },
            "invoice_run.scenario_contracts_checked_in": {
                "name": self.env._("Checked-in contracts"),
                "description": self.env._(
                    "Like “All contracts due”, but only if the customer has checked in and not "
                    "yet checked out."
                ),
                "only_checked_in": True,
            },
            "invoice_run.scenario_contracts_until_date": {
                "name": self.env._("Contracts until a date, month by month"),
                "description": self.env._(
                    "Every open day of the contracts up to the target date, with one invoice "
                    "for each billing period."
                ),
                "billing_mode": "date",
                "split_periods": True,
            },
        }

    def _get_default_usage_scenarios(self):
        return {
            "invoice_run.scenario_usage_previous_month": {
                "name": self.env._("Usage of the previous month, collective"),
                "description": self.env._(
                    "Usage and one-off items up to the end of the previous month, including "
                    "earlier ones that are still open; one invoice per customer."
                ),
                "source": "usage",
                "enforce_collective": True,
                "rule_ids": [
                    Command.create(
                        {
                            "name": self.env._("Used until"),
                            "field_path": "date",
                            "operator": "<=",
                            "value": "previous_month_end",
                            "is_asked": True,
                        }
                    )
                ],
            },
        }

    def _get_default_sale_scenarios(self):
        return {
            "invoice_run.scenario_sale_to_invoice": {
                "name": self.env._("Sales orders to invoice"),
                "description": self.env._(
                    "Confirmed orders up to the target date that have something to invoice, by "
                    "the invoicing policy of their products; down payments are deducted."
                ),
                "source": "sale",
            },
        }

    @api.model
    def _create_default_scenarios(self, companies, prefix="invoice_run.", is_new=False):
        """Give ``companies`` the default scenarios whose key begins with ``prefix``.

        Those that are known by their external id already are left as they are.

        :param is_new: the companies are, so they have none of them yet
        """
        wanted = self._get_default_rows(companies, prefix)
        if not is_new:
            self._drop_known(wanted)
        scenarios = self._load_default_scenarios(wanted)
        for code, _name in self.env["res.lang"].get_installed():
            if scenarios and code != "en_US":
                self.with_context(lang=code)._translate_default_scenarios(scenarios)

    @api.model
    def _get_default_rows(self, companies, prefix):
        """Return {external id: (key, values)} of the default scenarios of ``companies``."""
        defaults = self.with_context(lang="en_US")._get_default_scenarios()
        return {
            f"{key}_{company.id}": (key, {**vals, "company_id": company.id})
            for company in companies
            for key, vals in defaults.items()
            if key.startswith(prefix)
        }

    @api.model
    def _drop_known(self, wanted):
        """Take out of ``wanted`` what exists."""
        found = self.env["ir.model.data"]._lookup_xmlids(list(wanted), self)
        for _id, addon, name, *_data, record_id in found:
            if record_id:
                del wanted[f"{addon}.{name}"]

    @api.model
    def _load_default_scenarios(self, wanted):
        """Create what is ``wanted``; return {key: scenarios} of that.

        In as few statements for several companies as for one. What they select is not tried here:
        our tests try all of them, and a run tries its own.

        :param wanted: see :meth:`_get_default_rows`
        """
        engine = self.with_context(lang="en_US", invoice_run_defaults=ENGINE)
        created = self.browse(engine.create([vals for _key, vals in wanted.values()]).ids)
        result, names = {}, []
        for (xml_id, (key, _vals)), scenario in zip(wanted.items(), created, strict=True):
            result[key] = result.get(key, self) | scenario
            names.append({"xml_id": xml_id, "record": scenario, "noupdate": True})
        # sudo: external ids are the system's
        self.env["ir.model.data"].sudo()._update_xmlids(names)
        return result

    @api.model
    def _translate_default_scenarios(self, scenarios):
        """Write the texts of ``scenarios`` in the language of the environment.

        A text that somebody wrote instead of the English one, or translated, stays.

        :param scenarios: {key: scenario, or scenarios of several companies}
        """
        english = self.with_context(lang="en_US")._get_default_scenarios()
        defaults = self._get_default_scenarios()
        for key, scenario in scenarios.items():
            translated = scenario.with_context(lang=self.env.lang)
            translate_unchanged(translated, english[key], defaults[key])
            rules = zip(
                english[key].get("rule_ids", []), defaults[key].get("rule_ids", []), strict=True
            )
            for (*_command, english_vals), (*_command, vals) in rules:
                translate_unchanged(translated.rule_ids, english_vals, vals)

    @api.model
    def _translate_all_default_scenarios(self, langs):
        """Translate what all companies have of the default scenarios into ``langs``."""
        for (company,) in self.with_context(active_test=False)._read_group([], ["company_id"]):
            scenarios = self._find_default_scenarios(company)
            for lang in langs:
                self.with_context(lang=lang)._translate_default_scenarios(scenarios)

    @api.model
    def _find_default_scenarios(self, company):
        """Return {key: scenario} of what ``company`` still has."""
        found = {
            key: self.env.ref(f"{key}_{company.id}", raise_if_not_found=False)
            for key in self._get_default_scenarios()
        }
        return {key: scenario for key, scenario in found.items() if scenario}
