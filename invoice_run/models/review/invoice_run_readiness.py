from odoo import api, models
from odoo.exceptions import AccessError
from odoo.fields import Domain
from odoo.tools import format_date

from ..base.states import DOCUMENT_OPEN, DOCUMENT_SENDABLE, SEND_DONE

#: Contacts that a finding lists at most: somebody is to complete them by hand.
LISTED = 1000


class InvoiceRunReadiness(models.AbstractModel):
    """What is missing before invoices go to customers, and the button that helps.

    A service: of the company, before there is a run, and of runs, whatever their number of
    documents, by one query for each kind of finding. A finding is a dict:

    * ``code``: which one it is;
    * ``level``: ``danger``, without it the invoices are not sent; ``warning``; ``info``;
    * ``text``: what is missing, in words;
    * ``buttons``: list of (name for ``invoice.run.action_solve``, label).
    """

    _name = "invoice.run.readiness"
    _description = "Readiness to Send Invoices"

    # ------------------------------------------------------------------
    # What is asked
    # ------------------------------------------------------------------

    @api.model
    def _get_company_findings(self, company):
        """Return what is missing in ``company``, of whatever run."""
        findings = [
            self._find_layout(company),
            self._find_bank(company),
            self._find_company_sender(company),
            self._find_unset_setting(company),
        ]
        return [finding for finding in findings if finding]

    @api.model
    def _get_run_findings(self, runs):
        """Return what is missing before the documents of ``runs``, of one company, are sent."""
        findings = [
            self._find_unset(runs),
            self._find_sender(runs),
            self._find_no_email(runs),
            self._find_no_address(runs),
            *self._find_overdue(runs),
            *self._find_first_time(runs.company_id),
        ]
        return [finding for finding in findings if finding]

    @api.model
    def _get_date_findings(self, runs):
        """Return what is wrong with the dates of ``runs`` while they have no amounts."""
        late = runs.filtered(lambda run: run._is_due_before_sent())
        if not late:
            return []
        text = self.env._(
            "The due date, %(date)s, comes before customers can have their invoices. Choose a "
            "later one before the amounts are generated.",
            date=format_date(self.env, late[0].due_date),
        )
        return [self._prepare("due_date", "warning", text)]

    def _prepare(self, code, level, text, *buttons):
        buttons = [list(button) for button in buttons]
        return {"code": code, "level": level, "text": text, "buttons": buttons}

    # ------------------------------------------------------------------
    # The company
    # ------------------------------------------------------------------

    def _find_first_time(self, companies):
        """Return what the first invoices tell of the company; later ones look as the first did."""
        Document = self.env["invoice.run.document"]
        findings = []
        for company in companies:
            sent = Domain("company_id", "=", company.id) & Domain("send_state", "in", SEND_DONE)
            if not Document.search_count(sent, limit=1):
                findings += [self._find_layout(company), self._find_bank(company)]
        return findings

    def _find_layout(self, company):
        # sudo: a setting of the company, whoever asks
        if company.sudo().external_report_layout_id:
            return None
        text = self.env._(
            "Nobody has chosen the logo and the layout of the invoices: they look like Odoo's "
            "sample."
        )
        if not self.env["base.document.layout"].has_access("create"):
            return self._prepare("layout", "warning", f"{text} {self._get_ask_text()}")
        return self._prepare("layout", "warning", text, ("layout", self.env._("Choose Layout")))

    def _find_bank(self, company):
        # sudo: a setting of the company, whoever asks
        if company.sudo().bank_ids:
            return None
        text = self.env._(
            "%(company)s has no bank account: the invoices do not say where to pay.",
            company=company.name,
        )
        if not self.env.user.has_group("account.group_account_manager"):
            return self._prepare("bank", "warning", f"{text} {self._get_ask_text()}")
        return self._prepare("bank", "warning", text, ("bank", self.env._("Add Bank Account")))

    def _find_company_sender(self, company):
        # sudo: a setting of the company, whoever asks
        if company.sudo().email:
            return None
        text = self.env._(
            "%(company)s has no email address: customers would get their invoices from the "
            "personal address of whoever is responsible.",
            company=company.name,
        )
        buttons = self._get_company_buttons()
        if not buttons:
            text = f"{text} {self._get_ask_text()}"
        return self._prepare("sender", "warning", text, *buttons)

    def _get_company_buttons(self):
        if not self.env["res.company"].has_access("write"):
            return []
        return [("company", self.env._("Enter Address"))]

    def _find_unset_setting(self, company):
        # sudo: a setting of the company, whoever asks
        if company.sudo().billing_unset_sending != "ask":
            return None
        text = self.env._(
            "How do invoices go to customers without a sending method? Until it is chosen, each "
            "run asks."
        )
        buttons = []
        if self.env.user.has_group("invoice_run.invoice_run_group_manager"):
            buttons = [
                ("always_email", self.env._("Email")),
                ("always_print", self.env._("Print")),
                ("always_none", self.env._("Do Not Send")),
            ]
        return self._prepare("setting", "info", text, *buttons)

    def _get_ask_text(self):
        return self.env._("Ask your administrator.")

    # ------------------------------------------------------------------
    # Documents of runs
    # ------------------------------------------------------------------

    def _get_unsent_domain(self, runs):
        """Return the documents whose invoices are still to go to their customers."""
        return (
            Domain("run_id", "in", runs.ids)
            & Domain("state", "in", (*DOCUMENT_OPEN, *DOCUMENT_SENDABLE))
            & Domain("send_state", "not in", SEND_DONE)
        )

    def _get_unset_domain(self, runs):
        return self._get_unsent_domain(runs) & Domain("is_send_unset", "=", True)

    def _get_no_email_domain(self, runs):
        no_email = Domain("partner_id.email", "not like", "@")
        return self._get_unsent_domain(runs) & Domain("send_action", "=", "email") & no_email

    def _get_no_address_domain(self, runs):
        incomplete = Domain("partner_id.street", "=", False) | Domain("partner_id.city", "=", False)
        return self._get_unsent_domain(runs) & Domain("send_action", "=", "print") & incomplete

    def _count(self, domain):
        return self.env["invoice.run.document"].search_count(domain)

    def _find_unset(self, runs):
        count = self._count(self._get_unset_domain(runs))
        if not count:
            return None
        return self._prepare(
            "unset",
            "warning",
            self.env._(
                "Nobody has chosen how these customers get their invoices. Documents: %(count)s.",
                count=count,
            ),
            ("email", self.env._("Email")),
            ("print", self.env._("Print")),
            ("leave", self.env._("Leave")),
            ("see_unset", self.env._("See Customers")),
        )

    def _find_no_email(self, runs):
        count = self._count(self._get_no_email_domain(runs))
        text = self.env._(
            "Customers without an email address cannot get their invoices. Documents: %(count)s.",
            count=count,
        )
        button = ("see_no_email", self.env._("See Customers"))
        return count and self._prepare("no_email", "danger", text, button)

    def _find_no_address(self, runs):
        count = self._count(self._get_no_address_domain(runs))
        text = self.env._(
            "The postal address of customers is incomplete. Documents to print: %(count)s.",
            count=count,
        )
        button = ("see_no_address", self.env._("See Customers"))
        return count and self._prepare("no_address", "warning", text, button)

    def _find_sender(self, runs):
        companies = runs.company_id.filtered(lambda company: not company.sudo().email)
        of_companies = runs.filtered(lambda run: run.company_id in companies)
        users = of_companies._get_users_without_address()
        if not users:
            return None
        text = self.env._(
            "There is no address to send from: neither %(company)s nor %(users)s has an email "
            "address.",
            company=companies[0].name,
            users=", ".join(users.mapped("name")),
        )
        return self._prepare("sender", "danger", text, *self._get_company_buttons())

    def _find_overdue(self, runs):
        to_create, created = runs._count_overdue()
        findings = []
        if to_create:
            findings.append(self._prepare_overdue(runs, to_create))
        if created:
            text = self.env._(
                "Invoices that have not been sent are past their due date. Documents: %(count)s. "
                "Customers get them with that date; for a later one, reverse them and invoice the "
                "periods again.",
                count=created,
            )
            findings.append(self._prepare("overdue_invoices", "warning", text))
        return findings

    def _prepare_overdue(self, runs, count):
        text = self.env._(
            "Invoices will be due before customers can have them. Documents: %(count)s.",
            count=count,
        )
        if not any(run._may_be_redated() for run in runs):
            advice = self.env._(
                "For a later date, exclude them: the next run invoices them with its own."
            )
            return self._prepare("overdue", "warning", f"{text} {advice}")
        advice = self.env._(
            "With today as invoice date, due dates count from today; an approval is withdrawn."
        )
        buttons = [("today", self.env._("Use Today's Date"))] if runs.has_access("write") else []
        return self._prepare("overdue", "warning", f"{text} {advice}", *buttons)

    # ------------------------------------------------------------------
    # Buttons
    # ------------------------------------------------------------------

    @api.model
    def _get_solutions(self, runs):
        """Return {name of a button: function that carries it out and returns an action, if any}.

        :param runs: what the findings are about
        """
        return {
            "layout": self._open_layout,
            "bank": lambda: self.env["res.company"].setting_init_bank_account_action(),
            "company": self._open_company,
            "always_email": lambda: self._decide_always("email"),
            "always_print": lambda: self._decide_always("print"),
            "always_none": lambda: self._decide_always("none"),
            "email": lambda: runs._decide_sending("email"),
            "print": lambda: runs._decide_sending("print"),
            "leave": lambda: runs._decide_sending("none"),
            "today": lambda: runs.filtered(lambda run: run._may_be_redated())._date_today(),
            "see_unset": lambda: self._open_customers(self._get_unset_domain(runs)),
            "see_no_email": lambda: self._open_customers(self._get_no_email_domain(runs)),
            "see_no_address": lambda: self._open_customers(self._get_no_address_domain(runs)),
        }

    def _open_layout(self):
        return self.env["ir.actions.act_window"]._for_xml_id(
            "web.action_base_document_layout_configurator"
        )

    def _open_company(self):
        return {
            "type": "ir.actions.act_window",
            "res_model": "res.company",
            "res_id": self.env.company.id,
            "views": [(False, "form")],
            "target": "new",
        }

    def _open_customers(self, domain):
        documents = self.env["invoice.run.document"]
        groups = documents._read_group(domain, ["partner_id"], limit=LISTED)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Customers"),
            "res_model": "res.partner",
            "views": [(False, "list"), (False, "form")],
            "domain": [("id", "in", [partner.id for (partner,) in groups])],
        }

    def _decide_always(self, way):
        if not self.env.user.has_group("invoice_run.invoice_run_group_manager"):
            raise AccessError(
                self.env._("Only managers of invoice runs can change this setting of the company.")
            )
        # sudo: managers of runs may have no right to change companies
        self.env.company.sudo().billing_unset_sending = way
