from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import format_date, formatLang

VERDICTS = [
    ("open", "Not Looked At"),
    ("ready", "Ready"),
    ("accept", "To Be Accepted"),
    ("stop", "Not Possible"),
    ("done", "Taken Over"),
    ("failed", "Failed"),
]


class BillingTakeoverWizard(models.TransientModel):
    """Choose contracts of another module, see what becomes of them, take them over."""

    _name = "billing.takeover.wizard"
    _description = "Take Contracts Over"
    _inherit = "invoice.run.wizard"

    source = fields.Selection(
        selection="_get_source_selection",
        string="From",
        required=True,
        default=lambda self: self._get_default_source(),
        help="The module in which the contracts are now.",
    )
    row_ids = fields.One2many("billing.takeover.row", "wizard_id", "Contracts")

    def _compute_display_name(self):
        # EXTENDS 'base'
        for wizard in self:
            wizard.display_name = self.env._("Take Contracts Over")

    @api.model
    def _get_source_selection(self):
        sources = self.env["billing.takeover.source"]._get_takeover_sources()
        return [(name, source._get_takeover_label()) for name, source in sources.items()]

    @api.model
    def _get_default_source(self):
        """Return the module from whose list the wizard was opened, else the first."""
        sources = self.env["billing.takeover.source"]._get_takeover_sources()
        model = self.env.context.get("active_model")
        found = [name for name, source in sources.items() if source._takeover_model == model]
        return next(iter(found or sources), False)

    @api.model
    def _open_for(self, records, action):
        """Open the wizard for these records of another module, checked."""
        wizard = self.with_context(active_model=records._name).create({})
        wizard._create_rows(wizard._get_source()._get_records(records.ids))
        wizard.action_check()
        return {**action, "res_id": wizard.id, "views": [(False, "form")]}

    def action_find(self):
        """List all contracts of the module that still invoice."""
        self.ensure_one()
        source = self._get_source()
        records = self.env[source._takeover_model].search(source._get_takeover_domain())
        known = set(self.row_ids.mapped("res_id"))
        self._create_rows(records.filtered(lambda record: record.id not in known))
        return self._get_action()

    def action_check(self):
        """Look at the selected contracts; nothing but this report is written."""
        self.ensure_one()
        for row in self._get_selected_rows():
            row._check()
        return self._get_action()

    def action_take_over(self):
        """Take the selected contracts over; each that cannot be stays as it is, and says why."""
        self.ensure_one()
        for row in self._get_selected_rows().filtered(lambda row: row.verdict != "done"):
            row._take_over()
        return self._get_action()

    def _get_selected_rows(self):
        rows = self.row_ids.filtered("is_selected")
        if not rows:
            raise UserError(self.env._("Select the contracts first."))
        return rows

    def _get_source(self):
        return self.env["billing.takeover"]._get_source(self.source)

    def _create_rows(self, records):
        source = self._get_source()
        self.env["billing.takeover.row"].create(
            [
                {
                    "wizard_id": self.id,
                    "res_id": record.id,
                    "name": source._get_record_name(record),
                    "customer": record.partner_id.display_name,
                }
                for record in records
            ]
        )

    def _get_action(self):
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Take Contracts Over"),
            "res_model": self._name,
            "res_id": self.id,
            "views": [(False, "form")],
            "target": "current",
        }


class BillingTakeoverRow(models.TransientModel):
    """One contract of another module."""

    _name = "billing.takeover.row"
    _description = "Contract to Take Over"
    _inherit = "invoice.run.wizard"
    _order = "id"

    wizard_id = fields.Many2one("billing.takeover.wizard", required=True, ondelete="cascade")
    res_id = fields.Integer(required=True)
    name = fields.Char("Contract", readonly=True)
    customer = fields.Char(readonly=True)
    is_selected = fields.Boolean("Take Over", default=True)
    is_accepted = fields.Boolean(
        "Accept", help="Take it over although something is not carried over as it is."
    )
    verdict = fields.Selection(VERDICTS, default="open", readonly=True)
    report = fields.Html("What Was Found", readonly=True)
    comparison = fields.Html("Next Invoices", readonly=True)
    line_ids = fields.One2many("billing.takeover.line", "row_id", "Lines")

    def action_check(self):
        """Look at this contract again, with the days that were entered."""
        self.ensure_one()
        self.check_access("write")
        self._check()
        return self.wizard_id._get_action()

    def _get_days(self):
        """Return the days that somebody said, {id of a line: day}."""
        changed = self.line_ids.filtered(lambda line: line.invoiced_until != line.found_until)
        return {line.key: line.invoiced_until for line in changed}

    def _check(self):
        Takeover = self.env["billing.takeover"]
        days = self._get_days()
        (report,) = Takeover.get_report(self.wizard_id.source, [self.res_id], days)
        known = {line.key: line for line in self.line_ids}
        self.write(
            {
                "verdict": report["verdict"],
                "report": self._format_findings(report["findings"]),
                "comparison": self._format_invoices(report["invoices"]),
                "line_ids": [
                    Command.create(self._prepare_line_vals(line))
                    for line in report["lines"]
                    if line["id"] not in known
                ],
            }
        )
        for line in report["lines"]:
            if line["id"] in known:
                known[line["id"]].next_from = line["next_from"]

    def _prepare_line_vals(self, line):
        return {
            "key": line["id"],
            "name": line["name"],
            "found_until": line["invoiced_until"],
            "invoiced_until": line["invoiced_until"],
            "next_from": line["next_from"],
        }

    def _format_findings(self, findings):
        icons = {"stop": "fa-ban text-danger", "accept": "fa-question-circle text-warning"}
        items = [
            Markup('<div><i class="fa %s me-2"></i>%s</div>')
            % (icons.get(finding["kind"], "fa-info-circle text-muted"), finding["text"])
            for finding in findings
        ]
        return Markup("").join(items)

    def _format_invoices(self, pairs):
        """Return a table in which the invoices of both modules stand one above the other.

        So it fits on a phone, and amounts are compared digit by digit.
        """
        if not pairs:
            return False
        titles = ("", self.env._("Due"), self.env._("Untaxed"), self.env._("Total"))
        head = Markup("").join(
            Markup('<th scope="col" class="%s">%s</th>') % ("text-end" if number > 1 else "", title)
            for number, title in enumerate(titles)
        )
        return Markup(
            '<table class="table table-sm w-auto"><thead><tr>%s</tr></thead>%s</table>'
        ) % (head, Markup("").join(map(self._format_pair, pairs)))

    def _format_pair(self, pair):
        theirs, ours = pair["theirs"], pair["ours"]
        return Markup('<tbody class="%s">%s%s</tbody>') % (
            "table-warning" if theirs != ours else "",
            self._format_invoice(self.env._("There"), theirs),
            self._format_invoice(self.env._("Here"), ours),
        )

    def _format_invoice(self, place, invoice):
        first = Markup('<th scope="row" class="fw-normal">%s</th>') % place
        if not invoice:
            return Markup('<tr>%s<td colspan="3">–</td></tr>') % first
        amount = Markup('<td class="text-end">%s</td>')
        return Markup("<tr>%s<td>%s</td>%s%s</tr>") % (
            first,
            format_date(self.env, invoice["date"]),
            amount % formatLang(self.env, invoice["untaxed"], digits=2),
            amount % formatLang(self.env, invoice["total"], digits=2),
        )

    def _take_over(self):
        (result,) = self.env["billing.takeover"].take_over(
            self.wizard_id.source, [self.res_id], self._get_days(), self.is_accepted
        )
        if result["error"]:
            text = Markup('<div class="text-danger">%s</div>') % result["error"]
            self.write({"verdict": "failed", "report": text})
            return
        contracts = self.env["billing.contract"].browse(result["contract_ids"])
        names = ", ".join(contracts.mapped("name"))
        text = self.env._("Continued by %(contracts)s.", contracts=names)
        self.write({"verdict": "done", "report": text})


class BillingTakeoverLine(models.TransientModel):
    """The last invoiced day of one line."""

    _name = "billing.takeover.line"
    _description = "Line to Take Over"
    _inherit = "invoice.run.wizard"
    _order = "id"

    row_id = fields.Many2one("billing.takeover.row", required=True, ondelete="cascade")
    key = fields.Integer(required=True)
    name = fields.Char("Line", readonly=True)
    found_until = fields.Date(
        "Invoiced Until, as Found", readonly=True, help="Read from its invoices."
    )
    invoiced_until = fields.Date(
        help="Last day that was invoiced, included. Change it where the invoices do not tell."
    )
    next_from = fields.Date("First Day Here", readonly=True)
