import psycopg2
from markupsafe import Markup

from odoo import api, fields, models
from odoo.addons.invoice_run.models.base.invoice_run_guarded import EngineValue
from odoo.exceptions import AccessError, UserError

MANAGER = "invoice_run.invoice_run_group_manager"


class BillingTakeover(models.Model):
    """A contract of another module that was taken over, and how to undo that."""

    _name = "billing.takeover"
    _description = "Take-Over of a Contract"
    _inherit = ["invoice.run.guarded"]
    _order = "id desc"
    _is_engine_model = True

    name = fields.Char("Taken over From", required=True, readonly=True)
    source = fields.Char(required=True, readonly=True)
    res_model = fields.Char("Model", required=True, readonly=True)
    res_id = fields.Many2oneReference("Record", model_field="res_model", required=True)
    company_id = fields.Many2one("res.company", required=True, index=True, readonly=True)
    partner_id = fields.Many2one("res.partner", "Customer", readonly=True)
    contract_ids = fields.One2many("billing.contract", "takeover_id", "Contracts", readonly=True)
    report = fields.Text(readonly=True, help="What was found before the take-over.")
    restart_values = fields.Json(readonly=True)
    is_undone = fields.Boolean("Undone", readonly=True)

    _taken_once = models.UniqueIndex(
        "(res_model, res_id) WHERE is_undone IS NOT TRUE",
        "This contract was taken over already.",
    )

    # ------------------------------------------------------------------
    # RPC
    # ------------------------------------------------------------------

    @api.model
    def get_report(self, source, record_ids, invoiced_until=None, count=3):
        """Return what would become of contracts of another module; nothing is written.

        :param source: name of its ``billing.takeover.source`` model
        :param record_ids: ids of its contracts; not ``ids``, which JSON-2 keeps for records
        :param invoiced_until: {id of a line: last invoiced day}, where it is not as found
        :param count: how many of the next invoices are compared, at most 60
        :return: a dict for each: ``id``, ``name``, ``verdict`` (``ready``, ``accept``, ``stop``),
            ``findings``, ``lines`` and ``invoices``
        """
        source = self._get_source(source)
        days = self._read_days(invoiced_until)
        count = min(max(1, count), 60)
        records = source._get_records(record_ids)
        return [self._get_record_report(source, record, days, count) for record in records]

    @api.model
    def take_over(self, source, record_ids, invoiced_until=None, accept=False):
        """Take contracts over; one that cannot be taken over never stops the others.

        :param source: see :meth:`get_report`
        :param record_ids: see :meth:`get_report`
        :param invoiced_until: see :meth:`get_report`
        :param accept: accept what the report asks to accept
        :return: a dict for each: ``id``, ``contract_ids``, ``error`` (empty where it worked)
        """
        source = self._get_source(source)
        days = self._read_days(invoiced_until)
        return [
            self._take_over_record(source, record, days, bool(accept))
            for record in source._get_records(record_ids)
        ]

    def action_undo(self):
        """Delete the contracts again, and let the other module invoice as before.

        :raises UserError: amounts were generated for them already
        """
        self._check_manager()
        for takeover in self.filtered(lambda takeover: not takeover.is_undone):
            takeover._undo()

    def action_open_original(self):
        """Open the contract in the other module."""
        self.ensure_one()
        self.check_access("read")
        return {
            "type": "ir.actions.act_window",
            "res_model": self.res_model,
            "res_id": self.res_id,
            "views": [(False, "form")],
            "context": {"active_test": False},
        }

    def action_view_contracts(self):
        """Open the contracts that continue it."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_action"
        )
        action["domain"] = [("takeover_id", "in", self.ids)]
        return action

    # ------------------------------------------------------------------
    # How
    # ------------------------------------------------------------------

    @api.model
    def _check_manager(self):
        if not self.env.su and not self.env.user.has_group(MANAGER):
            raise AccessError(
                self.env._("Only managers of invoice runs take contracts over, or undo that.")
            )

    @api.model
    def _get_source(self, name):
        self._check_manager()
        sources = self.env["billing.takeover.source"]._get_takeover_sources()
        if name not in sources:
            raise UserError(
                self.env._(
                    "“%(name)s” is not a module that contracts are taken over from. Available: "
                    "%(sources)s.",
                    name=name,
                    sources=", ".join(sources) or self.env._("none"),
                )
            )
        return sources[name]

    @api.model
    def _read_days(self, days):
        """Return {id of a line: day}; over RPC keys are text."""
        return {int(key): fields.Date.to_date(day) for key, day in (days or {}).items()}

    @api.model
    def _find(self, record):
        return self.search(
            [
                ("res_model", "=", record._name),
                ("res_id", "=", record.id),
                ("is_undone", "=", False),
            ],
            limit=1,
        )

    @api.model
    def _get_record_report(self, source, record, days, count):
        plan, pairs = source._get_plan(record, days, count)
        return {
            "id": record.id,
            "name": source._get_record_name(record),
            "partner_id": record.partner_id.id,
            "verdict": plan.verdict,
            "findings": [finding._asdict() for finding in plan.findings],
            "lines": [
                {
                    "id": line.key,
                    "name": line.name,
                    "invoiced_until": line.invoiced_until or False,
                    "next_from": line.spans[0].date_from if line.spans else False,
                }
                for line in plan.lines
            ],
            "invoices": [
                {
                    "theirs": theirs._asdict() if theirs else False,
                    "ours": ours._asdict() if ours else False,
                }
                for theirs, ours in pairs
            ],
        }

    @api.model
    def _take_over_record(self, source, record, days, accept):
        result = {"id": record.id, "contract_ids": [], "error": ""}
        try:
            with self.env.cr.savepoint():
                takeover = source._take_over(record, days, accept)
                result["contract_ids"] = takeover.contract_ids.ids
        except (UserError, psycopg2.IntegrityError) as error:
            self.env.invalidate_all(flush=False)
            result["error"] = str(error).strip()
        return result

    @api.model
    def _create_takeover(self, source, plan):
        """Create the contracts of ``plan``, active, with all that belongs to them."""
        record = plan.record
        # sudo: the engine alone writes this model; managers come here
        takeover = self.sudo().create(
            {
                "name": source._get_record_name(record),
                "source": source._name,
                "res_model": record._name,
                "res_id": record.id,
                "company_id": record.company_id.id,
                "partner_id": record.partner_id.id,
                "report": "\n".join(finding.text for finding in plan.findings),
                "restart_values": source._stop_record(record),
            }
        )
        vals_list = source._prepare_contract_vals_list(plan)
        contracts = self.env["billing.contract"].create(
            [{**vals, "takeover_id": EngineValue(takeover.id)} for vals in vals_list]
        )
        contracts.action_activate()
        takeover._copy_attachments(record, contracts)
        takeover._post_links(record, contracts)
        return takeover.sudo(self.env.su)

    def _copy_attachments(self, record, contracts):
        attachments = self.env["ir.attachment"].search(
            [("res_model", "=", record._name), ("res_id", "=", record.id)]
        )
        for contract in contracts:
            for attachment in attachments:
                attachment.copy({"res_model": contract._name, "res_id": contract.id})

    def _post_links(self, record, contracts):
        links = Markup(", ").join(contract._get_html_link() for contract in contracts)
        text = self.env._("Taken over into invoice runs as %(contracts)s.", contracts=links)
        record.message_post(body=text)
        link = record._get_html_link()
        for contract in contracts:
            text = self.env._("Taken over from %(record)s.", record=link)
            report = Markup("").join(
                Markup("<li>%s</li>") % finding for finding in (self.report or "").splitlines()
            )
            contract.message_post(body=text + Markup("<ul>%s</ul>") % report if report else text)

    def _undo(self):
        record = self.env[self.res_model].browse(self.res_id).exists()
        source = self.env["billing.takeover.source"]._get_takeover_sources().get(self.source)
        if not record or source is None:
            raise UserError(
                self.env._("%(name)s no longer exists, so it cannot invoice again.", name=self.name)
            )
        record.check_access("write")
        contracts = self.contract_ids
        if contracts.run_line_ids:
            raise UserError(
                self.env._(
                    "%(contracts)s: amounts have been generated, so the take-over can no longer be "
                    "undone. Delete them in their run first; what was invoiced stays.",
                    contracts=", ".join(contracts.filtered("run_line_ids").mapped("name")),
                )
            )
        contracts.action_draft()
        contracts.unlink()
        source._restart_record(record, self.restart_values)
        # sudo: the engine alone writes this model
        self.sudo().is_undone = True
        record.message_post(body=self.env._("The take-over into invoice runs was undone."))
