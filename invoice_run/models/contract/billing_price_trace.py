from markupsafe import Markup

from odoo import api, fields, models
from odoo.tools import format_date, formatLang

from ...engine import periods
from ..base.states import CONTRACT_BILLED

#: In the context: a change from a date is written, which is noted as such. An object, because over
#: RPC nobody can send one.
CHANGED_BY_DATE = object()
#: Fields that decide the price.
PRICE_FIELDS = ("product_id", "price_unit", "price_interval", "discount")
#: Fields whose change leaves a trace on a contract that is invoiced.
TRACED_FIELDS = (
    *PRICE_FIELDS,
    "quantity",
    "tariff_id",
    "aggregation",
    "minimum_amount",
    "maximum_amount",
    "commitment_amount",
    "commitment_interval",
)
#: Fields of what is charged at least or at most.
BOUNDS = {"minimum_amount", "maximum_amount", "commitment_amount"}
#: A price may have more decimals than the currency: as many are shown.
MAX_DIGITS = 6


class BillingContractLine(models.Model):
    """The day from which a price counts, and the note about one that is overwritten."""

    _inherit = "billing.contract.line"

    price_edited_from = fields.Date(
        readonly=True,
        copy=False,
        engine=True,
        help="The price was overwritten on the line: from this day on, the first that was not "
        "invoiced then, it is the new one.",
    )
    price_since = fields.Date(
        compute="_compute_price_since",
        store=True,
        copy=False,
        recursive=True,
        engine=True,
        help="First day of the present price: the start of the line, or the last change of its "
        "price, discount or product.",
    )

    @api.depends(
        *PRICE_FIELDS,
        *(f"previous_line_id.{name}" for name in PRICE_FIELDS),
        "previous_line_id.price_since",
        "price_edited_from",
        "date_start",
        "contract_id.date_start",
    )
    def _compute_price_since(self):
        for line in self:
            if not line.contract_id.date_start:
                line.price_since = False
                continue
            first, previous = line._get_own_days()[0], line.previous_line_id
            if line.price_edited_from:
                line.price_since = max(first, line.price_edited_from)
            elif previous and all(previous[name] == line[name] for name in PRICE_FIELDS):
                line.price_since = previous.price_since
            else:
                line.price_since = first

    def _get_price_root(self):
        """Return the first of the lines that replaced one another down to this one."""
        return self.browse(self._get_replaced_ids()[-1:]) or self

    def _get_replaced_ids(self):
        """Return the ids of the lines that this one replaced, the latest first."""
        ids, line = [], self
        while line := line.previous_line_id:
            ids.append(line.id)
        return ids

    @api.onchange(*TRACED_FIELDS)
    def _onchange_price(self):
        """Warn about what a new price does not change."""
        line = self._origin
        if line.contract_id.state not in CONTRACT_BILLED or not line.invoiced_until:
            return None
        if all(self[name] == line[name] for name in TRACED_FIELDS):
            return None
        if line.is_metered:
            return self._get_rates_warning()
        message = self.env._(
            "“%(line)s” is invoiced until %(date)s: these days stay as they were invoiced, the new "
            "values count from the next day on. To change it from a day of your choice, use "
            "“Change from Date…”.",
            line=line.name,
            date=format_date(self.env, line.invoiced_until),
        )
        title = self.env._("Invoiced days stay as they are")
        return {"warning": {"title": title, "message": message, "type": "notification"}}

    def _get_rates_warning(self):
        """Return the warning that what usage was invoiced by is not overwritten, if it was."""
        changed = self._get_changed_rates(self._origin._get_rates())
        message = self._get_rates_message({self: changed})
        title = self.env._("Usage has been invoiced at this price")
        return {"warning": {"title": title, "message": message}} if message else None

    def write(self, vals):
        # EXTENDS 'analytic': a price that is overwritten leaves a trace on its contract
        before, rates = self._get_traced(vals), self._get_kept_rates(vals)
        result = super().write(vals)
        self._check_rates_kept(rates)
        if before:
            self._note_overwritten(before)
        self._relink_usage(vals)
        return result

    def _get_traced(self, vals):
        """Return {line: values} of the lines whose change by ``vals`` is to be noted."""
        if self.env.context.get("invoice_run_trace") is CHANGED_BY_DATE:
            return {}
        if not any(name in vals for name in TRACED_FIELDS):
            return {}
        lines = self.filtered(lambda line: line.contract_id.state in CONTRACT_BILLED)
        return {line: {name: line[name] for name in TRACED_FIELDS} for line in lines}

    def _note_overwritten(self, before):
        """Note what was overwritten on the contracts, and from when the new price counts."""
        bodies = {}
        for line, values in before.items():
            changed = [name for name in TRACED_FIELDS if line[name] != values[name]]
            if changed:
                body = line._get_overwritten_note(values, changed)
                bodies[line.contract_id.id] = bodies.get(line.contract_id.id, Markup()) + body
            if line.invoiced_until and set(changed) & set(PRICE_FIELDS):
                line._write_engine({"price_edited_from": line.invoiced_until + periods.DAY})
        self.env["billing.contract"].browse(bodies)._message_log_batch(bodies=bodies)

    def _get_overwritten_note(self, values, changed):
        """Return what is noted of this line: old and new value of each field in ``changed``."""
        rows = Markup().join(
            Markup("<li>%s: %s → %s</li>")
            % (
                self._fields[name]._description_string(self.env),
                self._get_traced_text(name, values[name]),
                self._get_traced_text(name, self[name]),
            )
            for name in changed
        )
        head = self.env._("“%(line)s” was overwritten:", line=self.name)
        return Markup("<div>%s<ul>%s</ul>%s</div>") % (head, rows, self._get_kept_text())

    def _get_kept_text(self):
        if not self.invoiced_until:
            return ""
        return self.env._(
            "Days invoiced until %(date)s stay as they were.",
            date=format_date(self.env, self.invoiced_until),
        )

    def _get_traced_text(self, name, value):
        field = self._fields[name]
        if field.type == "many2one":
            return value.display_name or ""
        if field.type == "selection":
            return dict(field._description_selection(self.env)).get(value, "")
        if name == "price_unit":
            return self._get_price_text(value)
        return formatLang(self.env, value, digits=get_digits(value, 2))

    def _get_side_texts(self, change):
        """Return both sides of a change of this line in words, the new one empty where it ends.

        :param change: a :class:`price_change.PriceChange`
        """
        old = self._get_rated_text(change.old_vals, change.old)
        return old, self._get_rated_text(change.vals, change.new) if change.vals else ""

    def _get_rated_text(self, vals, price):
        """Return one side of a change in words.

        :param vals: values by which the line is rated on that side, where they are changed
        :param price: the :class:`price_change.Price` of that side
        """
        line = self._with_rates(vals)
        if BOUNDS.intersection(vals):
            return ", ".join(line._get_bound_texts()) or self.env._("no minimum or maximum")
        text = line._get_side_text(price)
        if not vals.get("discount"):
            return text
        percent = formatLang(self.env, vals["discount"], digits=get_digits(vals["discount"], 0))
        return self.env._("%(price)s less %(discount)s %%", price=text, discount=percent)

    def _get_side_text(self, price):
        """Return one side of a change in words: 2 × 100.00 € / Month, or the bands of its tariff.

        :param price: a :class:`price_change.Price` of this line
        """
        if self.is_metered and self.tariff_id:
            return ", ".join(self._get_band_texts())
        if self.tariff_id:
            text = f"({', '.join(self._get_band_texts())})"
        else:
            text = self._get_price_text(price.price_unit)
        if price.quantity != 1:
            pieces = formatLang(self.env, price.quantity, digits=get_digits(price.quantity, 0))
            text = f"{pieces} × {text}"
        return f"{text} / {self._get_traced_text('price_interval', self.price_interval)}"

    def _get_price_text(self, price):
        """Return ``price`` in the currency of the contract, with all its decimals."""
        currency = self.currency_id
        text = formatLang(self.env, price, digits=get_digits(price, currency.decimal_places))
        parts = (text, currency.symbol or currency.name)
        return "\N{NO-BREAK SPACE}".join(parts if currency.position == "after" else parts[::-1])


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def _get_change_note(self, changes):
        """Return what is noted of a change from a date on: each line with both prices.

        :param changes: :class:`price_change.PriceChange` of lines of this contract
        """
        rows = Markup().join(
            Markup("<li>%s</li>") % self._get_change_row(change) for change in changes
        )
        return Markup("<div>%s<ul>%s</ul></div>") % (self.env._("Changed:"), rows)

    def _get_change_row(self, change):
        line = self.line_ids.browse(change.line_id)
        old, new = line._get_side_texts(change)
        values = {"line": line.name, "date": format_date(self.env, change.date_from), "old": old}
        if not change.vals:
            return self.env._("“%(line)s” (%(old)s) ends before %(date)s.", **values)
        return self.env._("“%(line)s” from %(date)s: %(old)s → %(new)s.", new=new, **values)


def get_digits(value, least):
    """Return how many decimals ``value`` needs, at least ``least``."""
    text = f"{value:.{MAX_DIGITS}f}".rstrip("0")
    return max(least, len(text.partition(".")[2]))
