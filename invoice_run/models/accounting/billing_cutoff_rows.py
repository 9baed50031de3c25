from odoo import api, models
from odoo.fields import Domain
from odoo.tools import split_every

from ...engine import cutoff, ledger, periods
from ...memory import remembering
from ..base.states import CONTRACT_BILLED

#: Price lines or items that are read together.
BATCH = 2000


class BillingCutoffRows(models.AbstractModel):
    """The amounts of a cut-off, from the ledger: the report shows and the entry books them.

    Deferred: what is left of each invoice line in force for the days after the date, as booked:
    its account, analytic distribution and rate. It does not matter what became of the contract
    since: what was invoiced must be credited when it is cancelled. Accrued: what the days up to
    the date cost that no invoice covers, at the contract's price and the rate of the date, and
    usage up to the date.

    Only entries confirmed with an accounting date up to the date count.
    """

    _name = "billing.cutoff.rows"
    _description = "Amounts of a Cut-off"

    @api.model
    def _get_rows(self, company, date):
        """Return the amounts of the cut-off at ``date`` (inclusive), none of them zero.

        :return: list of dicts: ``kind``, ``amount`` (exact, company currency), ``account_id``,
            ``analytic_distribution``, ``date_from``, ``date_to`` (days that the amount is for),
            ``invoice_line_id`` (None where accrued), ``contract_line_id``, ``contract_id``,
            ``usage_id``, ``partner_id``, ``cluster_id``, ``product_id``
        """
        lines, usage = self._get_lines(company, date), self._get_usage(company, date)
        with remembering(self.env):
            rows = [
                *self._collect(lines, self._collect_line, company, date),
                *self._collect(usage, self._collect_usage, company, date),
            ]
        return [row for row in rows if row["amount"]]

    @api.model
    def _collect(self, records, collect, company, date):
        """Yield what ``collect`` yields of each of ``records``; the ledger is read in batches."""
        for ids in split_every(BATCH, records.ids):
            batch = records.browse(ids)
            billed = self.env["billing.ledger"]._get_billed_lines(batch, as_of=date)
            if batch._name == "billing.contract.line":
                self._read_usage_ahead(batch, billed, date)
            for record in batch:
                yield from collect(record, billed[record.id], company, date)

    @api.model
    def _read_usage_ahead(self, lines, billed, date):
        """Read what those of ``lines`` by usage measured on open days, with one query for all."""
        owed = lines.filtered(lambda line: line.contract_id.state in CONTRACT_BILLED)
        pairs = set()
        for line in owed.filtered("is_metered"):
            terms = line.contract_id._get_billing_terms()
            for period, part in self._get_open_parts(line, terms, billed[line.id], date):
                pairs |= {(line, period), (line, part)}
        if pairs:
            lines._read_measures_ahead(list(pairs))
            self._read_shares_ahead(pairs, billed, date)

    @api.model
    def _get_lines(self, company, date):
        """Return the price lines that can have something deferred or accrued."""
        billed = Domain("run_line_ids.billing_date_to", ">", date)
        owed = Domain("contract_id.state", "in", CONTRACT_BILLED)
        owed &= Domain("contract_id.date_start", "<=", date)
        lines = self.env["billing.contract.line"]
        return lines.search(Domain("company_id", "=", company.id) & (billed | owed))

    @api.model
    def _get_usage(self, company, date):
        """Return the items with no confirmed invoice by the date, or one before their own day."""
        late = Domain("state", "!=", "posted") | Domain("date", ">", date)
        open_items = Domain("state", "!=", "invoiced")
        open_items |= Domain("run_line_ids.move_line_ids.move_id", "any", late)
        early = Domain("date", ">", date) & Domain("run_line_ids", "!=", False)
        domain = (Domain("date", "<=", date) & open_items) | early
        # what a price line rates is earned with it
        domain &= Domain("contract_line_id", "=", False)
        return self.env["billing.usage"].search(Domain("company_id", "=", company.id) & domain)

    # ------------------------------------------------------------------
    # Deferred
    # ------------------------------------------------------------------

    def _collect_line(self, line, billed, company, date):
        """Yield the rows of one price line.

        :param billed: its :class:`ledger.BilledLine` up to the date
        """
        is_once = line.price_interval == "once"
        for one in billed:
            if not is_once and one.entry.span and one.entry.date_to > date:
                yield self._prepare_deferred(line, one, company, date)
        if line.contract_id.state in CONTRACT_BILLED:
            yield from self._collect_accrued(line, billed, company, date)

    def _prepare_deferred(self, line, billed, company, date):
        # as billing.ledger._get_share, which would look the price line up for each entry
        share = line._get_share_of(billed.entry)
        coin = company.currency_id.rounding
        amount = cutoff.split(billed, date, share, coin).deferred
        days = billed.entry.span.clip(date + periods.DAY, None)
        return self._prepare_billed_row(line, billed.entry, days, amount)

    def _prepare_billed_row(self, record, entry, days, amount):
        return {
            **self._prepare_record_vals(record),
            "kind": cutoff.DEFERRED,
            "amount": amount,
            "product_id": entry.product_id,
            "account_id": entry.account_id or self._get_account(record).id,
            "analytic_distribution": entry.analytic_distribution,
            "invoice_line_id": entry.line_id,
            "date_from": days.date_from,
            "date_to": days.date_to,
        }

    # ------------------------------------------------------------------
    # Accrued
    # ------------------------------------------------------------------

    def _collect_accrued(self, line, billed, company, date):
        """Yield a row for each billing period with days up to the date that nothing invoices."""
        contract = line.contract_id
        terms = contract._get_billing_terms()
        for period, span in self._get_open_parts(line, terms, billed, date):
            amount = self._get_untaxed(line, terms, period, span)
            yield self._prepare_accrued(line, contract.currency_id, span, amount, company, date)

    def _get_open_parts(self, line, terms, billed, date):
        """Yield (billing period of the line, its open days up to the date)."""
        if line.price_interval == "once":
            first, _last = line._get_own_days()
            is_billed = any(not one.is_released() for one in billed)
            if first <= date and not is_billed and not line._is_once_billed_elsewhere():
                yield (periods.Span(first, first),) * 2
            return
        first, last = line._get_first_day(), line._get_last_day()
        until = min(last, date) if last else date
        if until < first:
            return
        entries = [entry for one in billed for entry in (one.entry, *one.credits)]
        for span in periods.open_spans(first, until, ledger.net_spans(entries)):
            for part in line._cut_at_prices(terms.grid.cut(span)):
                period = terms.grid.period(terms.grid.index(part.date_from)).clip(first, last)
                # the days of the period that have the price of this part
                (whole,) = [one for one in line._cut_at_prices([period]) if one.clip(*part)]
                yield whole, part

    def _get_untaxed(self, line, terms, period, part):
        """Return what ``part`` of a billing period costs, without the taxes in its price.

        It is a share of what the invoice of the whole period would show. Bands that are shared
        have counted what was invoiced of them: the part is what is left to invoice.
        """
        if line._shares_bands():
            period = part
        taxes = self._get_taxes(line)
        whole = line._get_charge_vals(terms, period, taxes)
        amount = whole["amount"] if part == period else None
        if amount is None:
            amount = line._get_charge_vals(terms, part, taxes)["amount"]
        untaxed = self._get_charge_untaxed(line.contract_id, whole, taxes)
        if not whole["amount"]:
            return 0.0
        share = (periods.exact(amount), periods.exact(whole["amount"]))
        return float(cutoff.part_of(untaxed, *share, line.currency_id.rounding))

    def _collect_usage(self, item, billed, company, date):
        """Yield the rows of one usage item: earned on its date."""
        in_force = [one for one in billed if not one.is_released()]
        day = periods.Span(item.date, item.date)
        if item.date > date:
            for one in billed:
                yield self._prepare_billed_row(item, one.entry, day, one.left("company_amount"))
        elif not in_force and not item._get_contract_state_errors():
            vals = {name: item[name] for name in ("quantity", "price_unit", "discount", "amount")}
            untaxed = self._get_charge_untaxed(item, vals, self._get_taxes(item))
            yield self._prepare_accrued(item, item.currency_id, day, untaxed, company, date)

    def _prepare_accrued(self, record, currency, span, amount, company, date):
        converted = currency._convert(amount, company.currency_id, company, date)
        return {
            **self._prepare_record_vals(record),
            "kind": cutoff.ACCRUED,
            "amount": periods.exact(converted),
            "product_id": record.product_id.id,
            "account_id": self._get_account(record).id,
            "analytic_distribution": record.analytic_distribution or {},
            "invoice_line_id": None,
            "date_from": span.date_from,
            "date_to": span.date_to,
        }

    # ------------------------------------------------------------------
    # Both kinds of records
    # ------------------------------------------------------------------

    def _prepare_record_vals(self, record):
        is_line = record._name == "billing.contract.line"
        owner = record.contract_id if is_line else record
        return {
            "contract_id": record.contract_id.id,
            "contract_line_id": is_line and record.id,
            "usage_id": not is_line and record.id,
            "partner_id": owner.partner_id.id,
            "cluster_id": owner.cluster_id.id,
        }

    def _get_source(self, record):
        """Return the record that says who is invoiced and how."""
        return record.contract_id if record._name == "billing.contract.line" else record

    def _get_position(self, record):
        return self._get_source(record)._get_run_document_records()["fiscal_position_id"]

    def _get_account(self, record):
        """Return the revenue account that the invoice line would get; it may be empty."""
        source = self._get_source(record)
        position = self._get_position(record)
        return source._get_run_account(record.product_id, record.company_id, position)

    def _get_taxes(self, record):
        source = self._get_source(record)
        position = self._get_position(record)
        product = record.product_id
        return source._get_run_taxes(record.tax_ids, product, record.company_id, position)

    def _get_charge_untaxed(self, source, vals, taxes):
        """Return what the invoice line of ``vals`` would come to without its taxes."""
        return source._get_run_untaxed({**vals, "tax_ids": taxes.ids}, source.currency_id)
