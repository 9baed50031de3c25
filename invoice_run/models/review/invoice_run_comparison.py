from collections import defaultdict

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.tools import SQL

from ...engine import periods
from ...memory import assign

#: What is compared with what: the key of a line, and which lines of earlier documents count.
#: What has no contract is compared by customer, each source by itself.
BASES = {
    # the periods of a contract, with the usage that was invoiced with them
    "periods": (
        "line.contract_id",
        "line.contract_line_id IS NOT NULL AND COALESCE(line.late_number, 0) = 0",
    ),
    # usage of a contract that is invoiced alone
    "usage": ("line.contract_id", "line.contract_line_id IS NULL"),
}


class InvoiceRunDocument(models.Model):
    """Comparison of a document with the previous invoice of the same contracts or customer.

    Like with like: one-off charges and credits are left out, several periods are compared with
    as many of the earlier ones, and a reversed invoice is not a previous one.
    """

    _inherit = "invoice.run.document"

    previous_amount = fields.Monetary(
        "Previous Invoice",
        readonly=True,
        help="Untaxed amount of the last invoice that runs created for the same contracts and "
        "number of periods, without one-off charges and credits; without a contract: for "
        "the same customer. In the currency of this document, at the rate of its date.",
    )
    last_amount = fields.Monetary(
        "Last Time",
        readonly=True,
        help="Untaxed amount of the last invoices that runs created for the same contracts, as "
        "they are: with one-off charges and credits, whatever time they are for. In the currency "
        "of this one.",
    )
    variance = fields.Float(
        "Change %",
        readonly=True,
        aggregator=None,
        help="Untaxed amount against the previous invoice, in percent.",
    )
    is_first = fields.Boolean("First Invoice", readonly=True)
    is_outlier = fields.Boolean(
        "Unusual Amount",
        readonly=True,
        help="More than the previous invoice times the outlier factor of the company, or less "
        "than it divided by that factor; or in another currency that has no rate.",
    )
    has_missing_charge = fields.Boolean(
        "Charge Missing",
        readonly=True,
        help="A price line that was on the previous invoice and is still in force is not here.",
    )
    is_accepted = fields.Boolean(
        "Checked", readonly=True, help="The flags have been checked and found to be correct."
    )
    is_flagged = fields.Boolean(
        "To Check",
        compute="_compute_is_flagged",
        store=True,
        help="Unusual amount, missing charge, large credit or total above the maximum that nobody "
        "has checked yet.",
    )

    @api.depends(
        "is_outlier", "has_missing_charge", "is_large_credit", "is_above_max", "is_accepted"
    )
    def _compute_is_flagged(self):
        for document in self:
            document.is_flagged = document._needs_check() and not document.is_accepted

    def _needs_check(self):
        """Whether there is something about this document that a person should look at."""
        is_unusual = self.is_outlier or self.has_missing_charge
        return is_unusual or self.is_large_credit or self.is_above_max

    def action_accept(self):
        """Note that the flags of these documents were checked and the amounts are right.

        Where invoices are automatic, those of an approved run go on.

        :raises AccessError: the user is not a reviewer
        """
        self.check_access("write")
        self._check_may_accept()
        held_back = self.filtered(lambda document: document._is_held_back())
        self._write_engine({"is_accepted": True})
        self.run_id._note_prepared()
        for run in held_back.run_id:
            if run.state == "approved" and run.job == "none" and run._is_automatic("invoices"):
                run._start_invoices()

    def _check_may_accept(self):
        if not self.env.su and not self.env.user._is_invoice_run_reviewer():
            raise AccessError(
                self.env._("Only reviewers can mark unusual documents as checked. Ask one of them.")
            )

    def _update_comparison(self):
        """Compare these new documents with what was invoiced last, and set their flags."""
        amounts = {document: document._get_comparable_lines() for document in self}
        previous = self._get_all_previous(amounts.values())
        earlier = self.browse().union(*previous.values())
        invoiced = earlier._get_all_invoiced()
        comparisons = [
            document._prepare_comparison_vals(found, previous, invoiced)
            for document, found in amounts.items()
        ]
        assign(self, comparisons)

    def _get_all_previous(self, found, before=None):
        """Return {(basis, key): document} for all of ``found``, see :meth:`_get_previous`.

        :param found: what :meth:`_get_comparable_lines` says of each of these documents
        """
        wanted = defaultdict(set)
        for basis, key in set().union(*found):
            wanted[basis].add(key)
        return {
            (basis, key): document
            for basis, keys in wanted.items()
            for key, document in self._get_previous(basis, keys, before).items()
        }

    def _get_all_invoiced(self):
        """Return what these earlier documents invoiced, by the ledger: {amount id: …}."""
        return self.env["billing.ledger"]._get_amounts_invoiced(self.line_ids)

    def _get_comparable_lines(self):
        """Return {(basis, id of contract or customer): lines} of what can be compared.

        The basis is one of ``BASES``; without contract, the model of the source.
        """
        self.ensure_one()
        lines = self.line_ids.filtered(lambda line: line._is_comparable())
        if not lines.contract_id:
            groups = lines.grouped(lambda line: line._get_source()._name)
            return {(name, self.partner_id.id): group for name, group in groups.items()}
        basis = "periods" if lines.contract_line_id else "usage"
        by_contract = lines.filtered("contract_id").grouped("contract_id")
        return {(basis, contract.id): group for contract, group in by_contract.items()}

    def _get_previous(self, basis, keys, before=None):
        """Return {key: newest document that is invoiced and not reversed} of ``basis``.

        Of the company of these documents: a customer may be shared with others.

        :param before: documents of one run: none of that run, and none created after them
        """
        Document, Line = self.env["invoice.run.document"], self.env["invoice.run.line"]
        Document.flush_model(["state", "invoice_date", "partner_id", "date_to", "move_id"])
        links = self.env["invoice.run.source"]._get_link_fields()
        Line.flush_model([*links, "corrects_id", "document_id", "late_number"])
        self.env["account.move"].flush_model(["payment_state"])
        key, condition = self._get_basis(basis)
        if before:
            condition = SQL(
                "%s AND document.run_id <> %s AND document.id < %s",
                condition,
                before.run_id.id,
                max(before.ids),
            )
        rows = self.env.execute_query(
            SQL(
                """
                SELECT DISTINCT ON (%(key)s) %(key)s, document.id
                  FROM invoice_run_document document
                  JOIN invoice_run_line line ON line.document_id = document.id
                  JOIN account_move move ON move.id = document.move_id
                 WHERE %(key)s = ANY(%(keys)s) AND document.state = 'invoiced'
                   AND document.company_id = ANY(%(companies)s)
                   AND move.payment_state IS DISTINCT FROM 'reversed'
                   AND line.corrects_id IS NULL AND %(condition)s
                 ORDER BY %(key)s, document.invoice_date DESC, document.date_to DESC,
                          document.id DESC
                """,
                key=key,
                keys=sorted(keys),
                companies=self.company_id.ids,
                condition=condition,
            )
        )
        # together, so that they are read together
        documents = Document.browse([document_id for _key, document_id in rows])
        return {key: document for (key, _id), document in zip(rows, documents, strict=True)}

    @api.model
    def _get_basis(self, basis):
        """Return the key of a line, and which lines of earlier documents count, as SQL."""
        if basis in BASES:
            key, condition = BASES[basis]
            return SQL(key), SQL(condition)
        name = SQL.identifier("line", self.env[basis]._source_record_field)
        return SQL("document.partner_id"), SQL("line.contract_id IS NULL AND %s IS NOT NULL", name)

    def _prepare_comparison_vals(self, found, previous, invoiced):
        """Return amount and flags of this document against what was invoiced before.

        :param found: {(basis, key): lines} of this document
        :param previous: {(basis, key): document}
        :param invoiced: what the earlier documents invoiced, by the ledger
        """
        self.ensure_one()
        amount = before = 0.0
        known = unlike = self.browse()
        for key, lines in found.items():
            document = previous.get(key, self.browse())
            known |= document
            rate = self._get_rate_from(document) if document else None
            if rate:
                amount += sum(lines.mapped("amount_untaxed"))
                before += document._get_amount_before(key, lines, invoiced) * rate
            else:
                unlike |= document
        before = self.currency_id.round(before)
        missing = self._get_missing_lines(known)
        last = self._get_last_amounts(found, previous, missing, invoiced)
        factor = self.company_id.invoice_run_outlier_factor
        usual = abs(before)
        unusual = usual and factor > 0 and not usual / factor <= abs(amount) <= usual * factor
        return {
            "previous_amount": before,
            "last_amount": self.currency_id.round(sum(last.values())),
            "variance": 100.0 * (amount - before) / usual if usual else 0.0,
            "is_first": bool(found) and not known,
            # what cannot be compared must be looked at as well
            "is_outlier": bool(unusual or unlike),
            "has_missing_charge": bool(missing),
        }

    def _get_last_amounts(self, found, previous, missing, invoiced):
        """Return {earlier amount: what its invoice charged}, in the currency of this document.

        Of all that the previous documents invoiced of the same contracts or customer, and of the
        price lines that are missing here. Amounts in a currency without rate are left out.

        :param found: {(basis, key): lines} of this document
        :param previous: {(basis, key): document}
        :param missing: see :meth:`_get_missing_lines`
        :param invoiced: what the earlier documents invoiced, by the ledger
        """
        lines = self.env["invoice.run.line"]
        documents = self.browse()
        for key in found:
            if document := previous.get(key):
                documents |= document
                lines |= document._get_lines_of(key)
        lines |= documents.line_ids.filtered(
            lambda line: line.contract_line_id in missing and line._is_comparable()
        )
        rates = {document: self._get_rate_from(document) for document in documents}
        return {
            line: invoiced[line.id][0] * rates[line.document_id]
            for line in lines
            if line.id in invoiced and rates[line.document_id]
        }

    def _get_lines_of(self, key):
        """Return what this earlier document invoiced of ``key``: (basis, contract or customer)."""
        return self.line_ids.filtered(lambda line: line._is_of_basis(*key))

    def _get_rate_from(self, document):
        """Return units of this document's currency per unit of an earlier document's; 0: no rate.

        On the date of this one: a change of rates does not change what is invoiced.
        """
        if document.currency_id == self.currency_id:
            return 1.0
        date = self.invoice_date or self.company_id._get_invoice_run_today()
        source = self.run_id.scenario_id._get_source()
        if source._get_currency_errors(document.currency_id, self.company_id, date):
            return 0.0
        return self.env["res.currency"]._get_conversion_rate(
            document.currency_id, self.currency_id, self.company_id, date
        )

    @api.model
    def _prepare_no_comparison_vals(self):
        names = ("is_first", "is_outlier", "has_missing_charge")
        amounts = ("previous_amount", "last_amount", "variance")
        return {**dict.fromkeys(amounts, 0.0), **dict.fromkeys(names, False)}

    def _get_amount_before(self, key, lines, invoiced):
        """Return what this earlier document invoiced of ``key``, for as much time as ``lines``.

        As its invoice says now: it may have been edited or replaced since it was approved.
        """
        earlier = self._get_lines_of(key).filtered(lambda line: line._is_comparable())
        amount = sum(invoiced[line.id][0] for line in earlier if line.id in invoiced)
        here, before = lines._get_billed_time(), earlier._get_billed_time()
        return amount * here / before if here and before else amount

    def _get_missing_lines(self, previous):
        """Return price lines of the previous invoice that are in force but not invoiced here.

        A contract that shared the previous invoice may be on another document of this run.
        """
        missing = self._get_lines_in_force(previous)
        elsewhere = missing.filtered(lambda line: line.contract_id not in self.contract_ids)
        return missing - elsewhere._get_billed_in(self.run_id) if elsewhere else missing

    def _get_lines_in_force(self, previous):
        """Return price lines of the previous invoice that are in force and not on this document."""
        before = previous.line_ids.filtered(lambda line: line._is_comparable()).contract_line_id
        return (before - self.line_ids.contract_line_id).filtered(
            lambda line: not line._get_last_day() or line._get_last_day() >= self.date_from
        )


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _is_comparable(self):
        """Whether this amount comes again: no one-off charge, no credit."""
        self.ensure_one()
        return not self.corrects_id and self._get_source()._is_recurring(self)

    def _is_of_basis(self, basis, key_id):
        """Whether this earlier amount is compared with those of ``basis`` and its key."""
        if basis not in BASES:
            return not self.contract_id and self._get_source()._name == basis
        is_same = self.contract_id.id == key_id
        return is_same and (basis == "periods" or not self.contract_line_id)

    def _get_billed_time(self):
        """Return the time that these amounts of one contract invoice, in billing periods; 0: none.

        Every invoiced period counts once, however many price lines it has.
        """
        billed = self.filtered("contract_line_id")
        # usage of the period before, on an invoice in advance, is no further period
        billed = billed.filtered(lambda line: not line.is_metered) or billed
        spans = periods.union(
            periods.Span(line.billing_date_from, line.billing_date_to) for line in billed
        )
        return sum(billed.contract_id._get_period_share(*span) for span in spans)


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def _get_period_share(self, first, last):
        """Return how many billing periods the days from ``first`` to ``last`` (inclusive) are."""
        self.ensure_one()
        span = periods.Span(first, last)
        try:
            grid = self._get_billing_terms().grid
        except ValueError:  # impossible terms: an exception says so
            return span.days
        return sum(part.days / grid.period(grid.index(part[0])).days for part in grid.cut(span))


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    def _get_billed_in(self, run):
        """Return the price lines of these that ``run`` invoices."""
        groups = self.env["invoice.run.line"]._read_group(
            [
                ("run_id", "=", run.id),
                ("contract_line_id", "in", self.ids),
                ("document_id.state", "!=", "excluded"),
            ],
            ["contract_line_id"],
        )
        return self.browse().union(*(line for (line,) in groups))
