from odoo import models
from odoo.tools import formatLang

from ...engine import tariff


class BillingContractLine(models.Model):
    """What invoice lines and screens say of usage: how an amount came about, bands in words."""

    _inherit = "billing.contract.line"

    def _get_rating_note(self, rating, with_slices=True):
        """Return the explanation of the amount for the invoice line.

        :param with_slices: the invoice line itself does not show quantity and price
        """
        env = self.with_context(lang=self.contract_id._get_invoice_lang()).env
        parts = [self._get_measure_text(env, rating)]
        if rating.pool:
            return "\n".join([*parts, *self._get_pool_texts(env, rating)])
        if self.tariff_id.included_quantity and not rating.billed:
            included = self._get_quantity_text(env, self.tariff_id.included_quantity)
            parts.append(env._("included: %(quantity)s", quantity=included))
        if with_slices and not rating.billed:
            slices = tariff.get_slices(self._get_tariff(), rating.measure)
            parts += [self._get_slice_text(env, part) for part in slices]
        bounded = self._get_rated_price(rating.measure)
        if rating.total > bounded:
            parts.append(env._("minimum: %(price)s", price=self._get_money_text(env, rating.total)))
        elif rating.total < bounded:
            parts.append(env._("maximum: %(price)s", price=self._get_money_text(env, rating.total)))
        if rating.billed:
            kept = self._get_edited(rating.billed) - rating.edited
            before = sum(rating.billed.values(), kept)
            parts.append(
                env._(
                    "%(total)s, less %(before)s invoiced before",
                    total=self._get_money_text(env, rating.total),
                    before=self._get_money_text(env, before),
                )
            )
            parts += self._get_kept_texts(env, kept)
        return "\n".join(parts)

    def _get_band_texts(self):
        """Return what the tariff costs, one text per band, in the language of the environment."""
        texts = [self._get_band_text(tier) for tier in self.tariff_id.tier_ids.sorted("sequence")]
        if self.tariff_id.included_quantity:
            included = self._get_quantity_text(self.env, self.tariff_id.included_quantity)
            texts.insert(0, self.env._("included: %(quantity)s", quantity=included))
        if self._shares_with_customer():
            texts.append(self.env._("for all contracts with this tariff together"))
        elif self._shares_bands():
            texts.append(self.env._("for all price lines of this tariff together"))
        return texts

    def _get_band_text(self, tier):
        """Return what a band of the tariff costs, and how far it goes."""
        price = self._get_band_price_text(tier)
        if tier.up_to:
            limit = self._get_quantity_text(self.env, tier.up_to)
            return self.env._("up to %(quantity)s: %(price)s", quantity=limit, price=price)
        if len(self.tariff_id.tier_ids) > 1:
            return self.env._("above that: %(price)s", price=price)
        return price

    def _get_band_price_text(self, tier):
        kind, parts = self.tariff_id.model, []
        if kind == tariff.PERCENTAGE and tier.rate:
            parts.append(f"{formatLang(self.env, tier.rate, digits=2)} %")
        elif kind == tariff.PACKAGE:
            size = self._get_quantity_text(self.env, self.tariff_id.package_size)
            price = self._format_unit_price(self.env, tier.price_unit)
            parts.append(self.env._("%(price)s per %(quantity)s", price=price, quantity=size))
        elif kind not in (tariff.PERCENTAGE, tariff.STAIRSTEP) and tier.price_unit:
            parts.append(self._format_unit_price(self.env, tier.price_unit))
        if tier.flat_fee or not parts:
            parts.append(self._format_price(self.env, tier.flat_fee))
        return " + ".join(parts)

    def _get_measure_text(self, env, rating):
        measure = rating.measure
        quantity = self._get_quantity_text(env, measure.quantity)
        before = self._get_quantity_before(rating)
        if rating.billed and self._shares_bands() and before == float(measure.quantity):
            return env._(
                "Usage as invoiced: %(quantity)s. What was counted with it has changed",
                quantity=quantity,
            )
        if rating.billed:
            return env._(
                "Usage reported later: %(quantity)s instead of %(before)s",
                quantity=quantity,
                before=self._get_quantity_text(env, before),
            )
        return env._(
            "Usage: %(quantity)s (items: %(count)s)", quantity=quantity, count=measure.count
        )

    def _get_slice_text(self, env, part):
        """Return a part of the quantity with its price, in Latin-1."""
        fee = self._get_money_text(env, part.fee)
        if not part.quantity:
            return fee
        text = f"{self._get_part_text(env, part)} × {self._get_share_text(env, part)}"
        return f"{text} + {fee}" if part.fee else text

    def _get_part_text(self, env, part):
        if self.tariff_id.model == tariff.PACKAGE:
            return env._("%(count)s packages", count=int(part.quantity))
        return self._get_quantity_text(env, part.quantity)

    def _get_share_text(self, env, part):
        """Return the price of a part; of a value the percentage."""
        if self.tariff_id.model == tariff.PERCENTAGE:
            return f"{formatLang(env, float(part.price * 100), digits=2)} %"
        return self._format_unit_price(env, float(part.price))

    def _get_money_text(self, env, price):
        return self._format_price(env, float(price))

    def _get_quantity_text(self, env, quantity):
        if self._get_aggregate() == "value":
            return self._get_money_text(env, quantity)
        quantity = float(quantity)
        digits = 0 if quantity == int(quantity) else None
        text = formatLang(env, quantity, digits=digits, dp=None if digits == 0 else "Product Unit")
        uom = self.with_env(env).product_uom_id
        return f"{text} {uom.name}" if uom and self.aggregation in ("sum", "max", "last") else text
