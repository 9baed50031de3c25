from collections import defaultdict
from fractions import Fraction

from odoo import api, models
from odoo.tools import SQL

from ...engine import ledger

#: Which way the amounts of a move count: customers pay invoices and get credit notes.
SIGN = SQL("(CASE move.move_type WHEN 'out_refund' THEN -1 ELSE 1 END)")
#: Quantity × price after discount, to the coin.
PRICE = SQL(
    "round(item.quantity * item.price_unit::numeric * (1 - COALESCE(item.discount, 0) / 100) "
    "/ currency.rounding) * currency.rounding"
)
#: Whether a credit note releases the periods for invoicing, see ``account.move._gives_back``.
RELEASES = SQL("(move.invoice_bill_again AND move.amount_total = reversed.amount_total)")

#: The invoice lines of the amounts in ``amount``: first those of runs, by their amount; then
#: those that credit them, by the line that they name.
FOUND = SQL(
    """
    billed AS MATERIALIZED (
        SELECT amount.record_id, amount.id AS amount_id, amount.corrects_id,
               amount.amount AS planned, amount.net_price, item.id AS item_id
          FROM amount
          JOIN account_move_line item ON item.invoice_run_line_id = amount.id
    ), found AS (
        SELECT billed.record_id, billed.item_id, billed.item_id AS origin_of,
               COALESCE(billed.corrects_id, billed.amount_id) AS amount_id,
               billed.corrects_id IS NOT NULL AS is_correction, FALSE AS is_credit,
               billed.planned, billed.net_price
          FROM billed
         UNION ALL
        SELECT billed.record_id, item.id, billed.item_id, billed.amount_id,
               FALSE, TRUE, billed.planned, billed.net_price
          FROM billed
          JOIN account_move_line item ON item.billing_credited_line_id = billed.item_id
         WHERE item.invoice_run_line_id IS NULL AND billed.corrects_id IS NULL
    )
    """
)


class BillingLedger(models.AbstractModel):
    """What was invoiced, according to the invoices in force: the only place to ask.

    What a run once approved is a plan; Accounting edits, credits, replaces and cancels. So
    whatever states an invoiced figure (corrections, cut-off, forecast, comparison, a contract's
    tab, the portal) asks here.

    How to use
    ----------
    Ask for records of one kind: price lines (``billing.contract.line``), usage items
    (``billing.usage``) or order lines (``sale.order.line``), as many as you like:

    * :meth:`_get_entries`: every journal item that invoiced something of them or credited it,
      each a ``LedgerEntry`` (``engine/ledger.py``): days, invoice line, untaxed amount in both
      currencies, taxes, account, analytic distribution, what it credits;
    * :meth:`_get_billed_lines`: the same, a ``BilledLine`` for each invoice line, with its
      credits: what is left of it, and what of that is for the days after a date;
    * :meth:`_get_billed_days`: the days that are invoiced, also where money was credited for them;
    * :meth:`_get_totals`: untaxed sums, by currency, added up in the database;
    * :meth:`_get_amounts_invoiced`: untaxed sums of single amounts of runs;
    * :meth:`_get_share`: how the amount of an entry is spread over its days, for
      ``BilledLine.left_after``;
    * :meth:`_get_tax_amounts`: the amounts per tax of single entries.

    All are set-based: a fixed number of queries, however many records. They write nothing. They
    read by SQL, past the record rules: the caller has checked that the user may read the records
    that are asked about, and shows nothing of the invoices that the user may not read.

    ``as_of`` (inclusive): the entries confirmed with an accounting date up to that day, as the
    books stand now. Without it: all entries that are not cancelled; drafts of runs too, since
    they hold their periods, but drafts of credits that people created by hand not.

    How it works
    ------------
    An invoice line of a run names its amount (``invoice_run_line_id``). Every line that
    credits something of it (a credit note however it was created, a correction by a run, and
    what undoes these) names the invoice line itself (``billing_credited_line_id``), so signs do
    the rest: what is left of a line is its amount plus those of all lines that name it. What a
    credit does to the days follows from what it is: a correction, or a credit note over the
    whole amount that releases the periods for invoicing; any other leaves them
    invoiced and credits money, for the days that somebody named (``billing_credit_kind``).

    Periods that a run settled without an invoice (documents over nothing) are entries too,
    without a journal item. Order lines are linked by Sales itself, so invoices that were created
    there without a run count as well.
    """

    _name = "billing.ledger"
    _description = "Billed Ledger"

    # ------------------------------------------------------------------
    # Entries
    # ------------------------------------------------------------------

    @api.model
    def _get_entries(self, records, as_of=None):
        """Return what invoiced these records or credited it, oldest first.

        :param records: price lines, usage items or order lines
        :param as_of: last accounting date, inclusive; see the class
        :return: {record id: [:class:`LedgerEntry`]}, an empty list for records without any
        """
        self._flush_ledger()
        entries = defaultdict(list)
        for row in self.env.execute_query(self._get_query(records, as_of)):
            entry = self._new_entry(row)
            entries[entry.record_id].append(entry)
        return entries

    @api.model
    def _get_billed_lines(self, records, as_of=None):
        """Return the invoice lines of these records, each with what credits it.

        :param records: as in :meth:`_get_entries`
        :param as_of: as in :meth:`_get_entries`
        :return: {record id: [:class:`BilledLine`]}, oldest first. Credits whose invoice line is
            no longer in force, or later than ``as_of``, are in none of them.
        """
        entries = self._get_entries(records, as_of)
        return defaultdict(
            list, {record_id: self._match_credits(found) for record_id, found in entries.items()}
        )

    def _match_credits(self, entries):
        """Return the :class:`BilledLine` of each entry that invoices something, oldest first.

        A credit that names no line, since it is older than these links or since its days were
        settled without an invoice, belongs to the last line of its amount.
        """
        billed = [entry for entry in entries if entry.kind == ledger.BILLED]
        last = {entry.amount_id: number for number, entry in enumerate(billed)}
        lines = {entry.line_id: number for number, entry in enumerate(billed) if entry.line_id}
        credits = defaultdict(list)
        for entry in entries:
            if entry.kind != ledger.BILLED:
                origin = entry.origin_id
                number = lines.get(origin) if origin else last.get(entry.amount_id)
                credits[number].append(entry)
        return [
            ledger.BilledLine(entry, tuple(credits[number])) for number, entry in enumerate(billed)
        ]

    @api.model
    def _get_billed_days(self, records, as_of=None):
        """Return the days that are invoiced and were not released again.

        Days stay invoiced when a plain credit note credits their money. Meant for price lines:
        the days of a one-off charge are those that its invoice shows.

        :param records: as in :meth:`_get_entries`
        :param as_of: as in :meth:`_get_entries`
        :return: {record id: [Span]}, in order, adjoining days merged
        """
        entries = self._get_entries(records, as_of)
        return defaultdict(
            list, {record_id: ledger.net_spans(found) for record_id, found in entries.items()}
        )

    @api.model
    def _get_totals(self, records, as_of=None):
        """Return what was invoiced and credited, added up in the database.

        :param records: as in :meth:`_get_entries`
        :param as_of: as in :meth:`_get_entries`
        :return: {record id: {currency id: (invoiced, credited, invoiced in company currency,
            credited in company currency)}}, untaxed; what was credited is negative
        """
        self._flush_ledger()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT record_id, currency_id,
                       COALESCE(sum(amount) FILTER (WHERE kind = %(billed)s), 0),
                       COALESCE(sum(amount) FILTER (WHERE kind != %(billed)s), 0),
                       COALESCE(sum(company_amount) FILTER (WHERE kind = %(billed)s), 0),
                       COALESCE(sum(company_amount) FILTER (WHERE kind != %(billed)s), 0)
                  FROM (%(query)s) entry
                 GROUP BY record_id, currency_id
                """,
                billed=ledger.BILLED,
                query=self._get_query(records, as_of),
            )
        )
        totals = defaultdict(dict)
        for record_id, currency_id, *sums in rows:
            totals[record_id][currency_id] = tuple(map(float, sums))
        return totals

    @api.model
    def _get_amounts_invoiced(self, amounts):
        """Return what the invoices in force say of single amounts of runs.

        An invoice that was released for invoicing, or replaced, is not in force.

        :param amounts: ``invoice.run.line``, of whatever source
        :return: {amount id: (invoiced, credited by hand)}, untaxed, in the currency of the
            invoice; amounts that are on no invoice in force are not in it
        """
        self._flush_ledger()
        rows = self.env.execute_query(
            SQL(
                """
                WITH item AS MATERIALIZED (
                    SELECT item.id, item.invoice_run_line_id AS amount_id,
                           %(sign)s * item.price_subtotal AS billed
                      FROM account_move_line item
                      JOIN account_move move ON move.id = item.move_id
                     WHERE item.invoice_run_line_id = ANY(%(ids)s) AND move.state != 'cancel'
                       AND NOT EXISTS (
                           SELECT FROM account_move credit
                            WHERE credit.reversed_entry_id = move.id AND credit.state = 'posted'
                              AND credit.invoice_bill_again
                              AND credit.amount_total = move.amount_total)
                ), given_back AS (
                    SELECT item.id, sum(%(sign)s * credit.price_subtotal) AS amount
                      FROM item
                      JOIN account_move_line credit ON credit.billing_credited_line_id = item.id
                      JOIN account_move move ON move.id = credit.move_id
                     WHERE credit.invoice_run_line_id IS NULL AND move.state = 'posted'
                     GROUP BY item.id
                )
                SELECT item.amount_id, sum(item.billed), COALESCE(sum(given_back.amount), 0)
                  FROM item LEFT JOIN given_back ON given_back.id = item.id
                 GROUP BY item.amount_id
                """,
                sign=SIGN,
                ids=amounts.ids,
            )
        )
        return {amount_id: (float(billed), float(back)) for amount_id, billed, back in rows}

    @api.model
    def _get_credits_by_hand(self, lines, date_from, date_to):
        """Return what credit notes by hand credited to price lines whose days stay invoiced.

        Neither what runs credited nor what is invoiced again: there the contract says what changed.

        :param lines: a query of price lines (``billing.contract.line``)
        :param date_from: first accounting date, inclusive
        :param date_to: last accounting date, inclusive
        :return: {price line id: amount}, untaxed, in company currency as booked, negative
        """
        self._flush_ledger()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT amount.contract_line_id, -sum(item.balance)
                  FROM account_move move
                  JOIN account_move_line item ON item.move_id = move.id
                  JOIN account_move_line origin ON origin.id = item.billing_credited_line_id
                  JOIN invoice_run_line amount ON amount.id = origin.invoice_run_line_id
                  LEFT JOIN account_move reversed ON reversed.id = move.reversed_entry_id
                 WHERE move.state = 'posted' AND move.date BETWEEN %(first)s AND %(last)s
                   AND item.invoice_run_line_id IS NULL AND amount.corrects_id IS NULL
                   AND NOT COALESCE(%(releases)s, FALSE)
                   AND amount.contract_line_id IN %(lines)s
                 GROUP BY amount.contract_line_id
                """,
                first=date_from,
                last=date_to,
                releases=RELEASES,
                lines=lines.subselect(),
            )
        )
        return {line_id: float(amount) for line_id, amount in rows}

    # ------------------------------------------------------------------
    # Days
    # ------------------------------------------------------------------

    @api.model
    def _get_share(self, entry):
        """Return how the amount of ``entry``, which invoices days, is spread over them.

        As its price line invoices them (a year by months, a cut month by the proration of the
        contract) while the terms of the contract still give the amount that the run planned;
        otherwise evenly over the days. One-off charges, usage items and order lines are for no
        days: all of it counts as up to any day.

        :param entry: a :class:`LedgerEntry`; read the price lines ahead for many of them
        :return: a function of a day (inclusive), see ``ledger.Share``
        """
        amount = self.env["invoice.run.line"].browse(entry.amount_id)
        line = amount.contract_line_id
        if not entry.span or not line or line.price_interval == "once":
            return lambda day: Fraction(1)
        return line._get_share_of(entry)

    # ------------------------------------------------------------------
    # Taxes
    # ------------------------------------------------------------------

    @api.model
    def _get_tax_amounts(self, line_ids):
        """Return the taxes of journal items as booked, per tax.

        Of each invoice all lines are computed by Odoo's tax engine, with the invoice's own rate
        and rounding, so that the sums are those of its tax lines. Meant for single invoices.

        :param line_ids: ids of journal items, see ``LedgerEntry.line_id``
        :return: {journal item id: {tax id: (amount, amount in company currency)}}; positive
            where the tax was invoiced, negative where it was credited
        """
        wanted = self.env["account.move.line"].browse(line_ids)
        result = {}
        for move in wanted.move_id:
            sign = -1 if move.move_type == "out_refund" else 1
            base_lines, _tax_lines = move._get_rounded_base_and_tax_lines()
            for base_line in base_lines:
                if base_line["record"] in wanted:
                    result[base_line["record"].id] = {
                        data["tax"].id: (
                            sign * data["tax_amount_currency"],
                            sign * data["tax_amount"],
                        )
                        for data in base_line["tax_details"]["taxes_data"]
                    }
        return result

    # ------------------------------------------------------------------
    # SQL
    # ------------------------------------------------------------------

    def _flush_ledger(self):
        """Write what the query reads and the ORM still holds."""
        fnames = ["invoice_run_line_id", "billing_credited_line_id", "billing_credit_kind"]
        fnames += ["billing_date_from", "billing_date_to", "price_subtotal", "price_total"]
        fnames += ["balance", "quantity", "price_unit", "discount", "account_id", "product_id"]
        self.env["account.move.line"].flush_model([*fnames, "analytic_distribution"])
        self.env["account.move"].flush_model(
            ["state", "date", "move_type", "amount_total", "reversed_entry_id"]
            + ["invoice_bill_again", "currency_id"]
        )
        self.env["invoice.run.line"].flush_model()
        self.env["invoice.run.document"].flush_model(
            ["state", "invoice_date", "currency_id", "currency_rate"]
        )

    def _get_query(self, records, as_of):
        """Return the query of the entries of ``records``, in the order of :meth:`_new_entry`."""
        if records._name == "sale.order.line":
            return self._get_sale_query(records, as_of)
        return self._get_amount_query(records, as_of)

    def _get_date_condition(self, as_of):
        """Return which moves count, as ``move``."""
        if as_of:
            return SQL("move.state = 'posted' AND move.date <= %s", as_of)
        return SQL("move.state != 'cancel'")

    def _get_amount_query(self, records, as_of):
        """Return the entries of amounts of runs that are on invoices, and of those settled."""
        return SQL(
            """
            WITH amount AS MATERIALIZED (
                SELECT amount.*, amount.%(link)s AS record_id
                  FROM invoice_run_line amount
                 WHERE amount.%(link)s = ANY(%(ids)s)
            ), %(found)s
            %(invoiced)s
             UNION ALL
            %(settled)s
             ORDER BY accounting_date, line_id
            """,
            link=SQL.identifier(self._get_link(records)),
            ids=records.ids,
            found=FOUND,
            invoiced=self._get_invoiced_query(as_of),
            settled=self._get_settled_query(as_of),
        )

    @api.model
    def _get_link(self, records):
        """Return the field by which amounts claim such ``records``."""
        fields = self.env["invoice.run.line"]._fields
        names = self.env["invoice.run.source"]._get_claim_fields()
        return next(name for name in names if fields[name].comodel_name == records._name)

    def _get_invoiced_query(self, as_of):
        """Return the entries of what ``FOUND`` finds: a row for each invoice line."""
        return SQL(
            """
            SELECT found.record_id,
                   CASE WHEN found.is_correction THEN 'released'
                        WHEN NOT found.is_credit THEN 'billed'
                        WHEN %(releases)s THEN
                             CASE WHEN %(sign)s * item.quantity * origin.quantity
                                       * (CASE origin_move.move_type
                                          WHEN 'out_refund' THEN -1 ELSE 1 END) > 0
                                  THEN 'restored' ELSE 'released' END
                        ELSE COALESCE(item.billing_credit_kind, 'unasked') END AS kind,
                   item.id AS line_id, item.move_id, found.amount_id,
                   item.billing_credited_line_id AS origin_id,
                   item.billing_date_from AS date_from, item.billing_date_to AS date_to,
                   move.date AS accounting_date, move.state = 'posted' AS is_posted,
                   move.currency_id, currency.rounding AS coin,
                   %(sign)s * item.price_subtotal AS amount, -item.balance AS company_amount,
                   %(sign)s * (item.price_total - item.price_subtotal) AS tax_amount,
                   %(sign)s * %(price)s AS price_amount,
                   item.account_id, item.product_id, item.analytic_distribution,
                   found.planned, found.net_price
              FROM found
              JOIN account_move_line item ON item.id = found.item_id
              JOIN account_move move ON move.id = item.move_id
              JOIN res_currency currency ON currency.id = move.currency_id
              LEFT JOIN account_move_line origin ON origin.id = item.billing_credited_line_id
              LEFT JOIN account_move origin_move ON origin_move.id = origin.move_id
              LEFT JOIN account_move reversed ON reversed.id = move.reversed_entry_id
             WHERE %(date)s AND (NOT found.is_credit OR move.state = 'posted')
            """,
            date=self._get_date_condition(as_of),
            sign=SIGN,
            price=PRICE,
            releases=RELEASES,
        )

    def _get_settled_query(self, as_of):
        """Return the entries of amounts that were settled without an invoice."""
        return SQL(
            """
            SELECT amount.record_id,
                   CASE WHEN amount.corrects_id IS NULL THEN 'billed' ELSE 'released' END,
                   NULL, NULL, COALESCE(amount.corrects_id, amount.id), amount.credited_line_id,
                   amount.billing_date_from, amount.billing_date_to, document.invoice_date, TRUE,
                   document.currency_id, currency.rounding, amount.amount_untaxed,
                   amount.amount_untaxed / COALESCE(NULLIF(document.currency_rate, 0), 1), 0,
                   amount.amount, NULL,
                   amount.product_id, amount.analytic_distribution, amount.amount,
                   amount.net_price
              FROM amount
              JOIN invoice_run_document document ON document.id = amount.document_id
              JOIN res_currency currency ON currency.id = document.currency_id
             WHERE document.state = 'nothing'
               AND (%(as_of)s IS NULL OR document.invoice_date <= %(as_of)s)
            """,
            as_of=as_of or None,
        )

    def _get_sale_query(self, records, as_of):
        """Return the entries of order lines: whatever invoice or credit note Sales links."""
        return SQL(
            """
            SELECT rel.order_line_id AS record_id,
                   CASE WHEN move.move_type = 'out_refund' AND item.quantity > 0
                        THEN 'released' ELSE 'billed' END AS kind,
                   item.id AS line_id, item.move_id, item.invoice_run_line_id,
                   item.billing_credited_line_id, NULL::date, NULL::date,
                   move.date AS accounting_date, move.state = 'posted',
                   move.currency_id, currency.rounding,
                   %(sign)s * item.price_subtotal AS amount, -item.balance AS company_amount,
                   %(sign)s * (item.price_total - item.price_subtotal), %(sign)s * %(price)s,
                   item.account_id, item.product_id,
                   item.analytic_distribution, amount.amount AS planned, amount.net_price
              FROM sale_order_line_invoice_rel rel
              JOIN account_move_line item ON item.id = rel.invoice_line_id
              JOIN account_move move ON move.id = item.move_id
              JOIN res_currency currency ON currency.id = move.currency_id
              LEFT JOIN invoice_run_line amount ON amount.id = item.invoice_run_line_id
             WHERE rel.order_line_id = ANY(%(ids)s) AND %(date)s
             ORDER BY accounting_date, line_id
            """,
            ids=records.ids,
            date=self._get_date_condition(as_of),
            sign=SIGN,
            price=PRICE,
        )

    def _new_entry(self, row):
        """Return the entry of one row of :meth:`_get_query`."""
        *head, account_id, product_id, analytic_distribution, planned, net_price = row
        numbers = [float(number or 0) for number in head[11:]]
        return ledger.LedgerEntry(
            *head[:11],
            *numbers,
            account_id,
            product_id,
            analytic_distribution or {},
            planned or 0.0,
            net_price or 0.0,
        )
