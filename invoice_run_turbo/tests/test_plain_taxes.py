from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.tests.properties import FIXED
from odoo.fields import Command
from odoo.tests import tagged

from .. import plain_taxes
from ..bulk import BulkCache, BulkHead
from .bulk_common import BulkCommon

#: of the plain taxes below; several of them on one line as well
TAX_SETS = [(), (0,), (1,), (2,), (3,), (0, 1), (3, 2, 0)]
#: exact ties, sums that need the last bit, small and large amounts
NUMBERS = st.one_of(
    st.sampled_from([0.0, 0.005, 0.025, 1.0, 2.675, 12.12, 21.53, 33.333, 1e6]),
    st.integers(0, 10**7).map(lambda cents: cents / 100),
    st.floats(0, 1e5, allow_subnormal=False),
)
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "price_unit": NUMBERS,
            "quantity": st.one_of(st.sampled_from([1.0, -1.0, 3.5, 12.12]), NUMBERS),
            "discount": st.sampled_from([0.0, 0.0, 10.0, 33.33, 100.0]),
            "taxes": st.sampled_from(TAX_SETS),
            "product": st.integers(0, 2),
            "distribution": st.integers(0, 2),
        }
    ),
    min_size=1,
    max_size=5,
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "lines": LINES,
        "currency": st.integers(0, 4),
        "move_type": st.sampled_from(["out_invoice", "out_refund"]),
        "method": st.sampled_from(["round_per_line", "round_globally"]),
    }
)


@tagged("post_install", "-at_install")
class TestPlainTaxes(BulkCommon):
    """Percent taxes have the amounts of Odoo's tax engine to the last bit, though it is not asked.

    The methods that they follow are ``core.REPEATED``.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        amounts = [21.0, 7.7, 0.0, -2.5, 10.0]
        cls.plain = [
            cls._make_tax(f"{amount} %", amount, sequence=9 - number, analytic=number == 1)
            for number, amount in enumerate(amounts)
        ]
        cls.currencies = [*cls.currencies, cls._make_currency("SEK", 10.37, 0.05)]
        account = cls.company_data["default_account_revenue"]
        cls.products[1].property_account_income_id = account.copy({"code": "477777"})

    def _prepare(self, drawn):
        """Return the head and the product lines of a new invoice."""
        self.company.tax_calculation_rounding_method = drawn["method"]
        lines = [self._prepare_line(**line) for line in drawn["lines"]]
        vals = {
            "company_id": self.company.id,
            "currency_id": self.currencies[drawn["currency"]].id,
            "partner_id": self.partners[0].id,
            "fiscal_position_id": False,
            "invoice_payment_term_id": False,
            "invoice_date": "2024-03-15",
            "move_type": drawn["move_type"],
            "invoice_line_ids": [Command.create(line) for line in lines],
        }
        head = BulkHead(vals, BulkCache(self.env, [vals]))
        lines = [{**head.line_vals, **line} for line in lines]
        for line in lines:
            self.env["invoice.run.bulk"]._complete_product_line(line, head)
        return head, lines

    def _prepare_line(self, taxes, product, distribution, **numbers):
        ids = [self.plain[number].id for number in taxes]
        return {
            **numbers,
            "name": "Rent",
            "product_id": self.products[product].id,
            "product_uom_id": self.products[product].uom_id.id,
            "tax_ids": [Command.set(ids)],
            "analytic_distribution": self.distributions[distribution],
        }

    @settings(max_examples=400, **FIXED)
    @given(DOCUMENTS)
    def test_items(self, drawn):
        head, lines = self._prepare(drawn)
        bulk = self.env["invoice.run.bulk"]
        plain = bulk._compute_plain_taxes(lines, head)
        self.assertEqual(plain, bulk._ask_tax_engine(lines, head))

    def test_cents_of_a_greater_coin(self):
        """Odoo hands out cents where the coin is 0.05: the tax line has them as the total has."""
        line = {"price_unit": 100.17, "quantity": 1.0, "discount": 0.0, "product": 0}
        line |= {"taxes": (4,), "distribution": 0}
        for count in range(2, 8):
            drawn = {"lines": [line] * count, "currency": 4, "move_type": "out_invoice"}
            head, lines = self._prepare({**drawn, "method": "round_globally"})
            bulk = self.env["invoice.run.bulk"]
            plain = bulk._compute_plain_taxes(lines, head)
            self.assertEqual(plain, bulk._ask_tax_engine(lines, head), count)

    @settings(max_examples=100, **FIXED)
    @given(DOCUMENTS, DOCUMENTS)
    def test_the_form_of_another_invoice(self, drawn, other):
        """It holds for all amounts: none at all, and such that leave no tax, as well."""
        shape = [(line["taxes"], line["product"], line["distribution"]) for line in drawn["lines"]]
        names = ("taxes", "product", "distribution")
        others = other["lines"] * len(shape)
        other["lines"] = [
            {**line, **dict(zip(names, part, strict=True))}
            for line, part in zip(others, shape, strict=False)
        ]
        other = {**drawn, "lines": other["lines"]}
        head, lines = self._prepare(drawn)
        bulk = self.env["invoice.run.bulk"]
        bulk._compute_plain_taxes(lines, head)
        _head, lines = self._prepare(other)
        with patch.object(type(bulk), "_prepare_base_lines", self.fail):
            plain = bulk._compute_plain_taxes(lines, head)
        self.assertEqual(plain, bulk._ask_tax_engine(lines, head))

    @settings(max_examples=200, **FIXED)
    @given(DOCUMENTS)
    def test_totals(self, drawn):
        head, lines = self._prepare(drawn)
        base_lines = self.env["invoice.run.bulk"]._prepare_base_lines(lines, head)
        AccountTax = self.env["account.tax"]
        summary = AccountTax._get_tax_totals_summary(base_lines, head.currency, head.company)
        rounding = plain_taxes.Rounding(head.company, head.currency, head.rate)
        numbers = [
            plain_taxes.Numbers(
                *(line[name] for name in ("price_unit", "quantity", "discount")),
                head.cache.get_percents(line),
            )
            for line in lines
        ]
        found = plain_taxes.compute(numbers, rounding)
        for name, total in plain_taxes.get_totals(found).items():
            self.assertEqual(total, summary[name], name)
        for line, base_line in zip(found, base_lines, strict=True):
            for name, amount in line.get_details().items():
                self.assertEqual(amount, base_line["tax_details"][name], name)

    def test_what_is_plain(self):
        """All others are the engine's: the kinds that ``BulkCommon`` makes, by their names."""
        excluded, included, reverse, split, division, group, zero, *sets = self.taxes
        self.assertEqual(plain_taxes.get_percents(excluded), ((excluded.id, 21.0),))
        self.assertEqual(plain_taxes.get_percents(zero), ((zero.id, 0.0),))
        self.assertEqual(plain_taxes.get_percents(excluded.browse()), ())
        children = group.children_tax_ids
        self.assertEqual(
            plain_taxes.get_percents(group), tuple((tax.id, tax.amount) for tax in children)
        )
        for taxes in (included, reverse, split, division, *sets[:3]):
            self.assertIsNone(plain_taxes.get_percents(taxes), taxes.mapped("name"))

    def test_documents_and_invoices(self):
        """Neither asks the engine for amounts."""
        taxes = [Command.set(self.plain[0].ids)]
        for number, partner in enumerate(self.partners[:5]):
            line = {"price_unit": 10.01 + number, "tax_ids": taxes}
            self._make_contract([line], partner_id=partner.id, date_start="2024-03-01")
        AccountTax = self.env.registry["account.tax"]
        original, asked = AccountTax._add_tax_details_in_base_lines, []

        def counting(model, base_lines, company):
            asked.append(len(base_lines))
            return original(model, base_lines, company)

        with patch.object(AccountTax, "_add_tax_details_in_base_lines", counting):
            run = self._make_amounts(self._make_run("2024-03-15"))
            self.assertEqual(len(run.document_ids), 5)
            self.assertEqual(asked, [])
            run.with_user(self.reviewer).action_approve()
            run.action_generate_invoices()
            run._process_queue()
        # the first invoice: what all of them have from their taxes
        self.assertEqual(asked, [1])
        for document in run.document_ids:
            self.assertEqual(document.amount_total, document.move_id.amount_total)
