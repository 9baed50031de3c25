from odoo import http
from odoo.addons.portal.controllers.portal import CustomerPortal
from odoo.addons.portal.controllers.portal import pager as portal_pager
from odoo.exceptions import AccessError, MissingError
from odoo.http import request

from ..models.base.states import CONTRACT_BILLED

HISTORY = "my_contracts_history"


class BillingPortal(CustomerPortal):
    """Contracts of a customer, and what was invoiced for them."""

    def _prepare_home_portal_values(self, counters):
        # EXTENDS 'portal'
        values = super()._prepare_home_portal_values(counters)
        if "billing_contract_count" in counters:
            contracts, domain = self._get_contracts()
            values["billing_contract_count"] = contracts.search_count(domain)
        return values

    def _get_contracts(self):
        """Return the empty recordset to search in, and the domain of the user's contracts."""
        # sudo: portal users have no right on contracts; the domain is the check
        contracts = request.env["billing.contract"].sudo()
        return contracts, contracts._get_portal_domain()

    def _get_contract(self, contract_id, access_token):
        """Return the contract, as superuser, if the user may see it; else an empty recordset.

        It is the user's own, or the link holds its token, or the user may read it in Odoo.
        """
        contracts, domain = self._get_contracts()
        contract = contracts.browse(contract_id).exists()
        if contract.filtered_domain(domain):
            return contract
        try:
            contract = self._document_check_access("billing.contract", contract_id, access_token)
        except (AccessError, MissingError):
            return contracts
        return contract.filtered(lambda contract: contract.state in CONTRACT_BILLED)

    def _get_contract_sortings(self):
        """Return the orders offered above the list, the default one first."""
        env = request.env
        return {
            "number": {"label": env._("Number"), "order": "name desc"},
            "start": {"label": env._("Start"), "order": "date_start desc, name desc"},
            "next": {"label": env._("Next Invoice"), "order": "next_invoicing_date, name desc"},
        }

    @http.route(
        ["/my/contracts", "/my/contracts/page/<int:page>"], type="http", auth="user", website=True
    )
    def portal_my_contracts(self, page=1, sortby=None, **kw):
        """List the user's contracts."""
        contracts, domain = self._get_contracts()
        sortings = self._get_contract_sortings()
        sortby = sortby if sortby in sortings else next(iter(sortings))
        pager = portal_pager(
            url="/my/contracts",
            url_args={"sortby": sortby},
            total=contracts.search_count(domain),
            page=page,
            step=self._items_per_page,
        )
        order, offset = sortings[sortby]["order"], pager["offset"]
        found = contracts.search(domain, order=order, limit=self._items_per_page, offset=offset)
        request.session[HISTORY] = found.ids[:100]
        values = {
            **self._prepare_portal_layout_values(),
            "contracts": found,
            "page_name": "billing_contract",
            "pager": pager,
            "default_url": "/my/contracts",
            "searchbar_sortings": sortings,
            "sortby": sortby,
        }
        return request.render("invoice_run.portal_my_contracts", values)

    @http.route(["/my/contracts/<int:contract_id>"], type="http", auth="public", website=True)
    def portal_my_contract(self, contract_id, access_token=None, **kw):
        """Show one contract: prices, what was invoiced, what comes next."""
        contract = self._get_contract(contract_id, access_token)
        if not contract:
            return request.redirect("/my")
        invoiced = contract._get_portal_invoices()
        values = {
            "contract": contract,
            "backend_url": f"/odoo/action-invoice_run.billing_contract_action/{contract.id}",
            "page_name": "billing_contract",
            "invoiced": invoiced,
            "readable": self._get_readable_invoices(invoiced),
            "timeline": contract._get_portal_timeline(),
        }
        values = self._get_page_view_values(contract, access_token, values, HISTORY, False, **kw)
        return request.render("invoice_run.portal_contract_page", values)

    def _get_readable_invoices(self, invoiced):
        """Return the ids of the invoices that the user may open; others have no link."""
        moves = request.env["account.move"].browse([data["move"].id for data in invoiced])
        return set(moves._filtered_access("read").ids)
