from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import format_amount, format_date

from ..engine import price_change
from ..models.base.possible_dates import check_years
from ..models.contract.billing_contract_commitment import COMMITMENT_INTERVALS

#: What decides on the change, besides the lines.
TERMS = (
    "date",
    "change",
    "percentage",
    "price_step",
    "price_unit",
    "quantity",
    "discount",
    "product_id",
    "tariff_id",
    "bound",
    "bound_amount",
    "commitment_interval",
    "line_ids",
    "older_than",
)


class BillingContractChange(models.TransientModel):
    """Changes price lines from a date on: the old line ends, a new one starts.

    Days that were invoiced already beyond the date are credited, and charged anew, by the next
    run, visible before it is approved. What it does is calculated, and done, by
    ``billing.price.change``; this is the screen.
    """

    _name = "billing.contract.change"
    _description = "Change Contracts from a Date"
    _inherit = "invoice.run.wizard"

    date = fields.Date(
        "Change From",
        required=True,
        default=lambda self: self._default_date(),
        help="First day of the change, included. Proposed: the first day from which none of the "
        "lines is invoiced or in a run, so that nothing is credited.",
    )
    change = fields.Selection(
        [
            ("percentage", "Raise prices by a percentage"),
            ("price", "Set a new price"),
            ("quantity", "Set a new quantity"),
            ("discount", "Set a new discount"),
            ("product", "Set another product"),
            ("tariff", "Set another tariff"),
            ("bound", "Set a minimum, maximum or commitment"),
            ("end", "End the lines"),
        ],
        required=True,
        default="percentage",
    )
    percentage = fields.Float(digits=False, help="Negative: lower prices.")
    price_step = fields.Float(
        "Round Prices To",
        digits=False,
        help="For example 0.05. Empty: prices are rounded to the decimals of the currency, "
        "unless they already have more.",
    )
    price_unit = fields.Float("New Price", min_display_digits="Product Price")
    quantity = fields.Float("New Quantity", digits="Product Unit")
    discount = fields.Float("New Discount %", digits="Discount")
    product_id = fields.Many2one("product.product", "New Product")
    tariff_id = fields.Many2one("billing.tariff", "New Tariff")
    bound = fields.Selection(
        [
            ("minimum_amount", "Minimum"),
            ("maximum_amount", "Maximum"),
            ("commitment_amount", "Commitment"),
        ],
        "Which",
        required=True,
        default="minimum_amount",
        help="Minimum and maximum are for a billing period. A term of a commitment that is cut by "
        "the change counts in proportion on both sides.",
    )
    bound_amount = fields.Monetary("New Amount", help="0: none.")
    commitment_interval = fields.Selection(
        COMMITMENT_INTERVALS,
        "Committed Per",
        required=True,
        default="year",
    )
    older_than = fields.Date(
        "Only Prices Since Before",
        help="Leaves out lines whose price, discount or product changed on this day or later. "
        "Empty: all.",
    )
    line_ids = fields.One2many("billing.contract.change.line", "change_id", "Preview")
    letters = fields.Selection(
        [("none", "No"), ("email", "By Email"), ("print", "As One PDF")],
        "Send Letters",
        required=True,
        default="none",
        help="Tells the customers of the contracts old and new prices, in their language.",
    )
    mail_template_id = fields.Many2one(
        "mail.template",
        "Email Template",
        domain=[("model", "=", "billing.contract")],
        default=lambda self: self._default_mail_template_id(),
    )
    currency_id = fields.Many2one("res.currency", compute="_compute_totals")
    correction_count = fields.Integer(compute="_compute_totals")
    changed_count = fields.Integer("Lines to Change", compute="_compute_totals")
    left_out_count = fields.Integer("Lines Left Out", compute="_compute_totals")
    old_month = fields.Monetary("Old per Month", compute="_compute_totals")
    new_month = fields.Monetary("New per Month", compute="_compute_totals")
    old_year = fields.Monetary("Old per Year", compute="_compute_totals")
    new_year = fields.Monetary("New per Year", compute="_compute_totals")
    credit = fields.Monetary(
        "To Be Credited",
        compute="_compute_totals",
        help="What the next run proposes to credit for days that are invoiced at the old price.",
    )
    is_done = fields.Boolean("Applied", readonly=True)
    result = fields.Html("What Was Done", readonly=True)
    letter_attachment_id = fields.Many2one("ir.attachment", "File of the Letters", readonly=True)

    @api.model
    def default_get(self, fields_list):
        """Propose the open price lines of the contracts, or the lines, that are selected."""
        values = super().default_get(fields_list)
        if "line_ids" in fields_list:
            lines = self._get_selected_lines()
            values["line_ids"] = [Command.create({"contract_line_id": line.id}) for line in lines]
        return values

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"is_done", "result", "letter_attachment_id"}

    @api.model
    def _default_date(self):
        lines = self._get_selected_lines()
        proposed = self.env["billing.price.change"]._get_proposed_date(lines)
        return proposed or fields.Date.context_today(self)

    @api.model
    def _default_mail_template_id(self):
        return self.env.ref("invoice_run.mail_template_price_change", raise_if_not_found=False)

    @api.model
    def _get_selected_lines(self):
        model = self.env.context.get("active_model")
        ids = self.env.context.get("active_ids") or []
        if model == "billing.contract":
            lines = self.env[model].browse(ids).line_ids
        elif model == "billing.contract.line":
            lines = self.env[model].browse(ids)
        else:
            lines = self.env["billing.contract.line"]
        return lines.filtered(lambda line: line.price_interval != "once")

    @api.constrains("date", "older_than")
    def _check_years(self):
        check_years(self, ["date", "older_than"])

    @api.depends("line_ids.is_changed", "line_ids.is_billed", "line_ids.new_year")
    def _compute_totals(self):
        service = self.env["billing.price.change"]
        for wizard in self:
            changes = [line._get_preview() for line in wizard.line_ids]
            company = wizard.line_ids[:1].contract_id.company_id or self.env.company
            total, wizard.currency_id = service._get_total(changes, company)
            wizard.correction_count = sum(one.is_billed for one in changes)
            wizard.changed_count = total.lines
            wizard.left_out_count = len(self._get_left_out(changes))
            for name in ("old_month", "new_month", "old_year", "new_year", "credit"):
                wizard[name] = float(getattr(total, name))

    def _get_terms(self):
        return price_change.Terms(
            kind=self.change,
            date=self.date,
            percentage=self.percentage,
            step=max(self.price_step, 0),
            price_unit=self.price_unit,
            quantity=self.quantity,
            discount=self.discount,
            product_id=self.product_id.id,
            tariff_id=self.tariff_id.id,
            bounds=self._prepare_bounds() if self.change == "bound" else None,
            is_alone=len(self.line_ids) == 1,
            older_than=self.older_than or None,
        )

    def _prepare_bounds(self):
        """Return the new minimum, maximum or commitment as values of a price line."""
        vals = {self.bound or "minimum_amount": self.bound_amount}
        if self.bound == "commitment_amount":
            vals["commitment_interval"] = self.commitment_interval
        return vals

    def _get_changes(self, lines):
        """Return what becomes of each of these price lines; nothing while there is no date."""
        self.ensure_one()
        if not self.date or not self.change:
            return []
        return self.env["billing.price.change"]._propose(lines, self._get_terms())

    # ------------------------------------------------------------------
    # Applied
    # ------------------------------------------------------------------

    def action_apply(self):
        """Change the lines that are in the preview; say what was done.

        :raises UserError: no line can be changed on this date, or a value is missing
        """
        self.ensure_one()
        self.check_access("write")
        self._check_values()
        changes = self._get_changes(self.line_ids.contract_line_id)
        if all(change.reason for change in changes):
            raise UserError(self._get_nothing_message(changes))
        letters = self.env["billing.price.change"]._get_letters(changes)
        contracts = self.env["billing.contract"].browse(letters)
        if self.letters == "print":
            contracts._check_letters_printable()
        # as long as it is not written: the result says what was
        result = self._get_result(changes)
        self.env["billing.price.change"]._apply(changes)
        if self.letters != "none":
            result += self._send_letters(contracts, letters)
        self._write_fixed({"is_done": True, "result": result})
        return self._get_own_action()

    def _check_values(self):
        if self.is_done:
            raise UserError(self.env._("This change has been applied already. Close the dialog."))
        if self.change == "product" and not self.product_id:
            raise UserError(self.env._("Choose the new product."))
        if self.change == "tariff" and not self.tariff_id:
            raise UserError(self.env._("Choose the new tariff."))
        if not 0 <= self.discount <= 100:
            raise UserError(self.env._("The discount must be between 0 and 100 %."))
        if self.bound_amount < 0:
            raise UserError(self.env._("The new amount cannot be negative."))
        if self.price_step < 0:
            raise UserError(self.env._("Prices cannot be rounded to a negative step."))
        if self.change == "percentage" and self.percentage <= -100:
            raise UserError(
                self.env._("A price cannot be reduced by 100 % or more: end the lines instead.")
            )
        if self.letters == "email":
            self._check_template()

    def _check_template(self):
        if not self.mail_template_id:
            raise UserError(self.env._("Choose the email template of the letters."))
        if self.mail_template_id.model != "billing.contract":
            raise UserError(
                self.env._(
                    "Email template “%(template)s” is not for contracts. Choose another one.",
                    template=self.mail_template_id.display_name,
                )
            )

    def _get_nothing_message(self, changes):
        """Return why no line can be changed: the reasons of those that have days to change."""
        service = self.env["billing.price.change"]
        notes = [
            service._get_reason_text(change)
            for change in changes
            if change.reason != price_change.ENDED
        ]
        message = self.env._("No price line is in force on this date. Choose another date.")
        return "\n".join(dict.fromkeys(notes)) or message

    def _get_result(self, changes):
        """Return what is done, in words."""
        company = self.line_ids[:1].contract_id.company_id
        total, currency = self.env["billing.price.change"]._get_total(changes, company)
        texts = [
            self.env._(
                "Changed from %(date)s: %(lines)s price lines of %(contracts)s contracts.",
                date=format_date(self.env, self.date),
                lines=total.lines,
                contracts=total.contracts,
            ),
            self.env._(
                "Per month: %(old_month)s → %(new_month)s. Per year: %(old_year)s → %(new_year)s.",
                **{
                    name: format_amount(self.env, float(getattr(total, name)), currency)
                    for name in ("old_month", "new_month", "old_year", "new_year")
                },
            ),
        ]
        if total.credit:
            credit = format_amount(self.env, float(total.credit), currency)
            texts.append(self.env._("The next run proposes to credit %(credit)s.", credit=credit))
        texts += self._get_left_out_texts(changes)
        return Markup().join(Markup("<p>%s</p>") % text for text in texts)

    @api.model
    def _get_left_out(self, changes):
        """Return the lines left out that users may wonder about, without those ended by then."""
        return [one for one in changes if one.reason and one.reason != price_change.ENDED]

    def _get_left_out_texts(self, changes):
        left_out = self._get_left_out(changes)
        if not left_out:
            return []
        return [
            self.env._(
                "Left out: %(count)s price lines; the preview says why.", count=len(left_out)
            )
        ]

    def _send_letters(self, contracts, letters):
        """Send or print the letters; return what is to be said about it."""
        if self.letters == "print":
            attachment = contracts._print_price_letters(letters, self)
            self._write_fixed({"letter_attachment_id": attachment.id})
            text = self.env._("Letters in the file: %(count)s.", count=len(contracts))
            return Markup("<p>%s</p>") % text
        silent = contracts._send_price_letters(letters, self.mail_template_id)
        sent = len(contracts) - len(silent)
        texts = [self.env._("Letters in the outgoing mail: %(count)s.", count=sent)]
        if silent:
            texts.append(
                self.env._(
                    "No letter, because the customer has no email address: %(contracts)s.",
                    contracts=", ".join(silent.mapped("display_name")),
                )
            )
        return Markup().join(Markup("<p>%s</p>") % text for text in texts)

    def _get_own_action(self):
        """Return the action that shows what was done, in the same dialog."""
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Change from Date…"),
            "res_model": self._name,
            "res_id": self.id,
            "views": [(False, "form")],
            "target": "new",
            "context": {"dialog_size": "extra-large"},
        }

    def action_open_contracts(self):
        """Open the contracts of the preview."""
        self.ensure_one()
        self.check_access("read")
        return self.line_ids.contract_id._get_records_action()

    def action_download_letters(self):
        """Download the file of the letters."""
        self.ensure_one()
        self.check_access("read")
        return self.letter_attachment_id._get_download_action()


class BillingContractChangeLine(models.TransientModel):
    _name = "billing.contract.change.line"
    _description = "Preview of a Change"
    _inherit = "invoice.run.wizard"

    change_id = fields.Many2one("billing.contract.change", required=True, ondelete="cascade")
    contract_line_id = fields.Many2one(
        "billing.contract.line", "Line", required=True, ondelete="cascade"
    )
    contract_id = fields.Many2one(related="contract_line_id.contract_id", related_sudo=False)
    partner_id = fields.Many2one(related="contract_id.partner_id", related_sudo=False)
    name = fields.Text(related="contract_line_id.name", related_sudo=False)
    currency_id = fields.Many2one(related="contract_line_id.currency_id", related_sudo=False)
    tariff_id = fields.Many2one(
        related="contract_line_id.tariff_id", string="Old Tariff", related_sudo=False
    )
    price_unit = fields.Float(
        "Old Price", compute="_compute_new", min_display_digits="Product Price"
    )
    price_interval = fields.Selection(related="contract_line_id.price_interval", related_sudo=False)
    price_since = fields.Date(compute="_compute_new")
    quantity = fields.Float("Old Quantity", compute="_compute_new", digits="Product Unit")
    new_price_unit = fields.Float(
        "New Price", compute="_compute_new", min_display_digits="Product Price"
    )
    new_quantity = fields.Float(compute="_compute_new", digits="Product Unit")
    old_month = fields.Monetary("Old per Month", compute="_compute_new")
    new_month = fields.Monetary("New per Month", compute="_compute_new")
    old_year = fields.Monetary("Old per Year", compute="_compute_new")
    new_year = fields.Monetary("New per Year", compute="_compute_new")
    credit = fields.Monetary(
        "To Be Credited",
        compute="_compute_new",
        help="What the next run proposes to credit for days that are invoiced at the old price, "
        "with the taxes that the price includes. It charges them at the new price.",
    )
    is_changed = fields.Boolean(compute="_compute_new")
    reason = fields.Char(compute="_compute_new")
    note = fields.Char("Why Left Out", compute="_compute_new")
    is_billed = fields.Boolean(
        "Already Invoiced",
        compute="_compute_new",
        help="Days after the change are invoiced: the next run proposes the credit.",
    )

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"change_id", "contract_line_id"}

    @api.depends(*(f"change_id.{name}" for name in TERMS))
    def _compute_new(self):
        for wizard, lines in self.grouped("change_id").items():
            # in parts, as the lines are read: all of them each time would be too much
            found = wizard._get_changes(lines.contract_line_id)
            changes = {change.line_id: change for change in found}
            for line in lines:
                line._set_preview(changes.get(line.contract_line_id.id))

    def _get_preview(self):
        """Return the change that this line shows."""
        return price_change.PriceChange(
            line_id=self.contract_line_id.id,
            contract_id=self.contract_id.id,
            currency_id=self.currency_id.id,
            date_from=self.change_id.date,
            old=price_change.Price(self.quantity, self.price_unit, self.old_month, self.old_year),
            new=price_change.Price(
                self.new_quantity, self.new_price_unit, self.new_month, self.new_year
            ),
            reason=self.reason or "",
            is_billed=self.is_billed,
            credit=self.credit,
        )

    def _set_preview(self, change):
        """Show ``change``, None where nothing is chosen yet."""
        is_changed = bool(change) and not change.reason
        old = change.old if is_changed else price_change.NOTHING
        new = change.new if is_changed else price_change.NOTHING
        # a planned price may be valid by then
        present = change.old if change else self.contract_line_id
        self.price_unit, self.quantity = present.price_unit, present.quantity
        since = change and self.contract_line_id._get_price_since(change.date_from)
        self.price_since = since or self.contract_line_id.price_since
        self.new_price_unit, self.new_quantity = new.price_unit, new.quantity
        self.old_month, self.new_month = old.month, new.month
        self.old_year, self.new_year = old.year, new.year
        self.credit = change.credit if change else 0.0
        self.is_changed = is_changed
        self.reason = change.reason if change else price_change.ENDED
        self.is_billed = is_changed and change.is_billed
        self.note = change and self.env["billing.price.change"]._get_reason_text(change)
