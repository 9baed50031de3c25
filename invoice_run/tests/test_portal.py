import json

from lxml import html

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon


class PortalCommon(InvoiceRunCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.portal_user = cls._make_portal_user("portal_debtor", cls.debtor)
        cls.other = cls._make_partner("Somebody else", is_company=True)
        cls.other_user = cls._make_portal_user("portal_other", cls.other)
        cls.contract = cls._make_contract(title="Office, second floor")

    @classmethod
    def _make_portal_user(cls, login, partner):
        return new_test_user(
            cls.env,
            login,
            groups="base.group_portal",
            partner_id=partner.id,
            company_id=cls.company.id,
            company_ids=[Command.set(cls.company.ids)],
        )

    def _open(self, user, url="/my/contracts"):
        """Open a page as ``user``; return where one ends up and what one sees."""
        self.authenticate(user.login if user else None, user.login if user else None)
        response = self.url_open(url)
        self.assertEqual(response.status_code, 200)
        return response.url.removeprefix(self.base_url()), response.text


@tagged("post_install", "-at_install")
class TestPortal(PortalCommon):
    def test_list_and_page_of_the_own_contract(self):
        self._run_all("2020-01-31")
        (move,) = self.contract.run_line_ids.document_id.move_id
        _url, text = self._open(self.portal_user)
        self.assertIn("Office, second floor", text)
        url, text = self._open(self.portal_user, self.contract.access_url)
        self.assertEqual(url, self.contract.access_url)
        self.assertIn(self.contract.name, text)
        self.assertIn(move.name, text)
        self.assertIn(f"/my/invoices/{move.id}", text)
        self.assertIn("from <span>02/10/2020</span>", " ".join(text.split()))

    def test_bands_of_a_tariff(self):
        tariff = self.env["billing.tariff"].create(
            {
                "name": "Kilometres",
                "company_id": self.company.id,
                "tier_ids": [
                    Command.create({"up_to": 100, "price_unit": 0.45}),
                    Command.create({"sequence": 11, "price_unit": 0.325}),
                ],
            }
        )
        metered = {"tariff_id": tariff.id, "is_metered": True, "price_interval": "period"}
        self.contract.line_ids.write(metered)
        text = self._open(*self._own())[1].replace("\xa0", " ")
        self.assertIn("Kilometres", text)
        self.assertIn("0.45", text)
        self.assertIn("above that: $ 0.325", text)

    def test_amounts_of_a_run_are_an_invoice_being_prepared(self):
        run = self._make_amounts(self._make_run("2020-01-31"))
        self.assertEqual(run.state, "amounts")
        text = self._open(*self._own())[1]
        self.assertIn("is being prepared", text)
        self.assertIn("Nothing was invoiced yet", text)
        run.action_delete_amounts("a mistake")
        self.assertNotIn("is being prepared", self._open(*self._own())[1])

    def _get_prices(self):
        """Return what the page says of each price, as (description and days, price)."""
        page = html.fromstring(self._open(self.portal_user, self.contract.access_url)[1])
        (table,) = page.xpath("//h2[text()='Prices']/following-sibling::div[1]//tbody")
        rows = []
        for row in table.findall("tr"):
            cells = [" ".join(cell.text_content().split()) for cell in row.findall("td")]
            rows.append((cells[0], cells[2], cells[-1]))
        return rows

    def test_prices_say_their_days_on_the_phone_too(self):
        self.contract.line_ids._change_from(self._date("2020-03-01"), {"price_unit": 110.0})
        prices = self._get_prices()
        days = ["01/10/2020 – 02/29/2020", "from 03/01/2020"]
        self.assertEqual([period for _name, _price, period in prices], days)
        self.assertEqual(
            [name for name, _price, _period in prices], [f"Rent {one}" for one in days]
        )
        self.assertEqual(
            [price for _name, price, _period in prices], ["$ 100.00 Month", "$ 110.00 Month"]
        )

    def test_a_price_that_never_comes_is_not_shown(self):
        """The contract was shortened: the planned price lies behind its end."""
        self.contract.line_ids._change_from(self._date("2027-01-01"), {"price_unit": 110.0})
        self.contract.date_end = "2026-11-15"
        (price,) = self._get_prices()
        self.assertEqual(price[1:], ("$ 100.00 Month", "01/10/2020 – 11/15/2026"))

    def test_prices_of_one_product_are_together(self):
        line = {"product_id": self.product.id, "name": "Parking", "price_unit": 20.0}
        self.contract.line_ids = [Command.create(line)]
        self.contract.line_ids[0]._change_from(self._date("2020-03-01"), {"price_unit": 110.0})
        prices = [price for _name, price, _period in self._get_prices()]
        self.assertEqual(prices, ["$ 100.00 Month", "$ 110.00 Month", "$ 20.00 Month"])

    def test_home_counts(self):
        self.authenticate("portal_debtor", "portal_debtor")
        result = self.make_jsonrpc_request("/my/counters", {"counters": ["billing_contract_count"]})
        self.assertEqual(result["billing_contract_count"], 1)
        self.authenticate("portal_other", "portal_other")
        result = self.make_jsonrpc_request("/my/counters", {"counters": ["billing_contract_count"]})
        self.assertEqual(result["billing_contract_count"], 0)
        self.assertIn("/my/contracts", self._open(self.portal_user, "/my/home")[1])

    def test_colleague_of_the_same_company_sees_it(self):
        company = self._make_partner("Company", is_company=True)
        child = self._make_partner("Accounts", parent_id=company.id)
        contract = self._make_contract(partner_id=company.id)
        user = self._make_portal_user("portal_child", child)
        self.assertEqual(self._open(user, contract.access_url)[0], contract.access_url)

    def test_somebody_else_sees_nothing(self):
        _url, text = self._open(self.other_user)
        self.assertNotIn("Office, second floor", text)
        self.assertIn("There are no contracts", text)
        url, text = self._open(self.other_user, self.contract.access_url)
        self.assertIn(url, ("/my", "/my/home"))
        self.assertNotIn("Office, second floor", text)

    def test_public_must_log_in(self):
        url, _text = self._open(None)
        self.assertIn("/web/login", url)
        url, text = self._open(None, self.contract.access_url)
        self.assertIn("/web/login", url)
        self.assertNotIn("Office", text)

    def test_missing_contract(self):
        url, _text = self._open(self.portal_user, "/my/contracts/999999999")
        self.assertIn(url, ("/my", "/my/home"))

    def test_drafts_and_cancelled_contracts_are_not_shown(self):
        token = self.contract._portal_ensure_token()
        for state in ("draft", "cancelled"):
            self.contract.state = state
            url, text = self._open(self.portal_user, self.contract.access_url)
            self.assertIn(url, ("/my", "/my/home"))
            _url, text = self._open(None, f"{self.contract.access_url}?access_token={token}")
            self.assertNotIn("Office", text)
        self.contract.write({"state": "closed", "date_end": "2030-12-31"})
        url, _text = self._open(self.portal_user, self.contract.access_url)
        self.assertEqual(url, self.contract.access_url)

    def test_link_with_token_shows_the_contract_and_opens_no_invoice(self):
        self._run_all("2020-01-31")
        (move,) = self.contract.run_line_ids.document_id.move_id
        url = f"{self.contract.access_url}?access_token={self.contract._portal_ensure_token()}"
        _url, text = self._open(None, url)
        self.assertIn("Office, second floor", text)
        self.assertIn(move.name, text)
        self.assertNotIn(f"/my/invoices/{move.id}", text)
        _url, text = self._open(None, f"{self.contract.access_url}?access_token=wrong")
        self.assertNotIn("Office", text)

    def test_drafts_of_invoices_are_not_shown(self):
        scenario = self._make_scenario("Drafts", invoice_state="draft")
        self._run_all("2020-01-31", scenario)
        self.assertEqual(self.contract.run_line_ids.document_id.move_id.state, "draft")
        self.assertIn("Nothing was invoiced yet", self._open(*self._own())[1])

    def _own(self):
        return self.portal_user, self.contract.access_url

    def test_no_amount_of_another_contract_on_a_collective_invoice(self):
        self.debtor.with_company(self.company).allow_invoice_grouping = True
        self._make_contract([{"price_unit": 7123.45}], title="Garage")
        self._run_all("2020-01-31")
        self.assertEqual(len(self.contract.run_line_ids.document_id.move_id), 1)
        _url, text = self._open(*self._own())
        self.assertIn("100.00", text)
        self.assertNotIn("123.45", text)
        self.assertNotIn("223.45", text)

    def test_invoice_that_went_elsewhere_has_no_link(self):
        self.contract.partner_invoice_id = self.other
        self._run_all("2020-01-31")
        (move,) = self.contract.run_line_ids.document_id.move_id
        _url, text = self._open(*self._own())
        self.assertIn(move.name, text)
        self.assertNotIn(f"/my/invoices/{move.id}", text)

    def test_new_customer_sees_no_invoice_of_the_one_before(self):
        self._run_all("2020-01-31")
        (old,) = self.contract.run_line_ids.document_id.move_id
        link = f"{self.contract.access_url}?access_token={self.contract._portal_ensure_token()}"
        self.contract.with_user(self.user).partner_id = self.other
        self._run_all("2020-02-29")
        (new,) = self.contract.run_line_ids.document_id.move_id - old
        for user, url in ((self.other_user, self.contract.access_url), (self.user, None)):
            _url, text = self._open(user, url or self.contract.access_url)
            self.assertIn(new.name, text)
            self.assertNotIn(old.name, text)
        self.assertNotIn("Office", self._open(*self._own())[1], "the customer before")
        self.assertNotIn("Office", self._open(None, link)[1], "and the link that he was given")

    def test_link_stays_while_the_customer_does(self):
        token = self.contract._portal_ensure_token()
        address = self._make_partner("Debtor, purchasing", parent_id=self.debtor.id)
        self.contract.with_user(self.user).write({"title": "Office", "partner_id": address.id})
        self.assertEqual(self.contract.access_token, token)

    def _get_chatter(self, **credentials):
        """Return what the page of a customer could fetch of the messages, as text."""
        params = {"thread_model": "billing.contract", "thread_id": self.contract.id, **credentials}
        texts = []
        for route in ("/mail/chatter_fetch", "/portal/chatter_init", "/mail/thread/messages"):
            response = self.url_open(
                route,
                data=json.dumps({"jsonrpc": "2.0", "method": "call", "params": params}),
                headers={"Content-Type": "application/json"},
            )
            texts.append(response.text)
        return "\n".join(texts)

    @mute_logger("odoo.http")
    def test_link_shows_the_page_and_not_what_is_written_about_it(self):
        self.contract.message_post(
            body="They always pay late", message_type="comment", subtype_xmlid="mail.mt_comment"
        )
        token = self.contract._portal_ensure_token()
        pid = self.debtor.id
        credentials = {"token": token, "pid": pid, "hash": self.contract._sign_token(pid)}
        for user in (None, self.portal_user, self.other_user):
            self._open(user, f"{self.contract.access_url}?access_token={token}")
            self.assertNotIn("pay late", self._get_chatter(**credentials))
            self.assertNotIn('"can_react": true', self._get_chatter(**credentials))
        self.authenticate(None, None)
        response = self.url_open(
            "/mail/message/post",
            data=json.dumps(
                {
                    "params": {
                        "thread_model": "billing.contract",
                        "thread_id": self.contract.id,
                        "post_data": {"body": "From outside", "message_type": "comment"},
                        **credentials,
                    }
                }
            ),
            headers={"Content-Type": "application/json"},
        )
        self.assertIn("error", response.json())
        self.assertNotIn("From outside", str(self.contract.message_ids.mapped("body")))

    def test_staff_see_the_way_back(self):
        self.assertIn("Back to edit mode", self._open(self.user, self.contract.access_url)[1])
        self.assertNotIn("Back to edit mode", self._open(*self._own())[1])


@tagged("post_install", "-at_install")
class TestPortalRights(PortalCommon):
    def test_portal_user_has_no_right_beside_the_pages(self):
        models = ("billing.contract", "billing.contract.line", "billing.usage")
        for model in (*models, "invoice.run", "invoice.run.line", "invoice.run.document"):
            with self.assertRaises(AccessError):
                self.env[model].with_user(self.portal_user).search([])
        contract = self.contract.with_user(self.portal_user)
        with self.assertRaises(AccessError):
            contract.read(["billing_hold_reason"])
        with self.assertRaises(AccessError):
            self.debtor.with_user(self.portal_user).read(["billing_hold_reason"])
        for action in ("action_close", "action_cancel", "action_view_due", "unlink"):
            with self.assertRaises(AccessError):
                getattr(contract, action)()

    def test_portal_user_reads_no_settings_of_ours(self):
        """Of what this addon adds to Odoo's models a customer reads what invoices print."""
        printed = {
            "account.move.billing_title",
            "account.move.line.billing_date_from",
            "account.move.line.billing_date_to",
        }
        open_fields = set()
        for name, model in self.env.registry.items():
            if model._abstract or model._transient or model._original_module == "invoice_run":
                continue
            records = self.env[name].with_user(self.portal_user)
            for field in model._fields.values():
                ours = set(field._modules) == {"invoice_run"}
                if ours and records._has_field_access(field, "read"):
                    open_fields.add(str(field))
        self.assertEqual(open_fields, printed)
        company = self.company.with_user(self.portal_user)
        self.assertTrue(company.read(["name"]))
        with self.assertRaises(AccessError):
            company.read(["invoice_run_four_eyes"])

    def test_internal_user_without_role_sees_nothing(self):
        clerk = self._make_user("clerk", "base.group_user")
        self.assertNotIn("Office", self._open(clerk)[1])
        self.assertNotIn("Office", self._open(clerk, self.contract.access_url)[1])

    def test_contract_of_a_company_that_the_user_does_not_have(self):
        other = self.env["res.company"].create({"name": "Second company"})
        foreign = self._make_contract(company_id=other.id, activate=False, title="Abroad")
        foreign.state = "active"
        self.assertNotIn("Abroad", self._open(self.portal_user)[1])
        self.assertNotIn("Abroad", self._open(self.portal_user, foreign.access_url)[1])
        self.portal_user.company_ids |= other
        self.assertIn("Abroad", self._open(self.portal_user)[1])
        self.assertIn("Abroad", self._open(self.portal_user, foreign.access_url)[1])
