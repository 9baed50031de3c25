from datetime import date
from fractions import Fraction

from odoo.addons.invoice_run.engine.periods import Span
from odoo.tests import BaseCase, tagged

from .. import plan as planning

COIN = Fraction("0.01")


def make_line(*spans, **vals):
    """Return a line at 100 a month with these coming periods, as (first, last) in ISO dates."""
    days = [Span(*map(date.fromisoformat, span)) for span in spans]
    return planning.LinePlan(
        key=1,
        name="Rent",
        vals={"quantity": 1, "price_unit": 100.0},
        **{
            "date_start": days[0].date_from,
            "date_end": None,
            "invoiced_until": None,
            "spans": days,
            **vals,
        },
    )


@tagged("post_install", "-at_install")
class TestPlan(BaseCase):
    def test_one_grid_is_one_contract(self):
        lines = [make_line(("2024-01-01", "2024-01-31"), ("2024-02-01", "2024-02-29"))] * 2
        contracts, misfits = planning.group_lines(lines)
        self.assertEqual([len(contract.lines) for contract in contracts], [2])
        self.assertFalse(misfits)
        self.assertEqual(contracts[0].terms.start, date(2024, 1, 1))

    def test_two_grids_are_two_contracts(self):
        first = make_line(("2024-01-01", "2024-01-31"))
        other = make_line(("2024-01-15", "2024-02-14"))
        contracts, _misfits = planning.group_lines([first, other])
        self.assertEqual([contract.lines for contract in contracts], [[first], [other]])

    def test_a_start_that_no_longer_counts(self):
        """Begun on the 31st, on the 28th since February: the grid begins with what comes."""
        line = make_line(
            ("2023-02-28", "2023-03-27"),
            ("2023-03-28", "2023-04-27"),
            date_start=date(2022, 12, 31),
            invoiced_until=date(2023, 2, 27),
        )
        (contract,), _misfits = planning.group_lines([line])
        self.assertEqual(contract.terms.start, date(2023, 2, 28))

    def test_drift_is_a_misfit(self):
        line = make_line(("2024-01-31", "2024-02-28"), ("2024-02-29", "2024-03-28"))
        self.assertEqual(planning.group_lines([line]), ([], [line]))

    def test_wrong_amount(self):
        """A quarter cut to a month is a third here."""
        line = make_line(("2024-01-01", "2024-01-31"), date_end=date(2024, 1, 31), count=3)
        (contract,), _misfits = planning.group_lines([line])
        span, theirs, ours = planning.get_wrong_amount(contract.terms, line, COIN)
        self.assertEqual((span, theirs, ours), (line.spans[0], 100.0, 33.33))

    def test_invoiced_until(self):
        months = [Span(date(2024, month, 1), date(2024, month, 28)) for month in range(1, 7)]
        scheduled = [month.date_from for month in months]

        def find(*days):
            return planning.find_invoiced_until(months, list(days), scheduled)

        self.assertEqual(find(), (None, True))
        self.assertEqual(find(date(2024, 2, 1), date(2024, 1, 1)), (date(2024, 2, 28), True))
        # late, a hole, twice, before anything was due
        self.assertEqual(find(date(2024, 1, 9), date(2024, 2, 27)), (date(2024, 2, 28), True))
        self.assertEqual(find(date(2024, 1, 1), date(2024, 3, 1)), (date(2024, 3, 28), False))
        self.assertEqual(find(date(2024, 1, 1), date(2024, 1, 5)), (date(2024, 1, 28), False))
        self.assertEqual(find(date(2023, 12, 1)), (date(2024, 1, 28), True))
