from contextlib import contextmanager
from datetime import date

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from odoo.fields import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon

INVOICE_DATE = "2024-03-31"
#: Currency, its smallest coin, units per dollar.
CURRENCIES = {
    "USD": (0.01, 1.0),
    "EUR": (0.01, 0.9137),
    "JPY": (1.0, 151.373),
    "KWD": (0.001, 0.30721),
    "CHF": (0.05, 0.8813),
}
COMPANY_CURRENCIES = ("USD", "JPY", "KWD")
#: Name, type, amount, included in the price, part of the base of later taxes.
TAXES = {
    "21": ("percent", 21.0, False, False),
    "6": ("percent", 6.0, False, False),
    "0": ("percent", 0.0, False, False),
    "21 incl.": ("percent", 21.0, True, False),
    "7.7 incl.": ("percent", 7.7, True, False),
    "eco 0.37": ("fixed", 0.37, False, True),
    "eco 2 incl.": ("fixed", 2.0, True, False),
    "levy 5": ("percent", 5.0, False, True),
}
TAX_SETS = (
    (),
    ("21",),
    ("6",),
    ("0",),
    ("21 incl.",),
    ("7.7 incl.",),
    ("eco 0.37", "21"),
    ("eco 2 incl.", "21 incl."),
    ("levy 5", "21"),
    ("6", "21"),
)
INTERVALS = ("day", "week", "month", "quarter", "half_year", "year", "period", "once")
PRORATIONS = ("actual", "thirty", "thirty_360", "none")
SETTINGS = settings(
    derandomize=True,
    deadline=None,
    max_examples=16,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)

cents = st.integers(-2000, 9999).map(lambda number: number / 100)
prices = st.one_of(cents, st.sampled_from([0.015, 33.335, 1999.999, 12345.6, 1.0]))
quantities = st.one_of(st.integers(1, 1500).map(lambda number: number / 100), st.just(1.0))
discounts = st.sampled_from([0.0, 0.0, 10.0, 12.5, 33.33, 100.0])
prices_of_lines = {
    "quantity": quantities,
    "price_unit": prices.filter(bool),
    "discount": discounts,
    "taxes": st.sampled_from(TAX_SETS),
    "of_product": st.booleans(),
}
items = st.fixed_dictionaries(
    {**prices_of_lines, "quantity": st.one_of(quantities, quantities.map(lambda number: -number))}
)
lines = st.fixed_dictionaries({**prices_of_lines, "interval": st.sampled_from(INTERVALS)})
contracts = st.fixed_dictionaries(
    {
        "date_start": st.dates(date(2023, 12, 30), date(2024, 3, 31)),
        "proration": st.sampled_from(PRORATIONS),
        "period_anchor": st.sampled_from(("start", "calendar")),
        "lines": st.lists(lines, min_size=1, max_size=3),
    }
)
customers = st.fixed_dictionaries(
    {
        "currency": st.sampled_from(sorted(CURRENCIES)),
        "is_mapped": st.booleans(),
        "is_grouped": st.booleans(),
        "contracts": st.lists(contracts, max_size=2),
        "usage": st.lists(items, max_size=3),
    }
)


@tagged("post_install", "-at_install")
class TestPreview(InvoiceRunCommon):
    """What a run shows before approval is what the invoices say, to the smallest coin."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.currencies = {
            name: cls._prepare_currency(name, rounding, rate)
            for name, (rounding, rate) in CURRENCIES.items()
        }
        cls.position = cls.env["account.fiscal.position"].create(
            {"name": "Abroad", "company_id": cls.company.id}
        )
        cls.taxes = {name: cls._make_tax(name, *values) for name, values in TAXES.items()}
        # abroad 21 % becomes 6 %, and the eco tax is not owed
        cls.taxes["6"].write(
            {
                "fiscal_position_ids": [Command.link(cls.position.id)],
                "original_tax_ids": [Command.link(cls.taxes["21"].id)],
            }
        )
        cls.products = {
            names: cls._make_product(
                ", ".join(names) or "Free of tax",
                10.0,
                taxes_id=[Command.set([cls.taxes[name].id for name in names])],
            )
            for names in TAX_SETS
        }

    @classmethod
    def _prepare_currency(cls, name, rounding, rate):
        currency = cls.env.ref(f"base.{name}")
        currency.write({"active": True, "rounding": rounding})
        currency.rate_ids.unlink()
        cls.env["res.currency.rate"].create(
            {
                "currency_id": currency.id,
                "company_id": cls.company.id,
                "name": "2020-01-01",
                "rate": rate,
            }
        )
        return currency

    @classmethod
    def _make_tax(cls, name, amount_type, amount, is_included, is_base):
        group = cls.env["account.tax.group"].create({"name": name, "company_id": cls.company.id})
        return cls.env["account.tax"].create(
            {
                "name": name,
                "amount_type": amount_type,
                "amount": amount,
                "type_tax_use": "sale",
                "company_id": cls.company.id,
                "tax_group_id": group.id,
                "price_include_override": "tax_included" if is_included else "tax_excluded",
                "include_base_amount": is_base,
            }
        )

    @contextmanager
    def _rolled_back(self):
        with self.env.cr.savepoint() as savepoint:
            yield
            savepoint.rollback()

    def _prepare_price_vals(self, values):
        vals = {
            "product_id": self.products[values["taxes"]].id,
            "quantity": values["quantity"],
            "price_unit": values["price_unit"],
            "discount": values["discount"],
        }
        if not values["of_product"]:
            vals["tax_ids"] = [Command.set([self.taxes[name].id for name in values["taxes"]])]
        return vals

    def _make_customer(self, number, values):
        currency = self.currencies[values["currency"]]
        partner = self._make_partner(
            f"Customer {number}",
            allow_invoice_grouping=values["is_grouped"],
            property_account_position_id=values["is_mapped"] and self.position.id,
        )
        for contract in values["contracts"]:
            self._make_contract(
                [
                    {**self._prepare_price_vals(line), "price_interval": line["interval"]}
                    for line in contract["lines"]
                ],
                partner_id=partner.id,
                currency_id=currency.id,
                date_start=contract["date_start"],
                proration=contract["proration"],
                period_anchor=contract["period_anchor"],
            )
        contract = partner.billing_contract_ids[:1]
        for item in values["usage"]:
            self._make_usage(
                **self._prepare_price_vals(item),
                date="2024-03-20",
                partner_id=partner.id,
                currency_id=currency.id,
                contract_id=contract.id,
            )

    def assertSame(self, values, expected, currency, where):
        self.assertEqual(values.keys(), expected.keys(), where)
        for name, value in values.items():
            same = currency.compare_amounts(value, expected[name]) == 0
            self.assertTrue(same, f"{where}: {name} is {value}, the invoice says {expected[name]}")

    def _get_tax_groups(self, totals, suffix):
        return {
            (group["group_name"], part): group[f"{part}_amount{suffix}"]
            for subtotal in totals["subtotals"]
            for group in subtotal["tax_groups"]
            for part in ("base", "tax")
        }

    def assertInvoiced(self, document):
        """Compare a document with the posted invoice made from it."""
        move = document.move_id
        sign = -1 if move.move_type == "out_refund" else 1
        where = f"{document.title}, {move.move_type}"
        self.assertEqual(document.state, "invoiced", document.error)
        self.assertEqual(move.state, "posted")
        parts = ("untaxed", "tax", "total")
        self.assertSame(
            {part: document[f"amount_{part}"] for part in parts},
            {part: sign * move[f"amount_{part}"] for part in parts},
            document.currency_id,
            where,
        )
        self.assertSame(
            {part: document[f"company_amount_{part}"] for part in parts},
            {part: move[f"amount_{part}_signed"] for part in parts},
            document.company_currency_id,
            f"{where}, company currency",
        )
        summary, _base_lines = document._get_tax_summary(sign)
        for suffix, currency in (
            ("_currency", document.currency_id),
            ("", document.company_currency_id),
        ):
            self.assertSame(
                self._get_tax_groups(summary, suffix),
                self._get_tax_groups(move.tax_totals, suffix),
                currency,
                f"{where}, taxes",
            )
        for line in document.line_ids:
            self.assertLineInvoiced(line, sign, where)

    def assertLineInvoiced(self, line, sign, where):
        where = f"{where}: {line.name}"
        currency = line.currency_id
        invoiced = line.move_line_ids
        # the untaxed amount of a line has its share of the rounding of the whole document
        self.assertSame(
            {"untaxed": line.amount_untaxed},
            {"untaxed": -invoiced.amount_currency},
            currency,
            where,
        )
        included = line.tax_ids.mapped("price_include")
        if any(included):
            self.assertTrue(all(included))
        total = invoiced.price_total if any(included) else invoiced.price_subtotal
        self.assertSame({"amount": line.amount}, {"amount": sign * total}, currency, where)
        self.assertEqual(invoiced.tax_ids, line.tax_ids)

    def _check_run(self, company_currency, rounding, values):
        self.company.currency_id = self.currencies[company_currency]
        self.company.tax_calculation_rounding_method = rounding
        if rounding == "round_globally":
            # Odoo spreads differences by the cent: where the smallest coin is 0.05, the totals
            # that it prints differ from its own journal items
            self.currencies["CHF"].rounding = 0.01
        for number, customer in enumerate(values):
            self._make_customer(number, customer)
        for scenario in (self.scenario, self.usage_scenario):
            run = self._make_amounts(self._make_run(INVOICE_DATE, scenario))
            # the invoices are made by another worker, later
            self.env.invalidate_all()
            if run.document_ids:
                self._make_invoices(run)
            self.assertFalse(run.exception_ids, run.exception_ids.mapped("message"))
            for document in run.document_ids:
                if document.currency_id.is_zero(document.amount_total):
                    self.assertEqual(document.state, "nothing")
                else:
                    self.assertInvoiced(document)
                total = sum(document.line_ids.mapped("amount_untaxed"))
                self.assertEqual(
                    document.currency_id.compare_amounts(total, document.amount_untaxed), 0
                )

    @SETTINGS
    @given(
        st.sampled_from(COMPANY_CURRENCIES),
        st.sampled_from(("round_per_line", "round_globally")),
        st.lists(customers, min_size=1, max_size=4),
    )
    def test_preview_equals_invoice(self, company_currency, rounding, values):
        with self._rolled_back():
            self._check_run(company_currency, rounding, values)

    def test_rate_of_the_day_that_a_localisation_takes(self):
        """Some countries convert at the rate of the delivery: Odoo is asked for the day."""
        move = type(self.env["account.move"])
        self.patch(move, "_get_invoice_currency_rate_date", lambda move: move.delivery_date)
        # no localisation that bulk creation would know of
        self.env["ir.config_parameter"].set_param("invoice_run.bulk_create", "0")
        currency = self.currencies["CHF"]
        self.assertNotEqual(currency, self.company.currency_id)
        vals = {"currency_id": currency.id, "company_id": self.company.id}
        self.env["res.currency.rate"].create({**vals, "name": "2024-03-01", "rate": 4.0})
        self._make_contract(
            currency_id=currency.id, date_start="2024-02-01", billing_timing="arrears"
        )
        document = self._run_all("2024-03-15").document_ids
        self.assertInvoiced(document)
        self.assertAlmostEqual(document.currency_rate, CURRENCIES["CHF"][1])

    def test_fraction_of_a_cent_with_the_tax_in_the_price(self):
        """Odoo would split 0.405 into 0.33 + 0.07; the contract invoices 0.41."""
        self.company.tax_calculation_rounding_method = "round_globally"
        price = {"price_unit": 0.0135, "product_id": self.products[("21 incl.",)].id}
        contract = self._make_contract(
            [{"price_interval": "day", **price}], date_start="2024-04-01"
        )
        usage = {"contract_id": contract.id, "date": "2024-04-05", "quantity": 30}
        self._make_usage(**usage, **price)
        run = self._run_all("2024-04-15")
        item = run.line_ids.filtered("usage_id")
        period = run.line_ids - item
        self.assertEqual((period.amount, period.quantity, period.price_unit), (0.41, 1.0, 0.41))
        # what was measured stays as it is: the amount is what Odoo makes of it
        self.assertEqual((item.amount, item.quantity, item.price_unit), (0.4, 30.0, 0.0135))
        self.assertInvoiced(run.document_ids)
