import base64

from odoo import fields, models
from odoo.fields import Domain
from odoo.tools import SQL, format_date, format_datetime
from odoo.tools.image import image_process

from ...engine.register import Amount, Column, Register, Section
from ...engine.register_pdf import RegisterPdf
from ...engine.register_xlsx import RegisterXlsx
from ..base.states import DOCUMENT_NOT_IN_RUN, SEND_FAILED

#: Rows read at a time: memory does not grow with the run.
ROWS_PER_READ = 2000
FIRST_SEQUENCE = -(2**31)
#: What a file of this kind begins with.
PNG = b"\x89PNG"
#: Documents that count in no total, as on the run's form.
NOT_COUNTED = (*DOCUMENT_NOT_IN_RUN, "credit")


class InvoiceRun(models.Model):
    """The run report: everything in a run as a PDF or a spreadsheet.

    All figures come from aggregates and from rows read by SQL in pieces; the documents are those
    that the user may read.
    """

    _inherit = "invoice.run"

    def action_register_pdf(self):
        """Download the report of this run as a PDF."""
        return self._get_register_action("pdf")

    def action_register_xlsx(self):
        """Download the report of this run as a spreadsheet."""
        return self._get_register_action("xlsx")

    def _get_register_action(self, kind):
        self.ensure_one()
        self.check_access("read")
        url = f"/invoice_run/register/{self.id}/{kind}"
        return {"type": "ir.actions.act_url", "url": url, "target": "download"}

    def _render_register(self, kind):
        """Return the file, as bytes.

        :param kind: ``pdf`` or ``xlsx``
        """
        self.ensure_one()
        self.check_access("read")
        run = self.with_context(lang=self.env.user.lang).with_company(self.company_id)
        register = run._get_register()
        if kind == "xlsx":
            return RegisterXlsx(register, self.env._("Totals")).render()
        lang = self.env["res.lang"]._lang_get(run.env.lang or "en_US")
        pdf = RegisterPdf(
            register,
            lambda value, digits: lang.format(f"%.{digits}f", value, grouping=True),
            lambda day: format_date(run.env, day),
            lambda page, pages: run.env._("Page %(page)s of %(pages)s", page=page, pages=pages),
        )
        return pdf.render()

    def _get_register_name(self, kind):
        return f"{self.reference}.{kind}"

    def _get_register(self):
        """Return the register of this run, see ``register.py``; lists are read when written."""
        self.env.flush_all()
        return Register(
            title=self.env._("Invoice Run %(run)s", run=self.display_name),
            company=self._get_register_company(),
            logo=self._get_register_logo(),
            facts=self._get_register_facts(),
            totals=self._get_register_totals(),
            lists=[self._get_register_documents(), self._get_register_exceptions()],
        )

    def _get_register_company(self):
        # sudo: letterhead of the run's own company
        partner = self.company_id.sudo().partner_id
        town = " ".join(filter(None, [partner.zip, partner.city]))
        address = ", ".join(filter(None, [partner.street, town, partner.country_id.name]))
        return [self.company_id.name, *filter(None, [address, partner.vat])]

    def _get_register_logo(self):
        # sudo: as above
        logo = self.company_id.sudo().logo_web
        if not logo:
            return None
        # small, and of a kind that reportlab reads
        picture = image_process(base64.b64decode(logo), (360, 84), output_format="PNG")
        # Odoo leaves SVG and WEBP as they are
        return picture if picture.startswith(PNG) else None

    def _get_register_facts(self):
        state = dict(self._fields["state"]._description_selection(self.env))[self.state]
        period = " – ".join(format_date(self.env, day) for day in (self.date_from, self.date_to))
        facts = [
            (self.env._("Period"), period),
            (self.env._("Invoice Date"), format_date(self.env, self.invoice_date)),
            (self.env._("Scenario"), self.scenario_id.name),
            (self.env._("Schedule"), self.schedule_id.reference),
            (self.env._("Status"), state),
            (self.env._("Responsible"), self.user_id.name),
            (self.env._("Submitted by"), self.submitted_by_id.name),
            (self.env._("Reviewer"), self.reviewer_id.name),
            (self.env._("Approved by"), self.approved_by_id.name),
            (self.env._("Approved on"), self._format_moment(self.approved_date)),
            (self.env._("Checked by a person"), str(self._count_checked())),
            (self.env._("Still to check"), str(self.flagged_count)),
            (self.env._("Report created on"), self._format_moment(fields.Datetime.now())),
            (self.env._("Report created by"), self.env.user.name),
        ]
        return [(label, text or "–") for label, text in facts]

    def _format_moment(self, moment):
        return moment and format_datetime(self.env, moment, dt_format="short")

    def _count_checked(self):
        domain = self._get_register_domain() & Domain("is_accepted", "=", True)
        return self.env["invoice.run.document"].search_count(domain)

    def _get_register_domain(self):
        return Domain("run_id", "=", self.id)

    def _get_counted_domain(self):
        return self._get_register_domain() & Domain("state", "not in", NOT_COUNTED)

    # ------------------------------------------------------------------
    # Totals
    # ------------------------------------------------------------------

    def _get_register_totals(self):
        company = self.company_id.currency_id.name
        return [
            self._get_due_section(company),
            self._get_currency_section(),
            self._get_tax_section(company),
            self._get_account_section(company),
            self._get_cluster_section(),
        ]

    def _get_due_section(self, company):
        columns = [
            Column(self.env._("Outcome"), "text", 30),
            self._get_count_column(),
            Column("", "amount", 14),
        ]
        title = self.env._("What is due (untaxed, %(currency)s)", currency=company)
        return Section(title, columns, self._get_due_rows, has_total=True)

    def _get_currency_section(self):
        columns = [
            Column(self.env._("Currency"), "text", 16),
            self._get_count_column(),
            Column(self.env._("Untaxed"), "amount", 14),
            Column(self.env._("Taxes"), "amount", 14),
            Column(self.env._("Total"), "amount", 14),
        ]
        return Section(self.env._("Per currency"), columns, self._get_currency_rows)

    def _get_tax_section(self, company):
        columns = [
            Column(self.env._("Tax"), "text", 42),
            Column(self.env._("Base"), "amount", 14),
            Column(self.env._("Tax Amount"), "amount", 14),
        ]
        title = self.env._("Per tax (%(currency)s)", currency=company)
        return Section(title, columns, self._get_tax_rows, has_total=True)

    def _get_account_section(self, company):
        columns = [
            Column(self.env._("Account"), "text", 42),
            Column(self.env._("Debit"), "amount", 14),
            Column(self.env._("Credit"), "amount", 14),
        ]
        title = self.env._("Per account, created invoices (%(currency)s)", currency=company)
        return Section(title, columns, self._get_account_rows, has_total=True)

    def _get_cluster_section(self):
        columns = [
            Column(self.env._("Cluster"), "text", 28),
            Column(self.env._("Currency"), "text", 12),
            self._get_count_column(),
            Column(self.env._("Untaxed"), "amount", 14),
        ]
        return Section(self.env._("Per billing cluster"), columns, self._get_cluster_rows)

    def _get_count_column(self):
        return Column(self.env._("Documents"), "count", 12)

    def _get_due_rows(self):
        parts = [
            (self.env._("To do"), self.to_do_count, self.to_do_amount),
            (self.env._("Invoiced"), self.invoiced_count, self.invoiced_amount),
            (self.env._("Nothing to invoice"), self.nothing_count, self.nothing_amount),
            (self.env._("Excluded"), self.excluded_count, self.excluded_amount),
            (self.env._("Outside Limits"), self.held_count, self.held_amount),
            (self.env._("Failed"), self.not_invoiced_count, self.not_invoiced_amount),
            (self.env._("Released"), self.released_count, self.released_amount),
            (
                self.env._("Waiting, without document"),
                self.held_exception_count,
                self.held_exception_amount,
            ),
            (
                self.env._("Not billable, without document"),
                self.failed_exception_count,
                self.failed_exception_amount,
            ),
        ]
        digits = self.currency_id.decimal_places
        rows = [(label, count, Amount(amount, digits)) for label, count, amount in parts if count]
        return [*rows, (self.env._("Due"), self.due_count, Amount(self.due_amount, digits))]

    def _get_currency_rows(self):
        groups = self.env["invoice.run.document"]._read_group(
            self._get_counted_domain(),
            ["currency_id"],
            ["__count", "amount_untaxed:sum", "amount_tax:sum", "amount_total:sum"],
        )
        for currency, count, *amounts in groups:
            digits = currency.decimal_places
            yield currency.name, count, *(Amount(amount, digits) for amount in amounts)

    def _get_tax_rows(self):
        """Yield per tax, from journal items; what has no invoice yet by all taxes of a document.

        Both are exact: nothing is rounded here.
        """
        digits = self.currency_id.decimal_places
        rows = [*self._get_invoiced_taxes(), *self._get_open_taxes()]
        for label, base, tax in rows:
            yield label, Amount(base, digits), Amount(tax, digits)
        if rows:
            base, tax = sum(row[1] for row in rows), sum(row[2] for row in rows)
            yield self.env._("Total"), Amount(base, digits), Amount(tax, digits)

    def _get_invoiced_taxes(self):
        """Yield (name, base, tax) of the invoices; an amount with two taxes is in the base of both.

        So the bases add up to the untaxed amount only where no line has two taxes.
        """
        found = {}
        for number, query in enumerate((self._get_base_query(), self._get_tax_query())):
            for tax_id, amount in self.env.execute_query(query):
                found.setdefault(tax_id, [0.0, 0.0])[number] = amount
        names = self._get_tax_names(found)
        for tax_id in sorted(found, key=names.get):
            yield names[tax_id], *found[tax_id]

    def _get_base_query(self):
        return SQL(
            """
            SELECT COALESCE(tax.account_tax_id, 0), -SUM(item.balance)
              FROM account_move_line item
              JOIN invoice_run_document document ON document.move_id = item.move_id
              LEFT JOIN account_move_line_account_tax_rel tax
                ON tax.account_move_line_id = item.id
             WHERE document.id IN %s AND document.state = 'invoiced'
               AND item.tax_line_id IS NULL
               AND (item.display_type = 'product' OR tax.account_tax_id IS NOT NULL)
             GROUP BY 1
            """,
            self._get_register_ids(),
        )

    def _get_tax_query(self):
        return SQL(
            """
            SELECT COALESCE(item.group_tax_id, item.tax_line_id), -SUM(item.balance)
              FROM account_move_line item
              JOIN invoice_run_document document ON document.move_id = item.move_id
             WHERE document.id IN %s AND document.state = 'invoiced'
               AND item.tax_line_id IS NOT NULL
             GROUP BY 1
            """,
            self._get_register_ids(),
        )

    def _get_open_taxes(self):
        """Yield (names, base, tax) of documents without invoice, by all taxes that are on them."""
        amounts = self.env["invoice.run.line"]
        taxes = amounts._fields["tax_ids"]
        query = SQL(
            """
            SELECT taxes.ids, SUM(document.company_amount_untaxed),
                   SUM(document.company_amount_tax)
              FROM invoice_run_document document
              JOIN (SELECT line.document_id,
                           array_agg(DISTINCT COALESCE(tax.%(tax)s, 0)) AS ids
                      FROM invoice_run_line line
                      LEFT JOIN %(relation)s tax ON tax.%(line)s = line.id
                     WHERE line.run_id = %(run)s
                     GROUP BY line.document_id) taxes ON taxes.document_id = document.id
             WHERE document.id IN %(documents)s AND document.state IN ('to_do', 'failed')
             GROUP BY taxes.ids
            """,
            tax=SQL.identifier(taxes.column2),
            line=SQL.identifier(taxes.column1),
            relation=SQL.identifier(taxes.relation),
            run=self.id,
            documents=self._get_register_ids(),
        )
        rows = self.env.execute_query(query)
        names = self._get_tax_names({tax_id for ids, *_amounts in rows for tax_id in ids})
        found = [
            (" + ".join(sorted(names[tax_id] for tax_id in ids)), base, tax)
            for ids, base, tax in rows
        ]
        for label, base, tax in sorted(found):
            yield self.env._("%(taxes)s, to be invoiced", taxes=label), base, tax

    def _get_tax_names(self, tax_ids):
        """Return {tax id: name}; 0 is no tax."""
        # sudo: taxes of the run's own amounts and invoices
        taxes = self.env["account.tax"].sudo().browse(tax_id for tax_id in tax_ids if tax_id)
        return {0: self.env._("No tax")} | {tax.id: tax.name for tax in taxes}

    def _get_account_rows(self):
        query = SQL(
            """
            SELECT item.account_id, SUM(item.debit), SUM(item.credit)
              FROM account_move_line item
              JOIN invoice_run_document document ON document.move_id = item.move_id
             WHERE document.id IN %s AND document.state = 'invoiced'
               AND item.account_id IS NOT NULL
             GROUP BY 1
            """,
            self._get_register_ids(),
        )
        rows = self.env.execute_query(query)
        # sudo: accounts of the run's own invoices
        accounts = self.env["account.account"].sudo().browse(row[0] for row in rows)
        names = {account.id: f"{account.code} {account.name}" for account in accounts}
        digits = self.currency_id.decimal_places
        for account_id, *amounts in sorted(rows, key=lambda row: names[row[0]]):
            yield names[account_id], *(Amount(amount, digits) for amount in amounts)
        if rows:
            totals = (Amount(sum(row[number] for row in rows), digits) for number in (1, 2))
            yield self.env._("Total"), *totals

    def _get_cluster_rows(self):
        query = SQL(
            """
            SELECT COALESCE(contract.cluster_id, usage.cluster_id, sale.billing_cluster_id),
                   document.currency_id, COUNT(DISTINCT document.id), SUM(line.amount_untaxed)
              FROM invoice_run_line line
              JOIN invoice_run_document document ON document.id = line.document_id
              LEFT JOIN billing_contract contract ON contract.id = line.contract_id
              LEFT JOIN billing_usage usage ON usage.id = line.usage_id
              LEFT JOIN sale_order sale ON sale.id = line.sale_order_id
             WHERE document.id IN %s AND document.state NOT IN %s
             GROUP BY 1, 2
            """,
            self._get_register_ids(),
            NOT_COUNTED,
        )
        rows = self.env.execute_query(query)
        # sudo: clusters of the run's own amounts
        clusters = self.env["billing.cluster"].sudo().browse(row[0] for row in rows if row[0])
        names = {cluster.id: cluster.name for cluster in clusters}
        currencies = self.env["res.currency"].browse(row[1] for row in rows)
        currencies = {currency.id: currency for currency in currencies}
        for cluster_id, currency_id, count, amount in sorted(
            rows, key=lambda row: (not row[0], names.get(row[0], ""), row[1])
        ):
            currency = currencies[currency_id]
            name = names.get(cluster_id, self.env._("Without cluster"))
            yield name, currency.name, count, Amount(amount, currency.decimal_places)

    # ------------------------------------------------------------------
    # Lists
    # ------------------------------------------------------------------

    def _get_register_ids(self, domain=None):
        """Return the documents that the user may read, as a subquery."""
        domain = self._get_register_domain() if domain is None else domain
        return self.env["invoice.run.document"]._search(domain).subselect()

    def _get_register_documents(self):
        columns = [
            Column(self.env._("Invoice"), "text", 11),
            Column(self.env._("Customer"), "text", 16),
            Column(self.env._("Invoice Name"), "text", 17),
            Column(self.env._("Contracts"), "text", 9),
            Column(self.env._("Date"), "date", 9),
            Column(self.env._("Due"), "date", 9),
            Column(self.env._("Untaxed"), "amount", 9),
            Column(self.env._("Taxes"), "amount", 8),
            Column(self.env._("Total"), "amount", 9),
            Column(self.env._("Currency"), "text", 7),
            Column(self.env._("Status"), "text", 8),
            Column(self.env._("Sending"), "text", 8),
        ]
        return Section(self.env._("Documents"), columns, self._get_document_rows)

    def _get_document_rows(self):
        states = dict(self._get_document_labels("state"))
        sending = {**dict(self._get_document_labels("send_state")), "none": None}
        currencies = self.env["res.currency"]
        for *texts, untaxed, tax, total, currency_id, state, send_state in self._read_documents():
            currency = currencies.browse(currency_id)
            digits = currency.decimal_places
            amounts = (Amount(amount, digits) for amount in (untaxed, tax, total))
            yield *texts, *amounts, currency.name, states[state], sending[send_state]

    def _get_document_labels(self, name):
        field = self.env["invoice.run.document"]._fields[name]
        return field._description_selection(self.env)

    def _read_documents(self):
        """Yield the documents as rows, in their order, some thousand at a time."""
        key = FIRST_SEQUENCE, 0
        while rows := self.env.execute_query(self._get_document_query(*key)):
            for row in rows:
                yield row[2:]
            key = rows[-1][:2]

    def _get_document_query(self, sequence, last_id):
        contracts = self.env["invoice.run.document"]._fields["contract_ids"]
        return SQL(
            """
            SELECT document.sequence, document.id, move.name, partner.complete_name,
                   document.title, contracts.names, document.invoice_date,
                   COALESCE(move.invoice_date_due, document.invoice_date_due),
                   document.amount_untaxed, document.amount_tax, document.amount_total,
                   document.currency_id, document.state, document.send_state
              FROM invoice_run_document document
              JOIN res_partner partner ON partner.id = document.partner_id
              LEFT JOIN account_move move ON move.id = document.move_id
              LEFT JOIN LATERAL (
                   SELECT string_agg(contract.name, ', ' ORDER BY contract.name) AS names
                     FROM %(relation)s rel
                     JOIN billing_contract contract ON contract.id = rel.%(contract)s
                    WHERE rel.%(document)s = document.id) contracts ON TRUE
             WHERE document.id IN %(documents)s
               AND (document.sequence, document.id) > (%(sequence)s, %(last_id)s)
             ORDER BY document.sequence, document.id
             LIMIT %(limit)s
            """,
            relation=SQL.identifier(contracts.relation),
            contract=SQL.identifier(contracts.column2),
            document=SQL.identifier(contracts.column1),
            documents=self._get_register_ids(),
            sequence=sequence,
            last_id=last_id,
            limit=ROWS_PER_READ,
        )

    def _get_register_exceptions(self):
        columns = [
            Column(self.env._("Type"), "text", 10),
            Column(self.env._("Customer"), "text", 20),
            Column(self.env._("What to Do"), "text", 75),
            Column(self.env._("Due (untaxed)"), "amount", 15),
        ]
        return Section(self.env._("Exceptions"), columns, self._get_exception_rows)

    def _get_exception_rows(self):
        """Yield what is due but not invoiced, then documents that failed or were not sent."""
        field = self.env["invoice.run.exception"]._fields["kind"]
        kinds = dict(field._description_selection(self.env))
        digits = self.currency_id.decimal_places
        for found in self._read_in_pieces("invoice.run.exception", self._get_register_domain()):
            amount = Amount(found.amount, digits) if found.has_amount else None
            yield kinds[found.kind], found.partner_id.name, found.message, amount
        failed = Domain("state", "=", "failed")
        unsent = Domain("send_state", "in", SEND_FAILED)
        domain = self._get_register_domain() & (failed | unsent)
        states = dict(self._get_document_labels("state"))
        unsent_states = {
            **dict(self._get_document_labels("send_state")),
            "failed": self.env._("Not sent"),
        }
        for found in self._read_in_pieces("invoice.run.document", domain):
            is_failed = found.state == "failed"
            label = states["failed"] if is_failed else unsent_states[found.send_state]
            reason = found.error if is_failed else found.send_error
            yield label, found.partner_id.name, reason, Amount(found.company_amount_untaxed, digits)

    def _read_in_pieces(self, model, domain):
        """Yield the records that the user may read, by id, some thousand at a time."""
        last_id = 0
        records = self.env[model]
        while found := records.search(
            domain & Domain("id", ">", last_id), order="id", limit=ROWS_PER_READ
        ):
            last_id = found[-1].id
            # sudo: names of the customers of what the user may read
            yield from found.sudo()
            found.invalidate_recordset(flush=False)
