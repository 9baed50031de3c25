import random
from calendar import monthrange
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .ledger_common import LedgerCommon

START = date(2024, 1, 1)
DAY = timedelta(days=1)
STEPS = 22
RATES = (1.6, 2.0, 2.5)
REFUSALS = (
    "no day is left",
    "nothing would be left",
    "was credited in part by",
    "is left to credit",
    "Undo that first",
    "ends before the change",
    "releases it for invoicing. Reset that credit note",
    "already have credit notes",
    "is cancelled: there is nothing",
)


def cents(amount):
    """Round as people do: halves away from zero."""
    number = Decimal(amount.numerator) / Decimal(amount.denominator)
    return Fraction(number.quantize(Decimal("0.01"), ROUND_HALF_UP))


def month_end(day):
    return day.replace(day=monthrange(day.year, day.month)[1])


@dataclass
class Price:
    """What the oracle knows of a price line."""

    line: object
    first: date
    price: Fraction
    interval: str
    tax: object
    end: date | None = None

    def cost(self, first, last, price=None):
        """What the days of one month cost: up to the last one, less up to the one before."""
        begin = max(first.replace(day=1), self.first)
        price = self.price if price is None else price
        days = monthrange(first.year, first.month)[1]
        unit = price if self.interval == "day" else price / days

        def upto(day):
            return cents(unit * ((day - begin).days + 1))

        return upto(last) - (upto(first - DAY) if first > begin else 0)


@dataclass
class Bill:
    """What the oracle knows of one invoice line."""

    item: object
    of: Price
    first: date
    last: date
    price: Fraction
    booked: Fraction
    tax: object
    kept: date = None
    gone: bool = False
    credits: list = field(default_factory=list)
    #: Where each part is booked: [(move, amount)].
    entries: list = field(default_factory=list)
    corrections: list = field(default_factory=list)
    #: {credit note by hand: its item of ``credits``}, in the same order.
    by_hand: dict = field(default_factory=dict)

    def left(self):
        return self.booked - sum(self.corrections) - sum(amount for _k, amount, _d in self.credits)

    def is_edited(self):
        return self.booked != self.of.cost(self.first, self.last, self.price)

    def share(self, day):
        if day < self.first:
            return Fraction(0)
        part = self.of.cost(self.first, min(day, self.last), self.price)
        return part / self.of.cost(self.first, self.last, self.price)

    def to_give_back(self, end):
        """What is to be credited when the days after ``end`` are not owed."""
        amount = self.booked - cents(self.booked * self.share(end)) - sum(self.corrections)
        for kind, credit, days in self.credits:
            if kind == "last":
                amount -= credit
            elif kind == "days":
                first, last = days
                begin = max(end, first - DAY)
                if begin < last:
                    whole = self.share(last) - self.share(first - DAY)
                    part = (self.share(last) - self.share(begin)) / whole
                    amount -= cents(credit * part)
        return min(max(amount, 0), self.left())


class LedgerWalk:
    """A contract, runs, and what Accounting does to their invoices, at random.

    The oracle (``prices``, ``bills``) is written down by hand at each step, by rules of its own.
    """

    def __init__(self, test, seed):
        self.test, self.env = test, test.env
        self.random = random.Random(seed)
        self.log = []
        self.today = START
        pick = self.random.choice
        test.company.invoice_run_correction = pick(("lines", "credit_note"))
        self.taxes = [test._make_tax(percent) for percent in (0, 6, 21)]
        self.currency = pick((test.company.currency_id, test.euro))
        lines = [
            test._with_tax(self.taxes[2], price_unit=100.0),
            test._with_tax(self.taxes[1], price_unit=7.77, price_interval="day"),
        ]
        self.contract = test._make_contract(
            lines,
            partner_id=test._make_partner(f"Walker {seed}").id,
            date_start=START,
            currency_id=self.currency.id,
        )
        self.end = None
        self.prices = [
            Price(line, START, Fraction(str(line.price_unit)), line.price_interval, line.tax_ids)
            for line in self.contract.line_ids
        ]
        self.bills = []
        #: How often something was corrected of which something else had happened before.
        self.seen = Counter()

    def show(self, message):
        return "\n".join([*self.log, str(message)])

    @mute_logger("odoo.sql_db")
    def take(self, step):
        try:
            with self.env.cr.savepoint():
                what, note = getattr(self, step)() or ("", None)
                self.env.flush_all()
        except (UserError, ValidationError) as error:
            known = any(text in str(error) for text in REFUSALS)
            self.test.assertTrue(known, self.show(f"{step}: {error}"))
            what, note = f"refused: {error}", None
        if note:
            # only what was not refused has happened
            note()
        if what:
            self.log.append(f"{self.today} {step}: {what}")
        return what

    # ------------------------------------------------------------------
    # Runs
    # ------------------------------------------------------------------

    def get_end(self, price):
        return min(filter(None, (self.end, price.end)), default=None)

    def get_kept_days(self, price):
        return {
            bill.first + timedelta(days=number)
            for bill in self.bills
            if bill.of is price and not bill.gone and bill.kept
            for number in range((bill.kept - bill.first).days + 1)
        }

    def get_due(self):
        """Return {(price line, first, last): amount} of what is to be invoiced now."""
        due = {}
        for price in self.prices:
            until = min(filter(None, (self.get_end(price), month_end(self.today))))
            days = self.get_kept_days(price)
            day = price.first
            while day <= until:
                last = day
                while last < min(until, month_end(day)) and last + DAY not in days:
                    last += DAY
                if day not in days:
                    due[price.line.id, day, last] = price.cost(day, last)
                day = last + DAY if day not in days else day + DAY
        return due

    def get_credits_due(self):
        """Return [(invoice, last day kept, amount)] of what is to be credited now."""
        result = []
        for bill in self.bills:
            end = self.get_end(bill.of)
            if bill.gone or not bill.kept or not end or bill.kept <= end:
                continue
            keep = end if end >= bill.first else None
            result.append((bill, keep, bill.to_give_back(end)))
        return result

    def get_unasked(self):
        return [
            bill
            for bill, _keep, _amount in self.get_credits_due()
            if bill.left() and any(kind is None for kind, _amount, _days in bill.credits)
        ]

    def run(self):
        test = self.test
        self.today += timedelta(days=self.random.randrange(1, 45))
        unasked = self.get_unasked()
        run = test._make_amounts(test._make_run(self.today))
        asked = run.exception_ids.credited_line_id
        test.assertEqual(asked.ids and set(asked.ids), {bill.item.id for bill in unasked} or [])
        if unasked:
            self._answer(run.exception_ids, unasked)
            if run.document_ids:
                run.action_delete_amounts("asked meanwhile")
            run = test._make_amounts(test._make_run(self.today))
        expected = self.get_due()
        found = {
            (line.contract_line_id.id, line.billing_date_from, line.billing_date_to): Fraction(
                str(line.amount)
            )
            for line in run.line_ids
            if not line.corrects_id
        }
        test.assertEqual(found, expected, self.show(f"due on {self.today}"))
        credits = self.get_credits_due()
        test.assertEqual(
            sorted(Fraction(str(-line.amount)) for line in run.line_ids if line.corrects_id),
            sorted(amount for _bill, _keep, amount in credits),
            self.show(f"credits due on {self.today}"),
        )
        run.invoice_state = self.random.choice(("draft", "posted"))
        if not run.document_ids:
            return "nothing", None
        test._make_invoices(run)
        errors = run.document_ids.filtered("error").mapped("error")
        test.assertFalse(errors, self.show(errors))
        return f"{run.reference} {test._get_periods(run)}", lambda: self._note_run(run, credits)

    def _answer(self, exceptions, bills):
        kind = self.random.choice(("last", "goodwill"))
        for exception in exceptions.filtered("credited_line_id"):
            question = self.env["billing.credit.question"].with_user(self.test.user)
            question.create(
                {"exception_id": exception.id, "billing_credit_kind": kind}
            ).action_apply()
        for bill in bills:
            bill.credits = [(old or kind, *rest) for old, *rest in bill.credits]
            bill.by_hand = dict(zip(bill.by_hand, bill.credits, strict=True))
        self.log.append(f"{self.today} answer: {kind}")

    def _note_run(self, run, credits):
        by_line = {price.line.id: price for price in self.prices}
        for item in run.line_ids.filtered(lambda line: not line.corrects_id).move_line_ids:
            price = by_line[item.invoice_run_line_id.contract_line_id.id]
            first, last = item.billing_date_from, item.billing_date_to
            cost = price.cost(first, last)
            bill = Bill(item, price, first, last, price.price, cost, price.tax, last)
            self.bills.append(bill)
        for bill, keep, amount in credits:
            bill.kept = keep
            bill.corrections.append(amount)
            self.seen.update(kind for kind, _amount, _days in bill.credits)
            self.seen["edited"] += bill.is_edited()
            self.seen["twice"] += len(bill.corrections) > 1
            credit = run.line_ids.filtered(
                lambda line, bill=bill: line.credited_line_id == bill.item
            )
            for item in credit.move_line_ids:
                bill.entries.append((item.move_id, -amount))
                self.test.assertEqual(item.tax_ids, bill.tax, self.show("taxes of a credit"))
                self.test.assertEqual(item.account_id, bill.item.account_id)
                if item.move_id.currency_id != self.test.company.currency_id:
                    rate = bill.item.move_id.invoice_currency_rate
                    self.test.assertEqual(item.move_id.invoice_currency_rate, rate)

    # ------------------------------------------------------------------
    # The contract
    # ------------------------------------------------------------------

    def _get_day(self):
        return START + timedelta(days=self.random.randrange((self.today - START).days + 60))

    def _get_day_to_end(self):
        """Return a day, preferably one of days of which something was credited already."""
        credited = [
            bill
            for bill in self.bills
            if bill.kept and bill.left() and (bill.credits or bill.corrections or bill.is_edited())
        ]
        if credited and self.random.random() < 0.7:
            bill = self.random.choice(credited)
            return max(START, bill.first + timedelta(days=self.random.randrange(-5, 30)))
        return self._get_day()

    def move_end(self):
        day = self.random.choice((None, *(self._get_day_to_end() for _number in range(3))))
        self.contract.date_end = day or False

        def note():
            self.end = day

        return f"{day}", note

    def change_price(self):
        price = self.random.choice(self.prices)
        amount = Fraction(self.random.randrange(100, 20000), 100)
        price.line.price_unit = float(amount)

        def note():
            price.price = amount

        return f"{price.line.id} {float(amount)}", note

    def change_tax(self):
        price, tax = self.random.choice(self.prices), self.random.choice(self.taxes)
        price.line.tax_ids = tax

        def note():
            price.tax = tax

        return f"{price.line.id} {tax.amount}", note

    def change_from(self):
        price, day = self.random.choice(self.prices), self._get_day()
        end = self.get_end(price)
        if day <= price.first or end and day > end:
            return None
        amount = Fraction(self.random.randrange(100, 20000), 100)
        line = price.line._change_from(day, {"price_unit": float(amount)})

        def note():
            self.prices.append(Price(line, day, amount, price.interval, price.tax, price.end))
            price.end = day - DAY

        return f"{price.line.id} {day} {float(amount)}", note

    def change_rate(self):
        rate = self.random.choice(RATES)
        self.test._set_rate(self.test.euro, rate, self.today)
        return f"{rate}", None

    # ------------------------------------------------------------------
    # Accounting
    # ------------------------------------------------------------------

    def _pick_bills(self, state, corrected=True):
        """Return an invoice of runs in ``state``, and the invoices on it, in order."""
        moves = {}
        for bill in self.bills:
            if not bill.gone and bill.item.move_id.state == state:
                moves.setdefault(bill.item.move_id, []).append(bill)
        # what gives something back is left alone: to take it back is another test
        moves = {
            move: bills
            for move, bills in moves.items()
            if len(bills) == len(move.invoice_line_ids) and move.move_type == "out_invoice"
        }
        if not moves:
            return None, []
        move = self.random.choice(sorted(moves, key=lambda move: move.id))
        return move, sorted(moves[move], key=lambda bill: (bill.item.sequence, bill.item.id))

    def _set_amount(self, item, amount):
        item.write({"quantity": 1.0, "discount": 0.0, "price_unit": float(amount)})

    def edit_draft(self):
        move, bills = self._pick_bills("draft")
        if not bills:
            return None
        bill = self.random.choice(bills)
        amount = Fraction(self.random.randrange(100, 30000), 100)
        self._set_amount(bill.item, amount)

        def note():
            bill.booked = amount

        return f"{bill.item.id} {float(amount)}", note

    def post_draft(self):
        move, bills = self._pick_bills("draft")
        if bills:
            move._post(soft=False)
        return move and move.name, None

    def reset(self):
        move, bills = self._pick_bills("posted")
        if bills:
            move.button_draft()
        return move and move.name, None

    def cancel(self):
        move, bills = self._pick_bills("posted")
        if not bills:
            return None
        move.button_draft()
        move.button_cancel()
        return move.name, lambda: self._give_up(bills)

    def delete(self):
        move, bills = self._pick_bills("draft")
        if not bills or move.posted_before:
            return None
        name = str(move.id)
        move.unlink()
        return name, lambda: self._give_up(bills)

    def _give_up(self, bills):
        for bill in bills:
            bill.gone = True

    def bill_again(self):
        move, bills = self._pick_bills("posted")
        if not bills or any(bill.credits or bill.corrections for bill in bills):
            return None
        move._reverse_to_bill_again()
        return move.name, lambda: self._give_back(move, bills)

    def _give_back(self, move, bills):
        for bill in bills:
            bill.entries.append((move.reversal_move_ids, -bill.left()))
            bill.corrections.append(bill.left())
            bill.kept = None

    def replace(self):
        move, bills = self._pick_bills("posted")
        if not bills or any(bill.credits or bill.corrections for bill in bills):
            return None
        wizard = self.test._get_reversal(move, date=self.today)
        wizard.modify_moves()
        new = wizard.new_move_ids
        amounts = [Fraction(self.random.randrange(100, 30000), 100) for _bill in bills]
        for item, amount in zip(new.invoice_line_ids, amounts, strict=True):
            self._set_amount(item, amount)
        if self.random.random() < 0.7:
            new._post(soft=False)

        def note():
            self._give_back(move, bills)
            for bill, item, amount in zip(bills, new.invoice_line_ids, amounts, strict=True):
                self.bills.append(
                    Bill(
                        *(item, bill.of, bill.first, bill.last, bill.price, amount, bill.tax),
                        bill.last,
                    )
                )

        return f"{move.name} {[float(amount) for amount in amounts]}", note

    def credit(self):
        """Credit in Accounting's dialog or past it, whole or a part, for whatever days."""
        move, bills = self._pick_bills("posted")
        if not bills:
            return None
        kind = self.random.choice(("last", "last", "days", "goodwill", None))
        days = (bills[0].first, bills[0].first + timedelta(days=self.random.randrange(20)))
        if kind:
            vals = {"billing_credit_kind": kind, "date": self.today}
            if kind == "days":
                vals |= {"billing_credit_from": days[0], "billing_credit_to": days[1]}
            credit = self.test._reverse(move, **vals)
        else:
            vals = {"invoice_date": self.today, "date": self.today}
            credit = move._reverse_moves([vals])
        amounts = []
        for bill, item in zip(bills, credit.invoice_line_ids, strict=True):
            some = Fraction(self.random.randrange(100), 100) * bill.left()
            part = self.random.choice((bill.left(), cents(some), cents(some)))
            self._set_amount(item, part)
            amounts.append(part)
        credit._post(soft=False)

        def note():
            for bill, amount in zip(bills, amounts, strict=True):
                last = min(bill.last, days[1])
                span = (max(bill.first, days[0]), last)
                span = span if span[0] <= span[1] else (bill.first, bill.last)
                if amount:
                    bill.credits.append((kind, amount, span))
                    bill.by_hand[credit] = bill.credits[-1]
                    bill.entries.append((credit, -amount))

        return f"{move.name} {kind} {days} {[float(amount) for amount in amounts]}", note

    def undo_credit(self):
        """Take back a credit by hand: by a reversal of it, or by resetting and cancelling it."""
        credits = [
            (bill, credit)
            for bill in self.bills
            for credit in bill.by_hand
            if not bill.gone and credit.state == "posted"
        ]
        if not credits:
            return None
        _bill, credit = self.random.choice(credits)
        name = credit.name
        if self.random.random() < 0.5:
            credit.button_draft()
            credit.button_cancel()
        else:
            again = self.test._reverse(credit, date=self.today)
            again._post(soft=False)

        def note():
            for bill in self.bills:
                if credit in bill.by_hand:
                    entry = bill.by_hand.pop(credit)
                    bill.credits.remove(entry)
                    bill.entries.remove((credit, -entry[1]))

        return name, note

    # ------------------------------------------------------------------
    # Checks
    # ------------------------------------------------------------------

    def check(self):
        self._check_balance()
        self._check_ledger()

    def _check_balance(self):
        """What the customer owes is what the oracle says, taxes included."""
        moves = self.test._get_customer_moves(self.contract.partner_id)
        sign = {"out_invoice": 1, "out_refund": -1}
        found = sum(sign[move.move_type] * Fraction(str(move.amount_total)) for move in moves)
        drafts = self._get_draft_total()
        taxes, expected = defaultdict(Fraction), Fraction(0)
        for bill in self.bills:
            if not bill.gone:
                for move, amount in [(bill.item.move_id, bill.booked), *bill.entries]:
                    taxes[move, bill.tax] += amount
                    expected += amount
        for (_move, tax), amount in taxes.items():
            expected += cents(amount * Fraction(str(tax.amount)) / 100)
        self.test.assertEqual(float(found + drafts), float(expected), self.show("balance"))

    def _get_draft_total(self):
        """Return what is on drafts of runs: invoiced, though not in the books yet."""
        domain = [("partner_id", "=", self.contract.partner_id.id), ("state", "=", "draft")]
        moves = self.env["account.move"].search(domain)
        sign = {"out_invoice": 1, "out_refund": -1}
        return sum(sign[move.move_type] * Fraction(str(move.amount_total)) for move in moves)

    def _check_ledger(self):
        test = self.test
        ledger = self.env["billing.ledger"]
        lines = self.contract.line_ids
        billed = ledger._get_billed_lines(lines)
        days = ledger._get_billed_days(lines)
        totals = ledger._get_totals(lines)
        for price in self.prices:
            bills = {
                bill.item.id: bill for bill in self.bills if bill.of is price and not bill.gone
            }
            found = {line.entry.line_id: float(line.left()) for line in billed[price.line.id]}
            expected = {item_id: float(bill.left()) for item_id, bill in bills.items()}
            test.assertEqual(found, expected, self.show("left of invoice lines"))
            kept = self.get_kept_days(price)
            spans = {
                first + timedelta(days=number)
                for first, last in days[price.line.id]
                for number in range((last - first).days + 1)
            }
            test.assertEqual(spans, kept, self.show("days billed"))
            sums = totals[price.line.id].get(self.currency.id, (0, 0, 0, 0))
            test.assertAlmostEqual(
                sums[0], float(sum(bill.booked for bill in bills.values())), 6, self.show("billed")
            )
            test.assertAlmostEqual(
                sums[0] + sums[1],
                float(sum(bill.left() for bill in bills.values())),
                6,
                self.show("billed less given back"),
            )


RUNS = ["run"] * 6
CONTRACT = [*["move_end"] * 5, "change_price", "change_tax", "change_from", "change_rate"]
ACCOUNTING = ["edit_draft", "edit_draft", "post_draft", "reset", "cancel", "delete", "bill_again"]
ACCOUNTING += ["replace", "undo_credit", "undo_credit", *["credit"] * 6]


@tagged("post_install", "-at_install")
class TestLedgerWalks(LedgerCommon):
    """Whatever Accounting does between the runs, the customer owes what the days cost."""

    def setUp(self):
        super().setUp()
        self.euro = self._make_euro(2.0)
        # the total of a tax on a document is what the oracle rounds
        self.company.tax_calculation_rounding_method = "round_globally"

    def _walk(self, seed):
        walk = LedgerWalk(self, seed)
        walk.take("run")
        taken = 0
        while taken < STEPS:
            if walk.take(walk.random.choice(RUNS + CONTRACT + ACCOUNTING)):
                walk.check()
                taken += 1
        walk.take("run")
        walk.check()
        return walk.seen

    def test_balance_is_what_is_owed(self):
        seen = Counter()
        for seed in range(6):
            with self.subTest(seed=seed), self.env.cr.savepoint(flush=False) as savepoint:
                seen += self._walk(seed)
                savepoint.rollback()
                self.env.invalidate_all()
        kinds = {"last", "days", "goodwill", "edited", "twice"}
        self.assertEqual({kind for kind in kinds if seen[kind]}, kinds, seen)
