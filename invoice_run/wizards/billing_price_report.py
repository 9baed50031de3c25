from odoo import fields, models
from odoo.tools import SQL


class BillingPriceReport(models.AbstractModel):
    """A report with rows by price line, too many to be created one by one."""

    _name = "billing.price.report"
    _description = "Report by Price Line"
    _inherit = "invoice.run.wizard"

    def _create_rows(self, column, amounts):
        """Insert the rows of this report at once, with what contract and line say of them.

        :param column: field of the rows that tells those of one price line apart
        :param amounts: {(price line id, value of ``column``): amount}; nothing is left out
        """
        self.env.flush_all()
        rows = self.env[self._fields["line_ids"].comodel_name]
        keys = [(line_id, value) for (line_id, value), amount in amounts.items() if amount]
        line_ids, values = zip(*keys, strict=True) if keys else ((), ())
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO %(table)s (
                    %(report)s, contract_line_id, %(column)s, amount, contract_id, partner_id,
                    cluster_id, product_id, create_uid, write_uid, create_date, write_date)
                SELECT %(id)s, line.id, row.value, row.amount, contract.id,
                       contract.partner_id, contract.cluster_id, line.product_id,
                       %(uid)s, %(uid)s, %(now)s, %(now)s
                  FROM unnest(%(lines)s::int[], %(values)s::%(type)s[], %(sums)s::numeric[])
                       AS row (line_id, value, amount)
                  JOIN billing_contract_line line ON line.id = row.line_id
                  JOIN billing_contract contract ON contract.id = line.contract_id
                """,
                table=SQL.identifier(rows._table),
                report=SQL.identifier(self._fields["line_ids"].inverse_name),
                column=SQL.identifier(column),
                type=SQL(rows._fields[column].column_type[0]),
                id=self.id,
                uid=self.env.uid,
                now=fields.Datetime.now(),
                lines=list(line_ids),
                values=list(values),
                sums=[float(amounts[key]) for key in keys],
            )
        )
        self.invalidate_recordset()
