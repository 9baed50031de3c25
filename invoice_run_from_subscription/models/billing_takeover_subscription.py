from datetime import timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, models
from odoo.addons.invoice_run.engine import periods
from odoo.addons.invoice_run_takeover import plan as planning
from odoo.tools import format_date

UNITS = {"weeks": ("week", 1), "months": ("month", 1), "years": ("month", 12)}
#: How far the periods of both modules are compared.
HORIZON = relativedelta(years=5)
MAX_PERIODS = 2100
DAY = timedelta(days=1)


class BillingTakeoverSubscription(models.AbstractModel):
    """Subscriptions of OCA's module ``subscription_oca``.

    They have dates, not periods: an invoice is for the days from its date to the next one.
    """

    _name = "billing.takeover.subscription"
    _description = "OCA Subscriptions"
    _inherit = "billing.takeover.source"

    _takeover_model = "sale.subscription"

    @api.model
    def _get_takeover_label(self):
        return self.env._("Subscriptions (OCA)")

    @api.model
    def _get_takeover_domain(self):
        return [("in_progress", "=", True), ("company_id", "in", self.env.companies.ids)]

    @api.model
    def _read_record(self, plan, invoiced_until):
        self._check_subscription(plan)
        plan.vals = self._prepare_vals(plan)
        shape = self._get_shape(plan)
        if shape and plan.record.recurring_next_date:
            moves = self._get_moves(plan.record)
            self._check_moves(plan, moves)
            self._add_lines(plan, shape, moves, invoiced_until)

    @api.model
    def _create_next_invoices(self, record, count):
        moves = record.env["account.move"]
        while len(moves) < count and not self._is_over(record):
            moves += record.create_invoice()
            record._set_next_invoice_date_after_invoice()
        return moves

    @api.model
    def _is_over(self, record):
        """Whether it is closed before its next invoice, which can be on its last day."""
        return not record.recurring_rule_boundary and record.recurring_next_date > record.date

    # ------------------------------------------------------------------
    # The subscription
    # ------------------------------------------------------------------

    @api.model
    def _check_subscription(self, plan):
        record, template = plan.record, plan.record.template_id
        if not record.in_progress:
            plan.add(planning.STOP, self.env._("It is not in progress: it has not begun or ended."))
        if not record.active:
            plan.add(planning.STOP, self.env._("It is archived."))
        if template.invoicing_mode == "sale_and_invoice":
            text = self.env._("Its invoices come with sale orders, which are not created here.")
            plan.add(planning.ACCEPT, text)
        if record.is_paused and record.paused_until:
            text = self.env._(
                "It is paused until %(day)s: the contract is on hold, and you end that by hand.",
                day=format_date(self.env, record.paused_until),
            )
            plan.add(planning.ACCEPT, text)
        if record.tag_ids:
            tags = ", ".join(record.tag_ids.mapped("name"))
            plan.add(planning.NOTE, self.env._("Its tags stay there: %(tags)s.", tags=tags))
        if record.description:
            text = self.env._("Its description: %(text)s", text=record.description)
            plan.add(planning.NOTE, text)

    @api.model
    def _prepare_vals(self, plan):
        record = plan.record
        currency = self._get_invoice_currency(plan)
        plan.vals = {"currency_id": currency.id}
        vals = {
            "currency_id": currency.id,
            "title": record.name,
            "partner_id": record.partner_id.id,
            "partner_invoice_id": (record.partner_invoice_id or record.partner_id).id,
            "company_id": record.company_id.id,
            "user_id": record.user_id.id,
            **self._get_journal_vals(plan, record.journal_id),
        }
        if record.is_paused:
            vals |= {"billing_hold": True, "billing_hold_reason": self.env._("Paused")}
        return vals

    @api.model
    def _get_invoice_currency(self, plan):
        """Return the currency of the invoices: subscription_oca leaves it to their journal."""
        record = plan.record
        currency = record.journal_id.currency_id or record.company_id.currency_id
        if currency != record.currency_id:
            text = self.env._(
                "Its pricelist is in %(prices)s, its invoices are in %(invoices)s with the same "
                "figures, and stay so.",
                prices=record.currency_id.name,
                invoices=currency.name,
            )
            plan.add(planning.ACCEPT, text)
        return currency

    @api.model
    def _get_shape(self, plan):
        """Return number and unit of one period; None, with the reason, where there is no such."""
        template = plan.record.template_id
        interval = int(template.recurring_interval or 0) or 1
        if template.recurring_rule_type in UNITS:
            unit, size = UNITS[template.recurring_rule_type]
            return size * interval, unit
        if interval % 7 == 0:
            return interval // 7, "week"
        text = self.env._(
            "It is invoiced every %(count)s days. Periods here are weeks or months: change it to a "
            "multiple of 7 days.",
            count=interval,
        )
        plan.add(planning.STOP, text)
        return None

    # ------------------------------------------------------------------
    # Its invoices
    # ------------------------------------------------------------------

    @api.model
    def _get_moves(self, record):
        # sudo: whoever takes over must know of every invoice
        record = record.sudo()
        moves = record.invoice_ids | record.sale_order_ids.invoice_ids
        return moves.filtered(
            lambda move: move.move_type == "out_invoice" and move.state != "cancel"
        )

    @api.model
    def _get_invoiced_until(self, record, moves):
        """Return the last day that its invoices cover, and whether each follows the one before."""
        dates = sorted(move.invoice_date or move.date for move in moves)
        if not dates:
            return None, True
        steps = zip(dates, dates[1:], strict=False)
        is_sound = all(record._get_next_invoice_date(one) == other for one, other in steps)
        return record._get_next_invoice_date(dates[-1]) - DAY, is_sound

    @api.model
    def _get_spans(self, record, first):
        """Return the periods from ``first`` on, to the end where it has one."""
        spans = []
        end = None if record.recurring_rule_boundary else record.date
        while len(spans) < MAX_PERIODS:
            # an invoice of the last day is created before the subscription is closed
            if end and first > end or not end and spans and first > spans[0].date_from + HORIZON:
                break
            following = record._get_next_invoice_date(first)
            spans.append(periods.Span(first, following - DAY))
            first = following
        return spans

    # ------------------------------------------------------------------
    # Lines
    # ------------------------------------------------------------------

    @api.model
    def _add_lines(self, plan, shape, moves, said):
        record = plan.record
        found, is_sound = self._get_invoiced_until(record, moves)
        for line in record.sale_subscription_line_ids:
            is_said = line.id in said
            last = said[line.id] or None if is_said else found
            first = last + DAY if last else record.date_start
            spans = self._get_spans(record, first)
            if not spans:
                continue
            row = self._prepare_line(plan, line, shape, last, spans)
            plan.lines.append(row)
            if not is_sound and not is_said:
                self._add_invoices_not_sound(plan, row)
            self._check_next_date(plan, row, first, record.recurring_next_date, is_said)
            self._check_line(plan, line)

    @api.model
    def _prepare_line(self, plan, line, shape, last, spans):
        record = plan.record
        count, unit = shape
        return planning.LinePlan(
            key=line.id,
            name=(line.name or line.product_id.display_name or "").splitlines()[0],
            vals={
                "product_id": line.product_id.id,
                "name": line.name,
                "quantity": line.product_uom_qty,
                "product_uom_id": line.product_id.uom_id.id,
                "price_unit": line.price_unit,
                "discount": line.discount,
                "tax_ids": [(6, 0, line.tax_ids.ids)],
                "analytic_distribution": line.analytic_distribution,
            },
            date_start=min(record.date_start, spans[0].date_from),
            date_end=None if record.recurring_rule_boundary else spans[-1].date_to,
            invoiced_until=last,
            spans=spans,
            count=count,
            unit=unit,
        )

    @api.model
    def _check_line(self, plan, line):
        name = line.name or ""
        if not line.product_id:
            text = self.env._("“%(line)s”: it has no product. Choose one.", line=name)
            plan.add(planning.STOP, text)
            return
        company = plan.record.company_id
        product = line.product_id.with_company(company)
        taxes = product.taxes_id._filter_taxes_by_company(company)
        if taxes and not line.tax_ids:
            text = self.env._(
                "“%(line)s” has no tax. Choose a tax of 0 %% there: an empty field means the "
                "product's taxes here.",
                line=name,
            )
            plan.add(planning.STOP, text)
        self._check_account(plan, line, product)

    @api.model
    def _check_account(self, plan, line, product):
        """Find a fiscal position that changes the account: subscription_oca does not ask it."""
        record = plan.record.with_company(plan.record.company_id)
        partner = record.partner_invoice_id or record.partner_id
        position = self.env["billing.contract"]._get_run_fiscal_position(partner, record.company_id)
        theirs = (
            product.property_account_income_id or product.categ_id.property_account_income_categ_id
        )
        ours = product.product_tmpl_id.get_product_accounts(position)["income"]
        if theirs and theirs != ours:
            text = self.env._(
                "“%(line)s” is booked on %(theirs)s there, on %(ours)s here, as the fiscal "
                "position says.",
                line=line.name,
                theirs=theirs.display_name,
                ours=ours.display_name,
            )
            plan.add(planning.ACCEPT, text)
