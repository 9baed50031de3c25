from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ...engine import tariff
from ...engine.periods import exact

#: In the context: tiers are written with their tariff, which is checked as a whole afterwards.
#: An object, because over RPC nobody can send one.
CHECKED_LATER = object()
#: Fields by which a quantity is rated.
RATED_FIELDS = {"model", "tier_ids", "included_quantity", "package_size", "round_up"}


class ComparedLater:
    """In the context: tariffs whose bands are compared when all of them are written.

    Only these: commands for the bands of one tariff can name bands of another.
    """

    __slots__ = ("ids",)

    def __init__(self, ids):
        self.ids = ids


class BillingTariff(models.Model):
    """A price that depends on the quantity, shared by any number of price lines."""

    _name = "billing.tariff"
    _description = "Tariff"
    _inherit = ["invoice.run.stale.mixin", "invoice.run.import.mixin"]
    _order = "name, id"
    _check_company_auto = True
    _prepares_runs = True

    name = fields.Char(required=True, translate=True)
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        precompute=True,
    )
    model = fields.Selection(
        [
            ("flat", "One price"),
            ("graduated", "Graduated: each part at the price of its band"),
            ("volume", "Volume: everything at the price of the band reached"),
            ("package", "Packages"),
            ("stairstep", "Steps: the fee of the band reached"),
            ("percentage", "Percentage of the value"),
        ],
        "Calculation",
        required=True,
        default="graduated",
    )
    tier_ids = fields.One2many("billing.tariff.tier", "tariff_id", "Bands", copy=True)
    included_quantity = fields.Float(
        "Included",
        digits="Product Unit",
        help="Costs nothing in each billing period; the bands count from there on.",
    )
    package_size = fields.Float(
        digits="Product Unit", default=1.0, help="Units in a package; a started one is charged."
    )
    round_up = fields.Boolean(
        "Whole Units", help="Started units count in full: 10.2 are charged as 11."
    )
    tier_scope = fields.Selection(
        [
            ("line", "Each price line by itself"),
            ("contract", "All price lines of a contract together"),
            ("customer", "All contracts of a customer together"),
        ],
        "Bands Are Reached By",
        required=True,
        default="line",
        help="Price lines that share the bands also share what is included; each is charged its "
        "part of the price by its quantity. Of a customer, the contracts with the same billing "
        "period count together. Example: 1.00 up to 10, then 2.00. 10 of one contract and 10 of "
        "another cost 10.00 each by themselves, together 30.00: 15.00 each.",
    )
    active = fields.Boolean(default=True)

    _included_not_negative = models.Constraint(
        "CHECK (included_quantity >= 0)", "The included quantity cannot be negative."
    )

    @api.depends("company_id")
    def _compute_currency_id(self):
        for record in self:
            record.currency_id = record.currency_id or record.company_id.currency_id

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "model",
            "included_quantity",
            "package_size",
            "round_up",
            "tier_scope",
            "currency_id",
        }

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [("tariff_id", "in", self.ids)]

    @api.model_create_multi
    def create(self, vals_list):
        return super(BillingTariff, self._with_tiers()).create(vals_list).with_env(self.env)

    def write(self, vals):
        self._check_tier_scope_free(vals)
        later = self._with_tiers().with_context(invoice_run_rates=ComparedLater(self._ids))
        before = self._get_ratings() if RATED_FIELDS.intersection(vals) else {}
        result = super(BillingTariff, later).write(vals)
        if {*RATED_FIELDS, "tier_scope"}.intersection(vals):
            self._serialize_rating()
        self._check_ratings_kept(before)
        return result

    def copy_data(self, default=None):
        vals_list = super().copy_data(default)
        if "name" not in (default or {}):
            for record, vals in zip(self, vals_list, strict=True):
                vals["name"] = self.env._("%s (copy)", record.name)
        return vals_list

    def _with_tiers(self):
        return self.with_context(invoice_run_tiers=CHECKED_LATER)

    def _get_ratings(self):
        """Return {tariff: what it is for the engine}; None while it has a gap or disorder."""
        ratings = {}
        for record in self:
            try:
                ratings[record] = record._get_rating()
            except tariff.TariffError:
                ratings[record] = None
        return ratings

    def _check_ratings_kept(self, before):
        """Refuse other prices than ``before``, see :meth:`_get_ratings`, once they were invoiced.

        :raises UserError: says what to do instead
        """
        after = self.browse().union(*before)._get_ratings()
        changed = [record.id for record, rating in before.items() if after[record] != rating]
        if changed:
            self.browse(changed)._check_rates_free()

    def _without_compared(self):
        """Return those of these tariffs that are not compared later."""
        later = self.env.context.get("invoice_run_rates")
        ids = later.ids if isinstance(later, ComparedLater) else ()
        return self.filtered(lambda record: record.id not in ids)

    @api.constrains("model", "tier_ids", "included_quantity", "package_size")
    def _check_tiers(self):
        for record in self:
            try:
                record._get_rating()
            except tariff.TariffError as error:
                raise ValidationError(record._get_refusal(error.code)) from error

    def _get_rating(self):
        """Return this tariff for the engine.

        :raises tariff.TariffError: gap, disorder, or a band that the model does not have
        """
        self.ensure_one()
        return tariff.Tariff(
            model=self.model,
            # in order also while they are being written
            bands=tuple(tier._get_band() for tier in self.tier_ids.sorted("sequence")),
            included=exact(self.included_quantity),
            package_size=exact(self.package_size),
            round_up=self.round_up,
        )

    def _get_refusal(self, code):
        """Return in words what is wrong with this tariff.

        :param code: see ``tariff.TariffError``
        """
        messages = {
            "no_band": self.env._("Add a band with a price."),
            "one_band": self.env._(
                "This calculation has one price: keep one band, without “Up To”."
            ),
            "open_end": self.env._(
                "The last band needs no limit, so that every quantity has a price: empty its "
                "“Up To”."
            ),
            "order": self.env._(
                "Each band must go further than the one before it, and only the last one has no "
                "limit. Correct “Up To”."
            ),
            "package": self.env._("Enter how many units are in a package."),
            "negative": self.env._("The included quantity cannot be negative."),
        }
        return self.env._(
            "Tariff %(tariff)s: %(message)s",
            tariff=self.name,
            message=messages.get(code, code),
        )

    def _note_tiers_changed(self):
        """Note who changed a band, and mark what was calculated by it."""
        self._without_compared()._serialize_rating()
        self.env["billing.change"]._note(self)
        self.env["invoice.run.line"]._mark_stale(self._get_stale_domain())
        if self.env.context.get("invoice_run_tiers") is not CHECKED_LATER:
            self._check_tiers()


class BillingTariffTier(models.Model):
    """One band of a tariff: what is above the band before it, up to and including its limit."""

    _name = "billing.tariff.tier"
    _description = "Tariff Band"
    _inherit = "invoice.run.import.mixin"
    _order = "tariff_id, sequence, id"

    tariff_id = fields.Many2one("billing.tariff", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="tariff_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="tariff_id.currency_id")
    sequence = fields.Integer(default=10)
    up_to = fields.Float(
        digits="Product Unit", help="Included. Empty or 0: without limit, as the last band."
    )
    price_unit = fields.Float(
        "Price", min_display_digits="Product Price", help="Of one unit; of one package there."
    )
    flat_fee = fields.Monetary(
        "Fee",
        help="Once per billing period, as soon as the band is reached. With a percentage: for "
        "each item.",
    )
    rate = fields.Float("Rate %", digits=(12, 4), help="Share of the value that is charged.")

    _up_to_not_negative = models.Constraint(
        "CHECK (up_to >= 0)", "The limit of a band cannot be negative."
    )

    @api.model_create_multi
    def create(self, vals_list):
        tiers = super().create(vals_list)
        tiers.tariff_id._without_compared()._check_rates_free()
        tiers.tariff_id._note_tiers_changed()
        return tiers

    def write(self, vals):
        if "tariff_id" in vals and self.filtered(
            lambda tier: tier.tariff_id.id != vals["tariff_id"]
        ):
            raise UserError(
                self.env._("A band stays with its tariff. Delete it here and add it there.")
            )
        before = self.tariff_id._without_compared()._get_ratings()
        result = super().write(vals)
        self.tariff_id._check_ratings_kept(before)
        self.tariff_id._note_tiers_changed()
        return result

    def unlink(self):
        tariffs = self.tariff_id
        tariffs._without_compared()._check_rates_free()
        result = super().unlink()
        tariffs._note_tiers_changed()
        return result

    def _get_band(self):
        return tariff.Band(
            up_to=exact(self.up_to) if self.up_to else None,
            price_unit=exact(self.price_unit),
            flat_fee=exact(self.flat_fee),
            rate=exact(self.rate),
        )
