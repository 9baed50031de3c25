from odoo import api, fields, models
from odoo.tools import SQL

from ..base.scopes import BY_CONTRACT, BY_CUSTOMER, SHARED


class InvoiceRunUsage(models.Model):
    """One usage item behind an amount, and the claim on it.

    The items of a metered price line are rated together, so an amount has as many as were used.
    The claim of the amount is the period of its price line, as of any other; that of each item is
    here: while ``is_claimed``, PostgreSQL refuses a second amount with the same item. It follows
    the claim of the amount. Which items an invoice charged stays known after it was reversed.
    """

    _name = "invoice.run.usage"
    _description = "Usage Item of an Amount"
    _inherit = "invoice.run.guarded"
    _order = "line_id, id"
    _is_engine_model = True
    _log_access = False

    line_id = fields.Many2one("invoice.run.line", required=True, index=True, ondelete="cascade")
    usage_id = fields.Many2one("billing.usage", required=True, index=True, ondelete="restrict")
    company_id = fields.Many2one(related="line_id.company_id")
    date = fields.Date(related="usage_id.date")
    quantity = fields.Float(related="usage_id.quantity")
    is_claimed = fields.Boolean("Claimed", readonly=True)

    _usage_claimed_once = models.UniqueIndex(
        "(usage_id) WHERE is_claimed",
        "This usage item is already invoiced, or claimed by another run.",
    )


class InvoiceRunLine(models.Model):
    """Amounts of metered price lines: one amount for all that was used in a period.

    The first amount of a period claims its days. Usage that comes later is invoiced with an amount
    of its own, over the difference to what was invoiced. It claims no days but a number, by the
    same constraint: when two runs rate a period anew at once, one of them has to look again.
    """

    _inherit = "invoice.run.line"

    is_metered = fields.Boolean("Metered", readonly=True)
    late_number = fields.Integer(
        readonly=True, default=0, help="1, 2, …: usage that came after its period was invoiced."
    )
    rated_quantity = fields.Float(
        "Measured Quantity",
        digits="Product Unit",
        readonly=True,
        help="What was measured in the period, with all that was invoiced of it before.",
    )
    charged_edits = fields.Monetary(
        "Changed by Hand Before",
        readonly=True,
        help="What earlier invoices of this usage were lowered by, by hand: it is charged with the "
        "usage that was reported later. Below zero: they were raised.",
    )
    is_true_up = fields.Boolean(
        "True-up", readonly=True, help="What is missing of a commitment at the end of its term."
    )
    tariff_id = fields.Many2one(
        "billing.tariff", readonly=True, index="btree_not_null", ondelete="restrict"
    )
    usage_claim_ids = fields.One2many("invoice.run.usage", "line_id", "Usage Items")

    def _create_usage_claims(self):
        """Claim the open items of the periods of these new amounts, in the order of their ids.

        :raises psycopg2.errors.UniqueViolation: another transaction has just claimed one of them
        """
        metered = self.filtered(lambda line: line.is_metered and not line.is_true_up)
        if not metered:
            return
        self.env.flush_all()
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO invoice_run_usage (line_id, usage_id, is_claimed)
                SELECT amount.id, usage.id, TRUE
                  FROM invoice_run_line amount
                  JOIN billing_usage usage ON usage.contract_line_id = amount.contract_line_id
                   AND usage.date BETWEEN amount.period_from AND amount.period_to
                 WHERE amount.id = ANY(%s) AND usage.state = 'open'
                 ORDER BY usage.id
                """,
                metered.ids,
            ),
            log_exceptions=False,
        )
        self.env["invoice.run.usage"].invalidate_model()
        metered.invalidate_recordset(["usage_claim_ids"])

    def _serialize_shared(self):
        """Have one transaction at a time create amounts that depend on others.

        Each counts those that it sees: of its contract, or of the customer whose contracts share
        bands. The row of that is written as it is, so that PostgreSQL repeats a transaction that
        began before another one's end.

        :raises psycopg2.errors.SerializationFailure: another one has created some meanwhile
        """
        bounds = [("contract_id", "in", self.contract_id.ids), ("bound_scope", "=", BY_CONTRACT)]
        contracts = self.env["billing.contract.line"].search(bounds).contract_id
        pools = self.filtered(lambda line: line.tariff_id.tier_scope in SHARED)
        shared = pools.filtered(lambda line: (line.pool_key or "").startswith(f"{BY_CUSTOMER}/"))
        customers = shared._get_pool_customers()
        # they change no day of their price line, which whoever changes a price writes as well
        self._take_turns(self.filtered("late_number").contract_line_id)
        self._take_turns(contracts | pools.contract_id | shared._get_orphaned(customers))
        self._take_turns(customers)

    def _get_pool_customers(self):
        """Return the customers whose contracts share the bands of these amounts."""
        owners = {line._get_pool_owner() for line in self}
        return self.env["res.partner"].browse(owners).exists()

    def _get_pool_owner(self):
        """Return the id of the customer whose contracts share bands."""
        return int(self.pool_key.split("/")[1])

    def _get_orphaned(self, customers):
        """Return the contracts that share bands of these amounts whose customer was merged."""
        lost = self.filtered(lambda line: line._get_pool_owner() not in customers.ids)
        if not lost:
            return self.env["billing.contract"]
        # sudo: what others invoiced counts, whoever may read their runs
        held = self.sudo().search([("pool_key", "in", lost.mapped("pool_key"))])
        return held.contract_id.with_env(self.env)

    @api.model
    def _take_turns(self, records):
        """Have this transaction repeated if another one has had ``records`` since it began."""
        if not records:
            return
        # claims first, as everywhere: no deadlock
        self.flush_model()
        self.env.cr.execute(
            SQL(
                """
                WITH locked AS (
                    SELECT id FROM %(table)s WHERE id = ANY(%(ids)s) ORDER BY id
                       FOR NO KEY UPDATE
                )
                UPDATE %(table)s record SET write_date = record.write_date
                  FROM locked WHERE locked.id = record.id
                """,
                table=SQL.identifier(records._table),
                ids=records.ids,
            ),
            log_exceptions=False,
        )

    def _follow_usage_claims(self, is_claimed):
        """Claim or release the items of these amounts, as the amounts are."""
        metered = self.filtered(lambda line: line.is_metered and not line.is_true_up)
        if not metered:
            return
        self.env.cr.execute(
            SQL(
                "UPDATE invoice_run_usage SET is_claimed = %s WHERE line_id = ANY(%s)",
                is_claimed,
                metered.ids,
            ),
            log_exceptions=False,
        )
        self.env["invoice.run.usage"].invalidate_model(["is_claimed"])

    def _update_metered_usage(self):
        """Have the items of these amounts say whether they are open, planned or invoiced."""
        metered = self.filtered(lambda line: line.is_metered and not line.is_true_up)
        if not metered:
            return
        self.env.flush_all()
        self.env.cr.execute(
            SQL(
                """
                UPDATE billing_usage usage SET state = found.state
                  FROM (
                    SELECT claim.usage_id,
                           CASE WHEN bool_or(claim.is_claimed AND (
                                     document.move_id IS NOT NULL OR document.state = 'nothing'))
                                THEN 'invoiced'
                                WHEN bool_or(claim.is_claimed) THEN 'planned'
                                ELSE 'open' END AS state
                      FROM invoice_run_usage claim
                      JOIN invoice_run_line amount ON amount.id = claim.line_id
                      JOIN invoice_run_document document ON document.id = amount.document_id
                     WHERE claim.usage_id IN (
                           SELECT usage_id FROM invoice_run_usage WHERE line_id = ANY(%s))
                     GROUP BY claim.usage_id
                  ) found
                 WHERE found.usage_id = usage.id AND usage.state <> found.state
                """,
                metered.ids,
            )
        )
        self.env["billing.usage"].invalidate_model(["state"])
