from datetime import timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, models
from odoo.addons.invoice_run.engine import periods
from odoo.addons.invoice_run_takeover import plan as planning

from .. import texts

#: Months or weeks of one interval; days are weeks where seven divide them.
UNITS = {
    "weekly": ("week", 1),
    "monthly": ("month", 1),
    "monthlylastday": ("month", 1),
    "quarterly": ("month", 3),
    "semesterly": ("month", 6),
    "yearly": ("month", 12),
}
#: How far the periods of both modules are compared.
HORIZON = relativedelta(years=5)
#: A contract of 40 years by the week.
MAX_PERIODS = 2100


class BillingTakeoverContract(models.AbstractModel):
    """Contracts of OCA's module ``contract``."""

    _name = "billing.takeover.contract"
    _description = "OCA Contracts"
    _inherit = "billing.takeover.source"

    _takeover_model = "contract.contract"

    @api.model
    def _get_takeover_label(self):
        return self.env._("Contracts (OCA)")

    @api.model
    def _get_takeover_domain(self):
        return [
            ("contract_type", "=", "sale"),
            ("recurring_next_date", "!=", False),
            ("company_id", "in", self.env.companies.ids),
        ]

    @api.model
    def _read_record(self, plan, invoiced_until):
        record = plan.record
        self._check_contract(plan)
        plan.vals = self._prepare_vals(plan)
        lines = record.contract_line_ids.filtered(
            lambda line: not line.display_type and not line.is_canceled
        )
        moves = self._get_moves(lines)
        self._check_moves(plan, self.env["account.move"].union(*moves.values()))
        for line in lines:
            self._add_line(plan, line, moves[line.id], invoiced_until)
        self._add_texts(plan)

    @api.model
    def _create_next_invoices(self, record, count):
        values = []
        while len(values) < count:
            found = record._prepare_recurring_invoices_values()
            if not found:
                break
            values += found
            # as OCA's _recurring_create_invoice, without its messages to followers
            record._compute_recurring_next_date()
        return record.env["account.move"].create(values)

    # ------------------------------------------------------------------
    # The contract
    # ------------------------------------------------------------------

    @api.model
    def _check_contract(self, plan):
        record = plan.record
        if record.contract_type != "sale":
            plan.add(planning.STOP, self.env._("It is a contract with a supplier."))
        if record.generation_type != "invoice":
            text = self.env._("It creates other documents than invoices.")
            plan.add(planning.STOP, text)
        if not record.active:
            plan.add(planning.STOP, self.env._("It is archived."))
        if record.tag_ids:
            tags = ", ".join(record.tag_ids.mapped("name"))
            plan.add(planning.NOTE, self.env._("Its tags stay there: %(tags)s.", tags=tags))
        if record.note:
            plan.add(planning.NOTE, self.env._("Its notes: %(notes)s", notes=record.note))

    @api.model
    def _prepare_vals(self, plan):
        record = plan.record
        plan.vals = {"currency_id": record.currency_id.id}
        return {
            "currency_id": record.currency_id.id,
            "title": record.name,
            "partner_id": record.partner_id.id,
            "partner_invoice_id": record.invoice_partner_id.id,
            "company_id": record.company_id.id,
            "payment_term_id": record.payment_term_id.id,
            "fiscal_position_id": record.fiscal_position_id.id,
            "client_order_ref": record.code,
            "user_id": record.user_id.id,
            **self._get_journal_vals(plan, record.journal_id),
            **self._get_payment_vals(plan),
        }

    @api.model
    def _get_payment_vals(self, plan):
        """Return the payment method of a payment mode, where that has a fixed journal."""
        if "payment_mode_id" not in plan.record._fields:
            return {}
        mode = plan.record.payment_mode_id
        partner = plan.record.partner_id.with_company(plan.record.company_id)
        if not mode or mode == partner.customer_payment_mode_id:
            return {}
        method = mode.fixed_journal_id.inbound_payment_method_line_ids.filtered(
            lambda method: method.payment_method_id == mode.payment_method_id
        )[:1]
        text = self.env._(
            "Payment mode “%(mode)s” is not the customer's own, and only the customer's own comes "
            "on the invoices. As payment method the contract gets: %(method)s.",
            mode=mode.name,
            method=method.display_name or self.env._("none"),
        )
        plan.add(planning.ACCEPT, text)
        return {"preferred_payment_method_line_id": method.id}

    # ------------------------------------------------------------------
    # Its invoices
    # ------------------------------------------------------------------

    @api.model
    def _get_moves(self, lines):
        """Return {line id: its invoices that are not cancelled}."""
        # sudo: whoever takes over must know of every invoice, of branches as well
        rows = self.env["account.move.line"].sudo()
        rows = rows.search(
            [
                ("contract_line_id", "in", lines.ids),
                ("parent_state", "!=", "cancel"),
                ("move_id.move_type", "=", "out_invoice"),
            ]
        )
        moves = {line.id: self.env["account.move"].sudo() for line in lines}
        for row in rows:
            moves[row.contract_line_id.id] |= row.move_id
        return moves

    @api.model
    def _get_invoiced_until(self, plan, line, moves):
        """Return the last day that the invoices of ``line`` cover, and whether they are sound.

        Not ``last_date_invoiced``: it stays where it is when an invoice is cancelled or deleted.
        """
        dates = [move.invoice_date or move.date for move in moves]
        if not dates:
            return None, True
        spans, scheduled = self._get_spans(line, line.date_start, max(dates))
        return planning.find_invoiced_until(spans, dates, scheduled)

    @api.model
    def _get_spans(self, line, first, until):
        """Return the periods from ``first`` on that are invoiced up to ``until``, and when."""
        spans, scheduled = [], []
        rule = (line.recurring_rule_type, line.recurring_interval)
        timing = (line.recurring_invoicing_type, line.recurring_invoicing_offset)
        while len(spans) < MAX_PERIODS:
            last = line.get_next_period_date_end(first, *rule, max_date_end=line.date_end)
            if not last:
                break
            day = line.get_next_invoice_date(first, *timing, *rule, max_date_end=line.date_end)
            if spans and day > until:
                break
            spans.append(periods.Span(first, last))
            scheduled.append(day)
            first = last + timedelta(days=1)
        return spans, scheduled

    # ------------------------------------------------------------------
    # Lines
    # ------------------------------------------------------------------

    @api.model
    def _add_line(self, plan, line, moves, said):
        shape = self._get_shape(line)
        if not shape:
            self._stop_line(plan, line, self._get_days_text(line))
            return
        last, is_sound = self._get_invoiced_until(plan, line, moves)
        is_said = line.id in said
        if is_said:
            last = said[line.id] or None
        elif not last:
            last = self._get_invoiced_with_others(plan, line)
        first = last + timedelta(days=1) if last else line.date_start
        if line.date_end and first > line.date_end:
            return
        spans, scheduled = self._get_spans(line, first, first + HORIZON)
        count, unit = shape
        row = planning.LinePlan(
            key=line.id,
            name=(line.name or "").splitlines()[0],
            vals=self._prepare_contract_line_vals(line),
            date_start=line.date_start,
            date_end=line.date_end or None,
            invoiced_until=last,
            spans=spans,
            count=count,
            unit=unit,
            timing="advance" if line.recurring_invoicing_type == "pre-paid" else "arrears",
        )
        plan.lines.append(row)
        if not is_sound and not is_said:
            self._add_invoices_not_sound(plan, row)
        self._check_next_date(plan, row, scheduled[0], line.recurring_next_date, is_said)
        self._check_line(plan, line, spans, scheduled)

    @api.model
    def _get_shape(self, line):
        """Return number and unit of one period; None where there is no such unit."""
        interval, rule = line.recurring_interval, line.recurring_rule_type
        if rule == "daily":
            return (interval // 7, "week") if interval % 7 == 0 else None
        unit, size = UNITS[rule]
        return size * interval, unit

    @api.model
    def _get_invoiced_with_others(self, plan, line):
        """Return the day up to which the others are invoiced: a line that joined them later.

        OCA invoices it with the next period of the contract, whatever its start.
        """
        others = [row.invoiced_until for row in plan.lines if row.invoiced_until]
        last = max(others, default=None)
        if line.contract_id.line_recurrence or not last or line.date_start > last:
            return None
        text = self.env._(
            "“%(line)s” has no invoice yet: it is invoiced with the others' next period.",
            line=line.name,
        )
        plan.add(planning.NOTE, text)
        return last

    @api.model
    def _prepare_contract_line_vals(self, line):
        return {
            "product_id": line.product_id.id,
            "name": texts.drop_period(line.name or ""),
            "quantity": line.quantity,
            "product_uom_id": line.uom_id.id or line.product_id.uom_id.id,
            "price_unit": line.price_unit,
            "discount": line.discount,
            "analytic_distribution": line.analytic_distribution,
        }

    @api.model
    def _check_line(self, plan, line, spans, scheduled):
        if not line.product_id:
            self._stop_line(plan, line, self.env._("it has no product. Choose one."))
        if line.automatic_price:
            text = self.env._(
                "its price comes from the pricelist anew with each invoice. Switch “Auto-price” "
                "off there to keep today's price."
            )
            self._stop_line(plan, line, text)
        markers = texts.get_markers(texts.drop_period(line.name or ""))
        if markers:
            text = self.env._(
                "nothing fills in %(markers)s here. Remove it from the text: the period is printed "
                "below the text of every line.",
                markers=", ".join(markers),
            )
            self._stop_line(plan, line, text)
        if self._is_variable(line, spans, scheduled):
            text = self.env._(
                "its quantity is calculated anew for each invoice. Invoice it as usage instead."
            )
            self._stop_line(plan, line, text)

    @api.model
    def _is_variable(self, line, spans, scheduled):
        """Whether a formula, of any addon, gives the quantity."""
        if "qty_type" in line._fields and line.qty_type == "variable":
            return True
        coming = zip(spans[:3], scheduled[:3], strict=True)
        return any(
            line._get_quantity_to_invoice(*span, day) != line.quantity for span, day in coming
        )

    @api.model
    def _stop_line(self, plan, line, reason):
        name = (line.name or "").splitlines()[0]
        plan.add(planning.STOP, self.env._("“%(line)s”: %(reason)s", line=name, reason=reason))

    @api.model
    def _get_days_text(self, line):
        return self.env._(
            "it is invoiced every %(count)s days. Periods here are weeks or months: change it to "
            "a multiple of 7 days.",
            count=line.recurring_interval,
        )

    # ------------------------------------------------------------------
    # Sections and notes
    # ------------------------------------------------------------------

    @api.model
    def _add_texts(self, plan):
        """Add notes to the lines with which they are printed; report what has no place here."""
        rows = {row.key: row for row in plan.lines}
        previous, waiting = None, []
        for line in plan.record.contract_line_ids:
            if not line.display_type:
                row = rows.get(line.id)
                if row:
                    row.vals["name"] = "\n".join([*waiting, row.vals["name"]])
                previous, waiting = row, []
            elif line.display_type == "line_section":
                text = self.env._(
                    "Section “%(section)s” is not printed: invoices here have no sections within "
                    "a contract.",
                    section=line.name,
                )
                plan.add(planning.ACCEPT, text)
            elif line.is_recurring_note:
                text = self.env._(
                    "The note “%(note)s” has periods of its own and is not printed.", note=line.name
                )
                plan.add(planning.ACCEPT, text)
            elif line.note_invoicing_mode == "with_next_line":
                waiting.append(line.name)
            elif previous:
                previous.vals["name"] += f"\n{line.name}"
