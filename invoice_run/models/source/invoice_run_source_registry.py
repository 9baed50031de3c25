from odoo import api, models, tools
from odoo.tools import SQL

#: What the condition of an index may say, as PostgreSQL prints it; none at all is fine too.
ALL_CLAIMS = ("is_claimed", "(is_claimed AND (%s IS NOT NULL))")


class SourceRefused(Exception):
    """A source is not declared in full, or the database would let it invoice something twice."""


class InvoiceRunSource(models.AbstractModel):
    """Which sources there are, and what each of them must have before it may invoice anything."""

    _inherit = "invoice.run.source"

    @api.model
    @tools.ormcache()
    def _get_source_models(self):
        """Return {key: model} of all sources, in their order."""
        models_by_name = self.env.registry
        sources = [
            model for model in models_by_name.values() if getattr(model, "_source_key", None)
        ]
        sources.sort(key=lambda model: (model._source_sequence, model._source_key))
        return {model._source_key: model._name for model in sources}

    @api.model
    def _get_sources(self):
        """Return an empty recordset of each source, in their order."""
        return [self.env[name] for name in self._get_source_models().values()]

    @api.model
    @tools.ormcache()
    def _get_claim_fields(self):
        """Return the fields of an amount that say what it claims, in the order of claims."""
        return tuple(source._source_claim_field for source in self._get_sources())

    @api.model
    @tools.ormcache()
    def _get_record_fields(self):
        """Return the fields of an amount or exception that say whose it is, in order."""
        return tuple(source._source_record_field for source in self._get_sources())

    @api.model
    @tools.ormcache()
    def _get_link_fields(self):
        """Return all fields by which amounts are linked to what they invoice, in order."""
        links = zip(self._get_record_fields(), self._get_claim_fields(), strict=True)
        return tuple(dict.fromkeys(name for pair in links for name in pair))

    @api.model
    @tools.ormcache()
    def _get_marks(self):
        """Return (field of an amount, model of the source that it tells), in the order to look."""
        fields = (*self._get_claim_fields(), *self._get_record_fields())
        return tuple(zip(fields, (*self._get_source_models().values(),) * 2, strict=True))

    # ------------------------------------------------------------------
    # When Odoo starts
    # ------------------------------------------------------------------

    def _register_hook(self):
        super()._register_hook()
        if self._source_key:
            self._check_source()

    @api.model
    def _check_source(self):
        """Refuse a source with which something could be invoiced twice, or not be found again.

        :raises SourceRefused: names the source and what it lacks
        """
        if self._get_source_models()[self._source_key] != self._name:
            self._refuse_source("another model has the same “_source_key”")
        line = self.env["invoice.run.line"]
        for attribute, model in (
            ("_source_claim_field", line),
            ("_source_record_field", line),
            ("_source_record_field", self.env["invoice.run.exception"]),
        ):
            field = model._fields.get(getattr(self, attribute))
            if field is None or field.type != "many2one" or not field.store:
                self._refuse_source(f"“{attribute}” must be a stored many2one of {model._name}")
        record_field = line._fields[self._source_record_field]
        if record_field.comodel_name != self._name:
            self._refuse_source(f"“_source_record_field” must be a link to {self._name}")
        if not self._has_claim_guard():
            self._refuse_source(
                f"invoice.run.line needs a unique index on {self._source_claim_field} WHERE "
                f"is_claimed AND {self._source_claim_field} IS NOT NULL (or an exclusion "
                "constraint, where days are claimed). Without it the same could be billed twice. "
                "If the index is declared, PostgreSQL could not create it: see Odoo's log"
            )
        if not self._has_selection():
            self._refuse_source("“_get_run_domain” or “_get_run_conditions” must be defined")

    def _has_selection(self):
        """Whether this source says what is due of it, beside what is said here for all."""
        base = self.env.registry["invoice.run.source"]
        return any(
            getattr(type(self), name) is not getattr(base, name)
            for name in ("_get_run_domain", "_get_run_conditions")
        )

    def _refuse_source(self, reason):
        raise SourceRefused(f"Invoice run source {self._source_key!r} ({self._name}): {reason}.")

    def _has_claim_guard(self):
        """Whether PostgreSQL refuses a second claim of what an amount of this source claims."""
        name = self._source_claim_field
        rows = self.env.execute_query(
            SQL(
                """
                SELECT pg_get_expr(index.indpred, index.indrelid)
                  FROM pg_index index
                  JOIN pg_attribute attribute ON attribute.attrelid = index.indrelid
                   AND attribute.attname = %(name)s
                 WHERE index.indrelid = 'invoice_run_line'::regclass AND index.indisvalid
                   AND CASE WHEN %(has_periods)s
                            THEN index.indisexclusion
                             AND pg_get_expr(index.indexprs, index.indrelid) ~ %(word)s
                            ELSE index.indisunique AND index.indkey::text = attribute.attnum::text
                       END
                """,
                name=name,
                has_periods=self._source_has_periods,
                word=rf"\y{name}\y",
            )
        )
        conditions = {None, *(text.replace("%s", name) for text in ALL_CLAIMS)}
        return any(condition in conditions for (condition,) in rows)
