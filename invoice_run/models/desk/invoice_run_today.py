from dateutil.relativedelta import relativedelta

from odoo import api, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ..base.states import CONTRACT_BILLED

#: Contracts that end within so many days are shown.
ENDING_DAYS = 30
#: Invoices that reached nobody are shown for so many days after their date.
UNSENT_DAYS = 90
REVIEWER = "invoice_run.invoice_run_group_reviewer"


class InvoiceRun(models.Model):
    """What waits for somebody today, how it is solved, and the records that it is about."""

    _inherit = "invoice.run"

    # ------------------------------------------------------------------
    # Called by the dashboard
    # ------------------------------------------------------------------

    @api.model
    def get_today(self):
        """Return what waits for this user in the company in use, most urgent first.

        :return: list of dicts: ``key``, ``level`` (Bootstrap's colour), ``count``, ``label``,
            ``hint`` how to solve it, and ``solve``: what one click does, or False
        :raises AccessError: the user may not see invoice runs
        """
        self.check_access("read")
        found = [(key, finding) for key, finding in self._get_findings().items()]
        shown = [self._prepare_finding(key, finding) for key, finding in found]
        return [row for row in shown if row["count"]]

    @api.model
    def action_view_finding(self, key):
        """Open the records that a finding counts; a single run to approve opens its review.

        :raises UserError: there is no such finding for this user
        """
        self.check_access("read")
        finding = self._get_finding(key)
        if key == "approve":
            run = self.search(finding["domain"], limit=2)
            if len(run) == 1:
                return run.action_review()
        action = self.env["ir.actions.act_window"]._for_xml_id(finding["action"])
        action = {
            **action,
            "name": finding["label"],
            "display_name": finding["label"],
            "domain": list(finding["domain"]),
            # no default filter on top, so that the list shows what was counted
            "context": {"create": False, **finding.get("context", {})},
        }
        return self._with_path(f"billing-today-{key}".replace("_", "-"), action)

    @api.model
    def solve_finding(self, key):
        """Do what one click can do about a finding, with the rights of this user.

        :return: what was done, in words
        :raises UserError: nothing can be done about it with one click, or is left to do
        """
        self.check_access("write")
        finding = self._get_finding(key)
        records = self.env[finding["model"]].search(finding["domain"])
        solve = {
            "generate": self._solve_generate,
            "no_way": self._solve_no_way,
            "ending": self._solve_ending,
        }.get(key)
        if not solve or not finding.get("solve") or not records:
            raise UserError(self.env._("Nothing is left to do here. Reload the page."))
        return solve(records)

    # ------------------------------------------------------------------
    # Findings
    # ------------------------------------------------------------------

    @api.model
    def _get_findings(self):
        """Return {key: finding} of what this user may see and solve, most urgent first.

        A finding is a dict: ``model``, ``domain``, ``action`` (external id of the action that
        lists the records), ``level``, ``label``, ``hint`` and perhaps ``solve`` and ``context``.
        """
        company = Domain("company_id", "=", self.env.company.id)
        today = self.env.company._get_invoice_run_today()
        findings = {
            **self._get_run_findings(company, today),
            **self._get_document_findings(company, today),
            **self._get_contract_findings(company, today),
            **self._get_number_findings(),
        }
        return {
            key: finding
            for key, finding in findings.items()
            if self.env[finding["model"]].has_access("read")
        }

    @api.model
    def _get_finding(self, key):
        finding = self._get_findings().get(key)
        if not finding:
            raise UserError(self.env._("Nothing is left to do here. Reload the page."))
        return finding

    @api.model
    def _prepare_finding(self, key, finding):
        return {
            "key": key,
            "level": finding["level"],
            "count": self.env[finding["model"]].search_count(finding["domain"]),
            "label": finding["label"],
            "hint": finding["hint"],
            "solve": finding.get("solve", False),
        }

    @api.model
    def _get_run_findings(self, company, today):
        runs = {"model": "invoice.run", "action": "invoice_run.invoice_run_action"}
        idle = company & Domain("job", "=", "none")
        due = Domain("state", "=", "on_hold") & Domain("schedule_id.state", "=", "active")
        due &= Domain("activation_date", "<=", today)
        findings = {
            "stopped": {
                **runs,
                "level": "danger",
                "domain": company & Domain("job_error", "!=", False),
                "label": self.env._("Runs that stopped"),
                "hint": self.env._("Open the run: it says why, and tries again."),
            },
            "approve": {
                **runs,
                "level": "warning",
                "domain": idle & Domain("state", "=", "amounts"),
                "label": self.env._("Runs to approve"),
                "hint": self.env._("Review what is different from last time, then approve."),
            },
            "generate": {
                **runs,
                "level": "info",
                "domain": idle & (due | Domain("state", "=", "submitted")),
                "label": self.env._("Runs that are due, without amounts"),
                "hint": self.env._("Generate the amounts; nothing is invoiced yet."),
                "solve": self.env._("Generate Amounts"),
            },
            "invoice": {
                **runs,
                "level": "info",
                "domain": idle & Domain("state", "=", "approved"),
                "label": self.env._("Approved runs, not invoiced completely"),
                "hint": self.env._("Open the run and generate its invoices."),
            },
        }
        if not self.env.user.has_group(REVIEWER):
            del findings["approve"]
        if not self.has_access("write"):
            del findings["generate"]["solve"]
        return findings

    @api.model
    def _get_document_findings(self, company, today):
        documents = {
            "model": "invoice.run.document",
            "action": "invoice_run.invoice_run_document_action",
        }
        return {
            **self._get_failure_findings(documents, company),
            **self._get_sending_findings(documents, company, today),
        }

    @api.model
    def _get_failure_findings(self, documents, company):
        certain = company & Domain("send_state", "=", "failed")
        is_bounced = Domain("id", "in", self._get_bounced_ids(certain))
        return {
            "failed": {
                **documents,
                "level": "danger",
                "domain": company & Domain("state", "=", "failed"),
                "label": self.env._("Invoices that could not be created"),
                "hint": self.env._("Each says why. Correct it, then retry in the run."),
            },
            "bounced": {
                **documents,
                "level": "danger",
                "domain": certain & is_bounced,
                "label": self.env._("Invoices that came back"),
                "hint": self.env._("Correct the customer's email address, then send again."),
            },
            "unsent": {
                **documents,
                "level": "danger",
                "domain": certain & ~is_bounced,
                "label": self.env._("Invoices that could not be sent"),
                "hint": self.env._("Each says why. Correct it, then send again."),
            },
        }

    @api.model
    def _get_sending_findings(self, documents, company, today):
        is_uncertain = self._get_sending_domains()["uncertain"]
        waiting = company & Domain("send_state", "=", "pending") & Domain("send_asked", "=", False)
        return {
            "uncertain": {
                **documents,
                "level": "warning",
                "domain": company & is_uncertain,
                "label": self.env._("Invoices whose delivery is unconfirmed"),
                "hint": self.env._("Ask the customer, then mark them as sent or send again."),
            },
            "no_way": {
                **documents,
                "level": "warning",
                "domain": company & self._get_no_way_domain(today),
                "label": self.env._("Invoices without a way of sending"),
                "hint": self.env._(
                    "Nothing says how these customers get their invoices. “Use Email” sets email "
                    "for customers with an address; the invoices then wait to be sent."
                ),
                "solve": self._may_choose_sending() and self.env._("Use Email"),
            },
            "send": {
                **documents,
                "level": "info",
                "domain": waiting & Domain("move_id.state", "=", "posted"),
                "label": self.env._("Invoices to send or print"),
                "hint": self.env._("Select them and send, or open their run."),
            },
        }

    @api.model
    def _get_bounced_ids(self, domain):
        """Return the ids of the documents of ``domain`` whose mail came back."""
        # sudo: notifications of the customers' mails, which nobody may search
        documents = self.env["invoice.run.document"].sudo()
        bounced = Domain("send_message_id.notification_ids.notification_status", "=", "bounce")
        return documents.search(domain & bounced).ids

    @api.model
    def _get_no_way_domain(self, today):
        """Return the documents with an unpaid invoice and no decision on how to send it."""
        unpaid = Domain("state", "=", "posted") & Domain("is_move_sent", "=", False)
        unpaid &= Domain("payment_state", "in", ("not_paid", "partial"))
        return (
            Domain("state", "=", "invoiced")
            & Domain("is_send_unset", "=", True)
            & Domain("invoice_date", ">=", today - relativedelta(days=UNSENT_DAYS))
            & Domain("move_id", "any", unpaid)
        )

    @api.model
    def _may_choose_sending(self):
        return self.env["res.partner"].has_access("write") and self.env[
            "invoice.run.document"
        ].has_access("write")

    @api.model
    def _get_contract_findings(self, company, today):
        contracts = {"model": "billing.contract", "action": "invoice_run.billing_contract_action"}
        active = company & Domain("state", "=", "active")
        last = today + relativedelta(days=ENDING_DAYS)
        ending = Domain("date_end", ">=", today) & Domain("date_end", "<=", last)
        priced = Domain("line_ids", "any", [("price_unit", "!=", 0)])
        due = Domain("billing_hold", "=", False) & Domain("next_invoicing_date", "<=", today)
        return {
            "unpriced": {
                **contracts,
                "level": "warning",
                "domain": active & ~priced,
                "label": self.env._("Active contracts without a price"),
                "hint": self.env._("Enter the price of a line, or close the contract."),
            },
            "unpaid_usage": {
                "model": "billing.usage",
                "action": "invoice_run.billing_usage_action",
                "level": "warning",
                "domain": company & self._get_payerless_domain(),
                "label": self.env._("Usage that nobody pays"),
                "hint": self.env._(
                    "The contract is a draft or was cancelled. Choose another contract or activate "
                    "it."
                ),
            },
            "ending": {
                **contracts,
                "level": "info",
                "domain": active & ending,
                "context": {"billing_ending": True},
                "label": self.env._("Contracts that end within %(days)s days", days=ENDING_DAYS),
                "hint": self.env._("Open them and press “Renew” where a contract goes on."),
                **self._get_renewal(active & ending),
            },
            "due": {
                **contracts,
                "level": "info",
                "domain": company & due,
                "label": self.env._("Contracts that are due and in no run"),
                "hint": self.env._("The next run takes them, or invoice them now."),
            },
        }

    @api.model
    def _get_renewal(self, domain):
        """Return what one click renews: a single contract, named with its new end.

        Of several, some may end because they were terminated: each has its button in the list.
        """
        contracts = self.env["billing.contract"]
        if not contracts.has_access("write"):
            return {}
        contract = contracts.search(domain, limit=2)
        if len(contract) != 1:
            return {}
        hint = self.env._(
            "%(contract)s ends on %(end)s. “Renew” moves its end to %(renewed)s.",
            contract=" ".join(filter(None, (contract.name, contract.title))),
            end=format_date(self.env, contract.date_end),
            renewed=format_date(self.env, contract._get_renewed_end()),
        )
        return {"hint": hint, "solve": self.env._("Renew")}

    @api.model
    def _get_payerless_domain(self):
        """Return usage that no run invoices because of the state of its contract."""
        billed = Domain("contract_id.state", "in", CONTRACT_BILLED)
        return Domain("state", "=", "open") & Domain("contract_id", "!=", False) & ~billed

    @api.model
    def _get_number_findings(self):
        """Return the gaps in the numbers of invoices that can still be explained or closed."""
        journals = self.env["account.journal"].search(
            [("company_id", "=", self.env.company.id), ("type", "=", "sale")]
        )
        holes = journals._query_has_sequence_holes() if journals else []
        gaps = Domain.OR(
            Domain("journal_id", "=", journal) & Domain("sequence_prefix", "=", prefix)
            for journal, prefix in holes
        )
        return {
            "gaps": {
                "model": "account.move",
                "action": "account.action_move_out_invoice_type",
                "level": "warning",
                "domain": Domain("made_sequence_gap", "=", True) & gaps,
                "label": self.env._("Gaps in the numbers of invoices"),
                "hint": self.env._(
                    "The number before each of these is missing. Say why, or use it."
                ),
            }
        }

    # ------------------------------------------------------------------
    # Solved with one click
    # ------------------------------------------------------------------

    @api.model
    def _solve_generate(self, runs):
        runs.action_generate_amounts()
        return self.env._("Amounts are being generated. Runs: %(count)s.", count=len(runs))

    @api.model
    def _solve_ending(self, contracts):
        contracts.action_renew()
        return contracts._get_renewed_text()

    @api.model
    def _solve_no_way(self, documents):
        """Send invoices to these customers by email from now on, where there is an address."""
        reachable = documents.filtered(lambda document: document.partner_id.email)
        if not reachable:
            raise UserError(
                self.env._("None of these customers has an email address. Open them and enter it.")
            )
        reachable.partner_id.commercial_partner_id.invoice_sending_method = "email"
        reachable.write({"send_action": "email"})
        return self.env._(
            "Waiting to be sent by email: %(count)s. Customers without an address: %(left)s.",
            count=len(reachable),
            left=len((documents - reachable).partner_id),
        )
