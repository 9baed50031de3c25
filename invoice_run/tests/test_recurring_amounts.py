from freezegun import freeze_time

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import Form, tagged

from .ledger_common import LedgerCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-01-15")
class TestRecurringAmounts(LedgerCommon):
    """What is charged today per month and year: on lines, contracts, clusters and customers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lines = cls.env["billing.contract.line"].with_user(cls.user)
        cls.contracts = cls.env["billing.contract"].with_user(cls.user)

    def _get_amounts(self, **line):
        contract = self._make_contract([line], date_start="2024-01-01", **self.vals)
        return contract.amount_month, contract.amount_year

    def test_by_interval(self):
        """The table of docs/billing.md."""
        self.vals = {}
        for interval, month, year in (
            ("day", 365.0, 4380.0),
            ("week", 52.0, 624.0),
            ("month", 12.0, 144.0),
            ("quarter", 4.0, 48.0),
            ("half_year", 2.0, 24.0),
            ("year", 1.0, 12.0),
            ("period", 12.0, 144.0),
            ("once", 0.0, 0.0),
        ):
            amounts = self._get_amounts(price_unit=12.0, price_interval=interval)
            self.assertEqual(amounts, (month, year), interval)
        self.assertEqual(self._get_amounts(price_unit=1000.0, price_interval="year")[0], 83.33)
        self.vals = {"period_count": 3}
        self.assertEqual(self._get_amounts(price_unit=12.0, price_interval="period")[0], 4.0)
        self.vals = {"period_count": 4, "period_unit": "week"}
        self.assertEqual(self._get_amounts(price_unit=12.0, price_interval="period")[0], 13.0)
        self.vals = {}
        amounts = self._get_amounts(price_unit=10.0, quantity=3.0, discount=10.0)
        self.assertEqual(amounts, (27.0, 324.0))

    def test_which_lines_count(self):
        contract = self._make_contract(
            [
                {"price_unit": 1.0},
                {"price_unit": 10.0, "date_end": "2024-01-14"},
                {"price_unit": 100.0, "date_end": "2024-01-15"},
                {"price_unit": 1000.0, "date_start": "2024-01-15"},
                {"price_unit": 10000.0, "date_start": "2024-01-16"},
                {"price_unit": 100000.0, "price_interval": "once"},
            ],
            activate=False,
            date_start="2024-01-01",
        )
        self.assertEqual(contract.amount_month, 0.0)
        contract.action_activate()
        self.assertEqual(contract.amount_month, 1101.0)
        contract.billing_hold = True
        self.assertEqual(contract.amount_month, 1101.0)
        contract.date_end = "2030-12-31"
        contract.action_close()
        self.assertEqual(contract.amount_month, 1101.0)
        with freeze_time("2024-01-16"):
            contract.invalidate_recordset()
            contract.line_ids.invalidate_recordset()
            self.assertEqual(contract.amount_month, 11001.0)
            self._check_sums(contract)
        contract.date_end = "2024-01-14"
        self.assertEqual(contract.amount_month, 0.0)

    def test_cancelled_contracts_count_as_far_as_they_were_billed(self):
        contract = self._make_contract(date_start="2024-01-01")
        contract.action_cancel()
        self.assertFalse(contract.line_ids.running_from)
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.action_cancel()
        line = contract.line_ids
        self.assertEqual(str(line.running_from), "2024-01-01")
        self.assertEqual(str(line.running_until), "2024-01-15")

    def _check_sums(self, contracts):
        """The database adds up what the records say."""
        contracts.invalidate_recordset()
        contracts.line_ids.invalidate_recordset()
        self.env.flush_all()
        ids = contracts.ids
        groups = self.contracts._read_group(
            [("id", "in", ids)], ["partner_id"], ["amount_month:sum", "amount_year:sum"]
        )
        for partner, month, year in groups:
            own = contracts.filtered(lambda one, partner=partner: one.partner_id == partner)
            self.assertEqual(float(month), sum(own.mapped("amount_month")))
            self.assertEqual(float(year), sum(own.mapped("amount_year")))
        groups = self.lines._read_group(
            [("contract_id", "in", ids)], ["contract_id"], ["amount_month:sum"]
        )
        for contract, month in groups:
            self.assertEqual(float(month), contract.amount_month)

    def test_lists_sum_up_and_sort(self):
        other = self._make_partner("Other")
        contracts = self._make_contract(date_start="2024-01-01")
        contracts |= self._make_contract([{"price_unit": 7.0}, {"price_unit": 0.5}])
        contracts |= self._make_contract(
            [{"price_unit": 9.0}, {"date_start": "2024-02-01"}], partner_id=other.id
        )
        self._check_sums(contracts)
        self.assertEqual(
            contracts.with_user(self.user).search(
                [("id", "in", contracts.ids)], order="amount_month"
            ),
            contracts[1] | contracts[2] | contracts[0],
        )

    def test_measures_and_groups_of_the_views(self):
        """What pivot, graph and list of price lines offer, they can do."""
        cluster = self._make_cluster()
        self._make_contract(cluster_id=cluster.id)
        described = self.lines.fields_get()
        for name in ("amount_month", "amount_year"):
            self.assertEqual(described[name]["aggregator"], "sum")
            self.assertTrue(described[name]["sortable"])
        for name in ("partner_id", "cluster_id", "category_id", "product_id", "running_from"):
            self.assertTrue(described[name]["groupable"], name)
        groups = self.lines.formatted_read_group(
            [("cluster_id", "=", cluster.id)],
            ["partner_id", "running_from:month"],
            ["amount_month:sum", "amount_year:sum"],
        )
        self.assertEqual(
            [(float(g["amount_month:sum"]), float(g["amount_year:sum"])) for g in groups],
            [(100.0, 1200.0)],
        )
        self.assertEqual(
            self.contracts.fields_get(["amount_month"])["amount_month"]["aggregator"], "sum"
        )

    def _make_cluster(self, **vals):
        return self.env["billing.cluster"].create(
            {"name": "North", "company_id": self.company.id, **vals}
        )

    def test_untaxed(self):
        tax = self._make_tax(21, price_include_override="tax_included")
        contract = self._make_contract([self._with_tax(tax, price_unit=121.0, quantity=2.0)])
        self.assertEqual((contract.amount_month, contract.amount_year), (200.0, 2400.0))
        product = self._make_product("Bin", 0, taxes_id=[Command.set(tax.ids)])
        contract = self._make_contract([{"product_id": product.id, "price_unit": 60.5}])
        self.assertEqual(contract.amount_month, 50.0)
        # 100.00 with 21 % in it: 82.6446 a month, 991.7355 a year
        contract.line_ids.price_unit = 100.0
        self.assertEqual((contract.amount_month, contract.amount_year), (82.64, 991.74))
        tax.amount = 25.0
        self.assertEqual(contract.amount_month, 80.0)
        own = self._make_contract([self._with_tax(tax, price_unit=100.0)])
        tax.price_include_override = "tax_excluded"
        self.assertEqual((contract | own).mapped("amount_month"), [100.0, 100.0])
        tax.price_include_override = "tax_included"
        self.assertEqual((contract | own).mapped("amount_month"), [80.0, 80.0])
        product.taxes_id = False
        self.assertEqual(contract.amount_month, 100.0)

    def test_currencies(self):
        euro = self._make_euro()
        cluster = self._make_cluster()
        vals = {"cluster_id": cluster.id, "date_start": "2024-01-01"}
        contract = self._make_contract(currency_id=euro.id, **vals)
        self._make_contract([{"price_unit": 7.0}], **vals)
        self.assertEqual((contract.amount_month, contract.currency_id), (100.0, euro))
        self.assertEqual(cluster.with_user(self.user).amount_month, 207.0)
        self.assertEqual(cluster.amount_year, 2484.0)
        self.assertEqual(self.debtor.with_user(self.user).billing_amount_month, 207.0)
        groups = self.contracts._read_group(
            [("cluster_id", "=", cluster.id)], ["cluster_id"], ["amount_month:sum_currency"]
        )
        self.assertEqual(float(groups[0][1]), 207.0)

    def _make_euro(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        euro.rate_ids.unlink()
        self.env["res.currency.rate"].create(
            {
                "currency_id": euro.id,
                "name": "2024-01-01",
                "company_id": self.company.id,
                "rate": 0.5,
            }
        )
        return euro

    def test_companies_have_their_own_sums_and_days(self):
        """Honolulu is a day behind: what starts today has not started there."""
        other = self.setup_other_company()["company"]
        other.partner_id.tz = "Pacific/Honolulu"
        product = self.env["product.product"].create({"name": "Room", "taxes_id": False})
        line = {"product_id": product.id, "date_start": "2024-01-15"}
        with freeze_time("2024-01-15 05:00:00"):
            here = self._make_contract([line], date_start="2024-01-01")
            there = self._make_contract([line], date_start="2024-01-01", company_id=other.id)
            self.assertEqual((here.amount_month, there.amount_month), (100.0, 0.0))
            self.env.flush_all()
            groups = self.env["billing.contract"]._read_group(
                [("id", "in", (here | there).ids)], ["company_id"], ["amount_month:sum"]
            )
            sums = {company: float(amount) for company, amount in groups}
            self.assertEqual(sums, {self.company: 100.0, other: 0.0})
        self.assertEqual(self.debtor.with_user(self.user).billing_amount_month, 100.0)
        with self.assertRaises(AccessError):
            there.with_user(self.user).read(["amount_month"])

    def test_the_form_says_it_while_one_types(self):
        form = Form(self._make_contract(date_start="2024-01-01").with_user(self.user))
        with form.line_ids.edit(0) as line:
            line.price_unit = 50.0
            self.assertEqual(line.price_month, 50.0)
            line.price_interval = "year"
            self.assertEqual((line.price_month, line.price_year), (4.17, 50.0))
        contract = form.save()
        self.assertEqual((contract.amount_month, contract.amount_year), (4.17, 50.0))

    def test_smart_buttons_open_the_lines(self):
        cluster = self._make_cluster()
        contract = self._make_contract(cluster_id=cluster.id).with_user(self.user)
        self._make_contract()
        for record in (contract, cluster.with_user(self.user)):
            action = record.action_view_prices()
            self.assertEqual(self.lines.search(action["domain"]), contract.line_ids)
        tariff = self.env["billing.tariff"].create({"name": "T", "tier_ids": [Command.create({})]})
        self._make_contract([{"tariff_id": tariff.copy().id}])
        priced = self._make_contract([{"tariff_id": tariff.id}])
        action = tariff.with_user(self.user).action_view_prices()
        self.assertEqual(self.lines.search(action["domain"]), priced.line_ids)
