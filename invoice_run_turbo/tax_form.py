"""What the items of alike invoices have from their taxes, whatever the amounts."""

from odoo.fields import Command
from odoo.tools import frozendict

from .plain_taxes import COMPANY, DOCUMENT


class TaxForm:
    """Tags, accounts and tax lines of an invoice with plain percent taxes, without its amounts.

    See ``account.tax`` ``_prepare_tax_lines``.
    """

    def __init__(self, base_lines):
        """:param base_lines: those of one such invoice, as the tax engine completed them"""
        #: values of each product line
        self._bases = [
            {"tax_tag_ids": [Command.set(base_line["tax_tag_ids"].ids)]} for base_line in base_lines
        ]
        #: [{tax id: number of the tax line that it is part of}] of each product line
        self._places = []
        found = {}
        for base_line in base_lines:
            places = {}
            for tax_data in base_line["tax_details"]["taxes_data"]:
                (repartition,) = tax_data["tax_reps_data"]
                key = frozendict(repartition["grouping_key"])
                place, _name = found.setdefault(key, (len(found), tax_data["tax"].name))
                places[tax_data["tax"].id] = place
            self._places.append(places)
        #: [(values, whether it stays if it is zero)] of each tax line
        self._items = [
            ({**_get_public(key), "name": name}, key["__keep_zero_line"])
            for key, (_place, name) in found.items()
        ]

    def fill(self, lines, rounding, sign):
        """Return the values of product lines and tax lines with these amounts.

        :param lines: what :func:`plain_taxes.compute` returned
        :param sign: that of the invoice's balance
        """
        bases = [
            {
                **vals,
                "amount_currency": sign * line.get_untaxed(DOCUMENT),
                "balance": sign * line.get_untaxed(COMPANY),
                "price_subtotal": line.untaxed[DOCUMENT],
                "price_total": line.total[DOCUMENT],
            }
            for vals, line in zip(self._bases, lines, strict=True)
        ]
        names = ("tax_base_amount", "amount_currency", "balance")
        amounts = [dict.fromkeys(names, 0.0) for _item in self._items]
        for line, places in zip(lines, self._places, strict=True):
            for tax_id, tax in line.taxes.items():
                item = amounts[places[tax_id]]
                item["tax_base_amount"] += sign * tax.base[COMPANY]
                item["amount_currency"] += sign * rounding.book(DOCUMENT, tax.amount[DOCUMENT])
                item["balance"] += sign * rounding.book(COMPANY, tax.amount[COMPANY])
        return bases, [
            {**vals, **item}
            for (vals, is_kept), item in zip(self._items, amounts, strict=True)
            if is_kept or not _is_zero(item, rounding)
        ]


def _get_public(key):
    return {name: value for name, value in key.items() if not name.startswith("__")}


def _is_zero(item, rounding):
    is_zero = rounding.is_zero[DOCUMENT](item["amount_currency"])
    return is_zero and rounding.is_zero[COMPANY](item["balance"])
