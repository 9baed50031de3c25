from collections import defaultdict

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL, format_date

from ...engine import periods
from ...memory import remember, remembering
from ..base.possible_dates import check_years
from ..base.states import DOCUMENT_HAD_INVOICE, DOCUMENT_OPEN


class BillingContractLine(models.Model):
    """One price of a contract."""

    _name = "billing.contract.line"
    _description = "Price Line"
    _inherit = [
        "analytic.mixin",
        "billing.default.price",
        "invoice.run.guarded",
        "invoice.run.stale.mixin",
        "invoice.run.import.mixin",
    ]
    _order = "contract_id, sequence, id"
    _check_company_auto = True
    _prepares_runs = True

    contract_id = fields.Many2one(
        "billing.contract", required=True, index=True, ondelete="cascade", check_company=True
    )
    company_id = fields.Many2one(related="contract_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="contract_id.currency_id")
    sequence = fields.Integer(default=10)
    product_id = fields.Many2one(
        "product.product", required=True, check_company=True, domain="[('sale_ok', '=', True)]"
    )
    name = fields.Text(
        "Description", compute="_compute_name", store=True, readonly=False, precompute=True
    )
    quantity = fields.Float(digits="Product Unit", default=1.0, required=True)
    product_uom_id = fields.Many2one(
        "uom.uom",
        "Unit",
        compute="_compute_product_uom_id",
        store=True,
        readonly=False,
        precompute=True,
    )
    price_unit = fields.Float(
        "Price",
        compute="_compute_price_unit",
        store=True,
        readonly=False,
        precompute=True,
        min_display_digits="Product Price",
    )
    price_interval = fields.Selection(
        [
            ("day", "Day"),
            ("week", "Week"),
            ("month", "Month"),
            ("quarter", "Quarter"),
            ("half_year", "Half-year"),
            ("year", "Year"),
            ("period", "Billing period"),
            ("once", "Once"),
        ],
        "Per",
        required=True,
        default="month",
        help="The price is for this length of time; other lengths are invoiced in proportion.",
    )
    discount = fields.Float("Discount %", digits="Discount")
    tax_ids = fields.Many2many(
        "account.tax",
        string="Taxes",
        check_company=True,
        context={"active_test": False},
        domain="[('type_tax_use', '=', 'sale')]",
        help="Empty: the product's taxes, mapped by the fiscal position. "
        "For no tax at all choose a tax of 0 %.",
    )
    asset_id = fields.Many2one(
        "billing.asset",
        check_company=True,
        index="btree_not_null",
        help="What is let, lent or serviced.",
    )
    date_start = fields.Date("Start", help="First day. Empty: the contract's start.")
    date_end = fields.Date("End", help="Last day, included. Empty: the contract's end.")
    initial_invoiced_until = fields.Date(
        "Invoiced Elsewhere Until",
        help="Last day, included, that was invoiced before this contract came into Odoo.",
    )
    run_line_ids = fields.One2many("invoice.run.line", "contract_line_id", "Amounts", engine=True)
    invoiced_until = fields.Date(
        compute="_compute_invoiced_until",
        store=True,
        copy=False,
        help="All days up to and including this one are claimed by invoices or runs.",
        engine=True,
    )
    next_period_from = fields.Date(
        "First Open Day",
        compute="_compute_invoiced_until",
        store=True,
        copy=False,
        index="btree_not_null",
        engine=True,
    )

    overbilled_from = fields.Date(
        compute="_compute_invoiced_until",
        store=True,
        copy=False,
        index="btree_not_null",
        help="First day that was invoiced although the line ends before it; the next run "
        "proposes the credit.",
        engine=True,
    )
    running_from = fields.Date(
        "In Force From",
        compute="_compute_invoiced_until",
        store=True,
        copy=False,
        index="btree_not_null",
        help="First day for which the line charges something. Empty: drafts, one-off lines.",
        engine=True,
    )
    running_until = fields.Date(
        "In Force Until",
        compute="_compute_invoiced_until",
        store=True,
        copy=False,
        help="Last day, included, for which the line charges something. Empty: open-ended.",
        engine=True,
    )
    previous_line_id = fields.Many2one(
        "billing.contract.line", "Replaces", readonly=True, copy=False, index="btree_not_null"
    )

    raised_from = fields.Date(
        readonly=True,
        copy=False,
        help="From this day on the price includes the latest percentage increase.",
    )

    _dates_in_order = models.Constraint(
        "CHECK (date_end IS NULL OR date_start IS NULL OR date_end >= date_start)",
        "The end of the price line is before its start. Correct one of the two dates.",
    )
    _discount_range = models.Constraint(
        "CHECK (discount BETWEEN 0 AND 100)", "The discount must be between 0 and 100 %."
    )

    @api.depends("product_id")
    def _compute_name(self):
        for line in self:
            product = line.product_id.with_context(lang=line.contract_id._get_invoice_lang())
            line.name = product.get_product_multiline_description_sale() if product else False

    @api.depends("product_id")
    def _compute_product_uom_id(self):
        for line in self:
            line.product_uom_id = line.product_id.uom_id

    @api.depends("product_id", "product_uom_id")
    def _compute_price_unit(self):
        for line in self:
            line.price_unit = line._get_default_price(line.product_id, line.product_uom_id)

    def _get_price_terms(self):
        # EXTENDS 'billing.default.price'
        contract = self.contract_id
        company = contract.company_id
        partner = contract.partner_invoice_id or contract.partner_id
        return {
            "partner": partner,
            "company": company,
            "currency": contract.currency_id,
            "date": company and company._get_invoice_run_today(),
            "fiscal_position": lambda: (
                contract.fiscal_position_id or contract._get_run_fiscal_position(partner, company)
            ),
        }

    @api.depends(
        "price_interval",
        "date_start",
        "date_end",
        "initial_invoiced_until",
        "is_metered",
        "contract_id.date_start",
        "contract_id.date_end",
        "contract_id.state",
        "contract_id.cancel_date",
        "run_line_ids.is_claimed",
        "run_line_ids.period_from",
        "run_line_ids.period_to",
    )
    def _compute_invoiced_until(self):
        claims = self._get_claimed_spans()
        # what is written here is nothing that the days of a line depend on
        with remembering(self.env):
            for line in self:
                day = line._get_first_open_day(claims[line.id])
                line.next_period_from = day or False
                line.invoiced_until = line._get_invoiced_until(day)
                line.overbilled_from = line._get_overbilled_from(claims[line.id])
                line.running_from, line.running_until = line._get_running_days()

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "product_id",
            "name",
            "quantity",
            "product_uom_id",
            "price_unit",
            "price_interval",
            "is_price_looked_up",
            "discount",
            "tax_ids",
            "analytic_distribution",
            "date_start",
            "date_end",
            "initial_invoiced_until",
            "tariff_id",
            "is_metered",
            "aggregation",
            "minimum_amount",
            "maximum_amount",
            "bound_scope",
            "commitment_amount",
            "commitment_interval",
        }

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [("contract_line_id", "in", self.ids)]

    @api.constrains("date_start", "date_end", "initial_invoiced_until")
    def _check_years(self):
        check_years(self, ["date_start", "date_end", "initial_invoiced_until"])

    @api.constrains("contract_id")
    def _check_contract_of_amounts(self):
        for line in self:
            if line.run_line_ids.contract_id - line.contract_id:
                raise ValidationError(
                    self.env._(
                        "Line “%(line)s” has already been invoiced with another contract and "
                        "cannot be moved.",
                        line=line.name,
                    )
                )

    @api.constrains("date_start", "date_end", "contract_id")
    def _check_dates_in_contract(self):
        # a contract can be cancelled before its first day
        lines = self.filtered("contract_id")
        for line in lines.filtered(lambda line: line.contract_id.state != "cancelled"):
            first, last = line._get_own_days()
            if last and last < first:
                raise ValidationError(
                    self.env._(
                        "Contract %(contract)s, line “%(line)s”: no day is left between its "
                        "start and its end. Correct the dates of the line or of the contract.",
                        contract=line.contract_id.name,
                        line=line.name,
                    )
                )
        lines.contract_id._check_closed_ends()

    @api.constrains("date_start")
    def _check_start_not_billed(self):
        """Refuse a start after days that were invoiced and not wholly credited.

        They would never be credited: runs credit only days after the end.

        :raises ValidationError: names invoice and days, and says what to do
        """
        lines = self.filtered(lambda line: line.run_line_ids and line.price_interval != "once")
        for line_id, billed_lines in self.env["billing.ledger"]._get_billed_lines(lines).items():
            line = self.browse(line_id)
            first, _last = line._get_own_days()
            for billed in billed_lines:
                if line._is_billed_before(first, billed):
                    raise ValidationError(line._get_start_message(first, billed.entry))

    def _is_billed_before(self, first, billed):
        """Whether money is left of ``billed`` for days before ``first``.

        :param billed: a :class:`ledger.BilledLine` of this line
        """
        if not billed.entry.span or billed.entry.date_from >= first or billed.is_released():
            return False
        share = self.env["billing.ledger"]._get_share(billed.entry)
        after = billed.left_after(first - periods.DAY, share, "price_amount")
        return billed.left("price_amount") != after

    def _get_start_message(self, first, entry):
        # sudo: users who edit a contract need not see the invoice
        move = self.env["account.move"].sudo().browse(entry.move_id or ())
        return self.env._(
            "Contract %(contract)s, line “%(line)s”: days before %(date)s have been invoiced "
            "with %(invoice)s. Reverse it with “Release for Invoicing”, then move the start.",
            contract=self.contract_id.name,
            line=self.name,
            date=format_date(self.env, first),
            invoice=move.display_name or self.env._("a run"),
        )

    @api.ondelete(at_uninstall=False)
    def _unlink_except_billed(self):
        billed = self.filtered("run_line_ids")
        if billed:
            raise UserError(
                self.env._(
                    "Contract %(contract)s, line “%(line)s”: the line has been invoiced, so it "
                    "cannot be deleted. End it with “Change from Date…” instead.",
                    contract=billed[0].contract_id.name,
                    line=billed[0].name,
                )
            )

    # ------------------------------------------------------------------
    # Days
    # ------------------------------------------------------------------

    def _get_own_days(self):
        """Return first and last day (inclusive, None = open-ended) of the line."""
        return remember(self.env, ("own days", self._ids), self._find_own_days)

    def _find_own_days(self):
        contract = self.contract_id
        first = max(filter(None, (contract.date_start, self.date_start)))
        # a cancelled contract owes nothing after its last day
        cancelled = contract.cancel_date if contract.state == "cancelled" else None
        last = min(filter(None, (contract.date_end, self.date_end, cancelled)), default=None)
        return first, last

    def _get_counted_from(self):
        """Return the first day of this line and of those that it replaces without a gap.

        From it on the days of a price unit are counted, see :func:`periods.charge`: a change of
        price inside a month does not make that month longer.
        """
        line, (first, _last) = self, self._get_own_days()
        while previous := line.previous_line_id:
            begin, end = previous._get_own_days()
            if begin >= first or not end or end + periods.DAY != first:
                break
            line, first = previous, begin
        return first

    def _get_first_day(self):
        """Return the first day that is invoiced here: after what was invoiced elsewhere."""
        first, _last = self._get_own_days()
        if self.initial_invoiced_until:
            first = max(first, self.initial_invoiced_until + periods.DAY)
        return first

    def _get_last_day(self):
        """Return the last day of the line (inclusive), None when it is open-ended."""
        return self._get_own_days()[1]

    def _get_invoiced_until(self, open_day):
        """Return the day before the first open day; empty before anything was invoiced."""
        if not self.contract_id.date_start:
            return False
        first, last = self._get_own_days()
        if self.price_interval == "once":
            return False if open_day else first
        if open_day:
            return open_day - periods.DAY if open_day > first else False
        return last

    def _covers(self, day):
        """Whether ``day`` is one of this line that is invoiced here, not elsewhere."""
        last = self._get_last_day()
        return self._get_first_day() <= day and not (last and day > last)

    def _get_running_days(self):
        """Return the first and last day for which this line charges something, else False.

        In a cancelled contract only what was invoiced counts. Read ``invoiced_until`` first.
        """
        contract = self.contract_id
        if self.price_interval == "once" or contract.state == "draft" or not contract.date_start:
            return False, False
        first, last = self._get_own_days()
        if contract.state == "cancelled":
            last = min(last, self.invoiced_until) if self.invoiced_until else None
            return (first, last) if last and last >= first else (False, False)
        return first, last or False

    def _get_overbilled_from(self, claimed):
        """Return the first claimed day after the end of the line; empty when there is none."""
        last = self._get_last_day() if self.contract_id.date_start else None
        if self.price_interval == "once" or self.is_metered or not last or not claimed:
            return False
        beyond = [span for span in claimed if span.date_to > last]
        return max(beyond[0].date_from, last + periods.DAY) if beyond else False

    def _get_overbilled_lines(self):
        """Return the invoiced amounts that reach beyond the end of these lines."""
        amounts = self.filtered("overbilled_from").run_line_ids
        return amounts.filtered(lambda amount: amount._is_overbilled())

    def _get_first_open_day(self, claimed):
        """Return the first day that no claim covers, None when nothing is left."""
        if not self.contract_id.date_start:
            return None
        if self.price_interval == "once":
            return None if claimed or self._is_once_billed_elsewhere() else self._get_own_days()[0]
        return periods.first_open_day(self._get_first_day(), self._get_last_day(), claimed)

    def _is_once_billed_elsewhere(self):
        first, _last = self._get_own_days()
        return bool(self.initial_invoiced_until and self.initial_invoiced_until >= first)

    def _get_claimed_spans(self):
        """Return the claimed days of each line: {line id: [Span]}, adjoining claims merged.

        Merged in the database: an old contract has hundreds of claims.
        """
        spans = defaultdict(list)
        ids = self.ids
        if not ids:
            return spans
        RunLine = self.env["invoice.run.line"]
        RunLine.flush_model(
            ["contract_line_id", "is_claimed", "period_from", "period_to", "late_number"]
        )
        rows = self.env.execute_query(
            SQL(
                """
                SELECT line, min(period_from), max(period_to)
                  FROM (SELECT contract_line_id AS line, period_from, period_to,
                               period_from - (sum(period_to - period_from + 1) OVER (
                                   PARTITION BY contract_line_id ORDER BY period_from
                                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                               ))::int AS island,
                               row_number() OVER (
                                   PARTITION BY contract_line_id ORDER BY period_from
                               ) AS number
                          FROM invoice_run_line
                         WHERE is_claimed AND contract_line_id = ANY(%s)
                           AND COALESCE(late_number, 0) = 0) claim
                 GROUP BY line, COALESCE(island, period_from)
                 ORDER BY line, 2
                """,
                ids,
            )
        )
        for line_id, date_from, date_to in rows:
            spans[line_id].append(periods.Span(date_from, date_to))
        # those that are being edited; none as a rule
        for line in () if all(self._ids) else self:
            spans[line.id] = spans[line._origin.id]
        return spans

    def _get_taken_spans(self):
        """Return the days that nobody may invoice now: :meth:`_get_claimed_spans` and more.

        As long as the credit of a day waits for its invoice it can be undone, and the day is
        invoiced as before.
        """
        spans = self._get_claimed_spans()
        credits = self.env["invoice.run.line"].search(
            [
                ("contract_line_id", "in", self.ids),
                ("corrects_id", "!=", False),
                ("document_id.state", "in", DOCUMENT_OPEN),
            ]
        )
        for credit in credits.filtered(lambda credit: credit._is_held()):
            span = periods.Span(credit.billing_date_from, credit.billing_date_to)
            spans[credit.contract_line_id.id].append(span)
        return spans

    # ------------------------------------------------------------------
    # Changes during the contract
    # ------------------------------------------------------------------

    def _change_from(self, date, vals):
        """End this line the day before ``date``; from then on a copy with ``vals`` is invoiced.

        :param vals: values in which the new line differs; None: the line just ends
        :return: the new line, empty when the line just ends
        :raises UserError: the line is not in force on ``date``, or nothing would be left of it
        """
        self.ensure_one()
        service = self.env["billing.price.change"]
        changes = service._get_changes(date, {self: vals})
        if changes[0].reason:
            raise UserError(service._get_reason_text(changes[0]))
        return service._apply(changes)

    def _get_whole_line_message(self):
        """Return why a line that was never invoiced cannot end before its start."""
        return self.env._(
            "Contract %(contract)s, line “%(line)s” starts on %(date)s: nothing would be left of "
            "it. Delete the line, or end it on a later day.",
            contract=self.contract_id.name,
            line=self.name,
            date=format_date(self.env, self._get_own_days()[0]),
        )

    def _get_billed_line_message(self, vals):
        """Return why a line that is invoiced from its first day cannot change then, and what to do.

        :param vals: values that it would get; None: it would end
        """
        text = {
            "contract": self.contract_id.name,
            "line": self.name,
            "date": format_date(self.env, self._get_own_days()[0]),
            "how": " ".join(self._get_release_hints()),
        }
        if vals:
            return self.env._(
                "Contract %(contract)s, line “%(line)s” is invoiced from its first day, "
                "%(date)s: nothing would be left of it. Change it from a later day. To change it "
                "from its first day: %(how)s Then repeat this change.",
                **text,
            )
        return self.env._(
            "Contract %(contract)s, line “%(line)s” is invoiced from its first day, %(date)s: "
            "nothing would be left of it. End it on a later day. To invoice none of it: %(how)s "
            "Then give the line a discount of 100 %%.",
            **text,
        )

    def _get_release_hints(self):
        """Return what would release the days of this line: credit notes, or steps in runs."""
        # sudo: users who edit a contract need not see the invoices
        amounts = self.run_line_ids.sudo().filtered(lambda amount: amount._is_held())
        documents = (
            amounts.document_id.filtered(lambda document: document.state in DOCUMENT_OPEN)
            | amounts.filtered("is_claimed").document_id
        )
        moves = documents.filtered(lambda document: document.state in DOCUMENT_HAD_INVOICE).move_id
        runs = documents.filtered(lambda document: document.state in DOCUMENT_OPEN).run_id
        hints = []
        if moves:
            hints.append(
                self.env._(
                    "reverse %(invoices)s with “Release for Invoicing”.",
                    invoices=", ".join(moves.mapped("display_name")),
                )
            )
        if runs:
            hints.append(
                self.env._(
                    "delete the amounts of %(runs)s.", runs=", ".join(runs.mapped("reference"))
                )
            )
        return hints or [self.env._("undo the run that settled it.")]

    def action_undo_change(self):
        """Undo a change that was not invoiced yet: the replaced line goes on.

        :raises UserError: the line replaces none, or was invoiced
        """
        self.check_access("unlink")
        for line in self:
            previous = line.previous_line_id
            if not previous or line.run_line_ids:
                raise UserError(
                    self.env._(
                        "Only a change of which nothing has been invoiced can be undone. Delete "
                        "the amounts of the run first. What has been invoiced is changed back with "
                        "“Change from Date…”."
                    )
                )
            last = line.date_end
            line._give_planned_prices(previous)
            line.unlink()
            previous.date_end = last
