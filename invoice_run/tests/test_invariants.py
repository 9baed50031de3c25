import random
from collections import Counter
from datetime import date, timedelta

import psycopg2

from odoo.addons.invoice_run.engine import periods
from odoo.addons.invoice_run.engine.periods import DAY, Span
from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

START = date(2024, 1, 10)
LAST = date(2025, 6, 30)
STEPS = 24
#: What people are told when a change cannot be; any other refusal is a bug.
REFUSALS = (
    "then move the start",
    "Undo that first",
    "is already claimed by",
    "invoiced again in the meantime",
    "corrected in another way",
    "no day is left",
    "nothing would be left",
    "No price line is in force",
    "has been invoiced, so",
    "confirmed invoices",
    "billing_contract_dates_in_order",
    "Only a change of which nothing has been invoiced",
    "releases it for invoicing. Reset that credit note",
    "already have credit notes",
    "would be invoiced twice",
)
#: Why a document may fail after the contract was changed.
FAILURES = ("Delete the amounts and generate them again", "Press “Recalculate Changed”")


class Walk:
    """A contract, and what people do to it and to its invoices, at random.

    ``billed`` is a second opinion on the claims: what the invoices and open amounts say.
    """

    first, last, refusals = START, LAST, REFUSALS

    def __init__(self, test, seed):
        self.test = test
        self.random = random.Random(seed)
        self.log = []
        self.runs = test.env["invoice.run"]
        self.contract = self._make_contract()

    def _make_contract(self):
        pick = self.random.choice
        self.test.debtor.allow_invoice_grouping = pick((False, False, True))
        self.test.company.invoice_run_correction = pick(("lines", "credit_note"))
        lines = [
            {"price_interval": pick(("month", "quarter", "year")), "price_unit": 100.0},
            {"price_interval": pick(("day", "week", "period", "half_year")), "price_unit": 33.33},
            {"price_interval": "once", "price_unit": 7.0},
        ]
        return self.test._make_contract(
            lines,
            date_start=START,
            period_count=pick((1, 1, 3)),
            period_anchor=pick(("start", "calendar")),
            proration=pick(("actual", "thirty", "thirty_360", "none")),
        )

    # ------------------------------------------------------------------
    # Steps
    # ------------------------------------------------------------------

    @mute_logger("odoo.sql_db")
    def take(self, steps):
        """Take one of ``steps``; what is refused in words changes nothing."""
        step = self.random.choice(steps)
        try:
            with self.test.env.cr.savepoint():
                what = getattr(self, step)()
                self.test.env.flush_all()
        except (UserError, ValidationError, psycopg2.errors.CheckViolation) as error:
            what = f"refused: {error}"
            self.test.assertTrue(
                any(text in str(error) for text in self.refusals), self.show(error)
            )
        if what:
            self.log.append(f"{step}: {what}")
        return what

    def show(self, message):
        return "\n".join([*self.log, str(message)])

    def _pick(self, records):
        return records[self.random.randrange(len(records))] if records else records

    def _get_day(self):
        return self.first + timedelta(days=self.random.randrange((self.last - self.first).days))

    def _get_lines(self):
        return self.contract.line_ids.filtered(lambda line: line.price_interval != "once")

    def run(self):
        vals = {"skip_before": self._get_day()} if self.random.random() < 0.15 else {}
        run = self.test._make_run(self._get_day(), **vals)
        self.test._make_amounts(run)
        self.runs |= run
        if not vals:
            self.check_nothing_left(run.target_date)
        return f"{run.reference} to {run.target_date} {vals} {self.test._get_periods(run)}"

    def run_and_invoice(self):
        what = self.run()
        run = self.runs[-1:]
        return f"{what}, {self._invoice(run)}"

    def _invoice(self, run):
        run.invoice_state = self.random.choice(("draft", "posted"))
        if run.document_count:
            self.test._make_invoices(run)
        self._check_failures(run)
        return run.invoice_state

    def _check_failures(self, run):
        for document in run.document_ids.filtered("error"):
            known = any(text in document.error for text in FAILURES)
            self.test.assertTrue(known, self.show(document.error))

    def _get_open_runs(self):
        return self.runs.filtered(
            lambda run: run.state == "amounts" and run.document_count and not run.invoice_count
        )

    def _get_open_documents(self):
        documents = self.runs.filtered(lambda run: run.state != "cancelled").document_ids
        return documents.filtered(lambda document: document.state in ("to_do", "failed"))

    def invoice_open_run(self):
        run = self._pick(self._get_open_runs())
        return run and f"{run.reference} {self._invoice(run)}"

    def retry_failed(self):
        run = self._pick(self._get_open_documents().filtered("error").run_id)
        run.with_user(self.test.user).action_retry_failed()
        run._process_queue()
        self._check_failures(run)
        return run.reference

    def delete_amounts(self):
        run = self._pick(self._get_open_runs())
        if run:
            run.with_user(self.test.user).action_delete_amounts("a reason")
        return run.reference

    def renew_outdated(self):
        run = self._pick(self._get_open_documents().filtered("is_stale").run_id)
        run.with_user(self.test.user).action_renew_stale()
        run._process_queue()
        return run and f"{run.reference} {self.test._get_periods(run)}"

    def exclude_document(self):
        document = self._pick(self._get_open_documents())
        document.with_user(self.test.user).action_exclude()
        return document and f"{document.run_id.reference} {document.date_from}"

    def exclude_line(self):
        line = self._pick(self._get_open_documents().line_ids)
        line.with_user(self.test.user).action_exclude()
        return line and f"{line.run_id.reference} {line.name}"

    def include_again(self):
        runs = self.runs.filtered(lambda run: run.state != "cancelled")
        excluded = runs.document_ids.filtered(lambda document: document.state == "excluded")
        line = self._pick(excluded.line_ids)
        what = line and f"{line.run_id.reference} {line.name}"
        line.with_user(self.test.user).action_include()
        return what

    def cancel_run(self):
        run = self._pick(self.runs.filtered(lambda run: run.state != "cancelled"))
        if run:
            run.action_cancel()
        return run.reference

    def _pick_move(self, *states):
        moves = self.runs.document_ids.line_ids.move_line_ids.move_id
        return self._pick(moves.filtered(lambda move: move.state in states))

    def delete_draft(self):
        move = self._pick_move("draft")
        if not move or move.posted_before:
            return None
        move.unlink()
        return "deleted"

    def delete_draft_line(self):
        move = self._pick_move("draft")
        line = self._pick(move.invoice_line_ids)
        what = line and f"{move.display_name} {line.name}"
        line.unlink()
        return what

    def post_draft(self):
        move = self._pick_move("draft")
        if not move.invoice_line_ids or not move.amount_total:
            return None
        move._post(soft=False)
        return move.name

    def cancel_invoice(self):
        move = self._pick_move("posted")
        if move:
            move.button_draft()
            move.button_cancel()
        return move.name

    def reset_invoice(self):
        move = self._pick_move("cancel")
        if move:
            move.button_draft()
        return move.display_name

    def bill_again(self):
        move = self._pick_move("posted")
        move = move.filtered(lambda one: one.payment_state not in ("reversed", "paid"))
        if move:
            move._reverse_to_bill_again()
        return move.name

    def undo_bill_again(self):
        moves = self.runs.document_ids.line_ids.move_line_ids.move_id
        credits = moves.reversal_move_ids.filtered(
            lambda move: move.invoice_bill_again and move.state == "posted"
        )
        credit = self._pick(credits)
        if credit:
            credit.button_draft()
            credit.button_cancel()
        return credit.name

    def reverse_and_invoice(self):
        move = self._pick_move("posted")
        move = move.filtered(lambda one: one.payment_state not in ("reversed", "paid"))
        if move and move.move_type == "out_invoice":
            wizard = (
                self.test.env["account.move.reversal"]
                .with_context(active_model="account.move", active_ids=move.ids)
                .create({"journal_id": move.journal_id.id})
            )
            wizard.modify_moves()
        return move.name

    def move_end(self):
        self.contract.date_end = self.random.choice((False, self._get_day(), self._get_day()))
        return self.contract.date_end or "open"

    def move_line_end(self):
        line = self._pick(self._get_lines())
        line.date_end = self.random.choice((False, self._get_day()))
        return f"{line.id} {line.date_end or 'open'}"

    def change_from_date(self):
        line = self._pick(self._get_lines())
        day = self._get_day()
        vals = self.random.choice(
            (
                {"change": "price", "price_unit": self.random.randrange(1, 9999) / 100},
                {"change": "quantity", "quantity": self.random.randrange(1, 500) / 100},
                {"change": "percentage", "percentage": 3.7},
                {"change": "end"},
            )
        )
        wizard = (
            self.test.env["billing.contract.change"]
            .with_user(self.test.user)
            .with_context(active_model=line._name, active_ids=line.ids)
            .create({"date": day, **vals})
        )
        wizard.action_apply()
        return f"{line.id} {day} {vals}"

    def undo_change(self):
        line = self._pick(self._get_lines().filtered("previous_line_id"))
        what = str(line.id)
        line.action_undo_change()
        return what

    def set_until(self):
        mode = self.random.choice(("periodic", "date"))
        self.contract.write({"billing_mode": mode, "invoice_until": self._get_day()})
        return f"{mode} {self.contract.invoice_until}"

    # what changes the price of days that were not invoiced yet

    def edit_price(self):
        line = self._pick(self._get_lines())
        line.price_unit = self.random.randrange(1, 20000) / 100
        return f"{line.id} {line.price_unit}"

    def edit_quantity(self):
        line = self._pick(self._get_lines())
        line.quantity = self.random.randrange(1, 500) / 100
        return f"{line.id} {line.quantity}"

    def edit_interval(self):
        line = self._pick(self._get_lines())
        line.price_interval = self.random.choice(("day", "month", "year", "period"))
        return f"{line.id} {line.price_interval}"

    def edit_terms(self):
        pick = self.random.choice
        timing = pick(("advance", "advance", "arrears"))
        vals = {
            "period_count": pick((1, 2, 3, 12)),
            "period_unit": pick(("month", "month", "week")),
            "period_anchor": pick(("start", "calendar")),
            "proration": pick(("actual", "thirty", "thirty_360", "none")),
            "billing_timing": timing,
            "prebilling_periods": 0 if timing == "arrears" else pick((0, 0, 1, 2)),
        }
        self.contract.write(vals)
        return vals

    def move_start(self):
        day = START + timedelta(days=self.random.randrange(-40, 60))
        self.contract.date_start = day
        return day

    def move_line_start(self):
        line = self._pick(self._get_lines())
        line.date_start = self.random.choice((False, self._get_day()))
        return f"{line.id} {line.date_start or 'with the contract'}"

    # ------------------------------------------------------------------
    # A second opinion
    # ------------------------------------------------------------------

    def _is_in_force(self, amount):
        """Whether an amount is to be invoiced, or on an invoice that counts."""
        document = amount.document_id
        if document.state in ("to_do", "failed", "nothing"):
            return True
        moves = amount.move_line_ids.move_id.filtered(lambda move: move.state != "cancel")
        return any(not self._is_given_back(move) for move in moves)

    def _is_given_back(self, move):
        """Whether a credit note over the whole amount lets its periods be invoiced again."""
        return any(
            credit.state == "posted"
            and credit.invoice_bill_again
            and credit.amount_total == move.amount_total
            for credit in move.reversal_move_ids
        )

    def _get_amounts(self, line):
        return line.run_line_ids.filtered(self._is_in_force)

    def get_billed_days(self, line):
        """Return {day: how often it is invoiced, net of what was credited}."""
        days = Counter()
        for amount in self._get_amounts(line):
            sign = -1 if amount.corrects_id else 1
            for day in each_day(amount.billing_date_from, amount.billing_date_to):
                days[day] += sign
        return {day: count for day, count in days.items() if count}

    def get_billed_amount(self, line):
        return sum(periods.exact(amount.amount) for amount in self._get_amounts(line))

    def check(self):
        test = self.test
        test.env.flush_all()
        claims = self.contract.line_ids._get_claimed_spans()
        for line in self._get_lines():
            spans = sorted(
                (amount.period_from, amount.period_to)
                for amount in line.run_line_ids
                if amount.is_claimed
            )
            claimed = [day for span in spans for day in each_day(*span)]
            test.assertEqual(len(claimed), len(set(claimed)), self.show("claimed twice"))
            merged = [day for span in claims[line.id] for day in each_day(*span)]
            test.assertEqual(claimed, merged, self.show("claims as merged in SQL"))
            billed = self.get_billed_days(line)
            test.assertEqual(
                {*billed.values()} - {1}, set(), self.show(f"line {line.id}: not billed once")
            )
            test.assertEqual(set(claimed), set(billed), self.show(f"line {line.id}: claims"))
            self._check_stored(line, set(claimed))
        for line in self.contract.line_ids - self._get_lines():
            claimed = len(line.run_line_ids.filtered("is_claimed"))
            test.assertLessEqual(claimed, 1)
            test.assertEqual(len(self._get_amounts(line)), claimed, self.show("once"))
        self._check_credits()
        self._check_next_date(claims)
        self._check_recomputed()

    def _check_credits(self):
        """What was credited in full was credited to the cent."""
        for line in self._get_lines():
            amounts = self._get_amounts(line)
            for amount in amounts.filtered(lambda one: one.superseded_by_id and not one.is_claimed):
                credits = amounts.filtered(lambda one, amount=amount: one.corrects_id == amount)
                left = amount.amount + sum(credits.mapped("amount"))
                self.test.assertAlmostEqual(left, 0, 6, self.show(f"{amount.name} {left}"))

    def _check_stored(self, line, claimed):
        first, last = line._get_own_days()
        if last and last < first:
            return
        day = first
        while day in claimed and (last is None or day <= last):
            day += DAY
        is_open = last is None or day <= last
        self.test.assertEqual(line.next_period_from, is_open and day, self.show(line.id))
        until = (day - DAY if day > first else False) if is_open else last
        self.test.assertEqual(line.invoiced_until, until, self.show(line.id))
        beyond = sorted(day for day in claimed if last and day > last)
        self.test.assertEqual(line.overbilled_from, bool(beyond) and beyond[0], self.show(line.id))

    def _is_due(self, claims, target):
        terms = self.contract._get_billing_terms()
        return any(
            line._get_due_spans(terms, claims[line.id], target) for line in self.contract.line_ids
        )

    def _check_next_date(self, claims):
        """The stored date is the first target date at which something is due."""
        if any(self.contract.line_ids.mapped("overbilled_from")):
            return
        day = self.contract.next_invoicing_date
        before = day - DAY if day else date(2100, 1, 1)
        self.test.assertFalse(self._is_due(claims, before), self.show(f"due before {day}"))
        if day:
            self.test.assertTrue(self._is_due(claims, day), self.show(f"not due on {day}"))

    def _check_recomputed(self):
        """Stored fields equal those computed from scratch."""
        lines, contract = self.contract.line_ids, self.contract
        names = ("next_period_from", "invoiced_until", "overbilled_from")
        stored = [lines.mapped(name) for name in names], contract.next_invoicing_date
        for name in names:
            self.test.env.add_to_compute(lines._fields[name], lines)
        self.test.env.add_to_compute(contract._fields["next_invoicing_date"], contract)
        fresh = [lines.mapped(name) for name in names], contract.next_invoicing_date
        self.test.assertEqual(stored, fresh, self.show("stored fields"))

    def check_nothing_left(self, target):
        """A run leaves no open day up to the end of what it invoices."""
        claims = self.contract.line_ids._get_taken_spans()
        terms = self.contract._get_billing_terms()
        horizon = periods.billing_horizon(terms, target)
        for line in self._get_lines():
            first, last = line._get_own_days()
            last = min(filter(None, (last, horizon)), default=None)
            if last is None or first > target and terms.mode != "periodic":
                continue
            claimed = {day for span in claims[line.id] for day in each_day(*span)}
            missed = set(each_day(first, last)) - claimed
            if terms.mode != "periodic" and missed and min(missed) > target:
                continue
            self.test.assertFalse(missed, self.show(f"line {line.id}: {sorted(missed)[:3]} …"))

    def finish(self):
        """Invoice the final state to its end and return the lines that have days."""
        test = self.test
        self.contract.write({"date_end": self.last, "billing_mode": "periodic"})
        self._close_documents()
        for _number in range(2):
            run = test._make_run(self.last + timedelta(days=1200))
            self.runs |= test._make_amounts(run)
            self.log.append(
                f"finish: {test._get_periods(run)} {run.exception_ids.mapped('message')}"
            )
            if run.document_ids:
                self._invoice(run)
            self.check()
        test.assertFalse(run.document_ids, self.show("the second run found something"))
        for line in self._get_lines():
            first, last = line._get_own_days()
            # a start that was moved behind invoiced days credits nothing
            billed = {day for day in self.get_billed_days(line) if day >= first}
            wrong = sorted(billed.symmetric_difference(each_day(first, last)))
            test.assertFalse(wrong, self.show(f"line {line.id}: {wrong[:3]} …"))
        once = self.contract.line_ids - self._get_lines()
        test.assertEqual(self.get_billed_amount(once), 7)

    def _close_documents(self):
        """Exclude what is not invoiced yet; what cannot be undone any more is invoiced."""
        # what builds on an earlier credit is undone first
        for document in self._get_open_documents().sorted("id", reverse=True):
            try:
                with self.test.env.cr.savepoint():
                    document.action_exclude()
            except UserError as error:
                self.test.assertRegex(str(error), "Undo that first|invoiced again in the meantime")
                self.log.append(f"stays: {document.run_id.reference} {document.date_from} {error}")
        for run in self._get_open_documents().run_id:
            if run.state == "amounts":
                self._invoice(run)
            run.action_retry_failed()
            run._process_queue()
        left = self._get_open_documents().mapped("error")
        self.test.assertFalse(left, self.show(left))


def each_day(first, last):
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


RUNS = ["run", "run", "run_and_invoice", "run_and_invoice", "invoice_open_run", "retry_failed"]
UNDO = [
    "renew_outdated",
    "renew_outdated",
    "delete_amounts",
    "exclude_document",
    "exclude_line",
    "include_again",
    "cancel_run",
    "delete_draft",
    "delete_draft_line",
    "post_draft",
    "cancel_invoice",
    "reset_invoice",
    "bill_again",
    "undo_bill_again",
    "reverse_and_invoice",
]
ENDS = ["move_end", "move_end", "move_line_end", "change_from_date", "undo_change", "set_until"]
EDITS = ["edit_price", "edit_quantity", "edit_interval", "edit_terms", "edit_terms", "move_start"]
EDITS += ["move_line_start"]


@tagged("post_install", "-at_install")
class TestInvariants(InvoiceRunCommon):
    """However a contract is changed and its invoices undone, no day is invoiced twice or lost."""

    def _walk(self, seed, steps):
        walk = Walk(self, seed)
        taken = 0
        while taken < STEPS:
            if walk.take(steps):
                taken += 1
                walk.check()
        walk.finish()
        return walk

    def _check_price_of_lines(self, walk):
        """Invoiced in pieces, credited and invoiced again: as if invoiced at once."""
        terms = walk.contract._get_billing_terms()
        coin = periods.exact(walk.contract.currency_id.rounding)
        for line in walk._get_lines():
            first, last = line._get_own_days()
            whole = periods.Charge(0, 0)
            if first <= last:
                whole = periods.charge(
                    terms,
                    line.price_interval,
                    line._get_counted_from(),
                    Span(first, last),
                    line._get_net_price(first),
                    coin,
                )
            self.assertEqual(walk.get_billed_amount(line), whole.amount, walk.show(line.id))

    def test_net_amount_is_that_of_billing_at_once(self):
        for seed in range(3):
            with self.subTest(seed=seed):
                self._check_price_of_lines(self._walk(seed, RUNS + UNDO + ENDS))

    def test_any_change(self):
        for seed in range(3):
            with self.subTest(seed=seed):
                self._walk(seed, RUNS + UNDO + ENDS + EDITS)

    def _end_and_bill(self, contract, day, invoice_date):
        contract.date_end = day
        return self._run_all(invoice_date).line_ids

    def test_credits_give_back_what_was_billed_whatever_changed_between(self):
        contract = self._make_contract(date_start=START, proration="thirty")
        billed = self._run_all("2024-02-15").line_ids
        first = self._end_and_bill(contract, "2024-02-29", "2024-03-01")
        self.assertEqual(first.amount, -33.33)
        contract.proration = "actual"
        second = self._end_and_bill(contract, "2024-02-09", "2024-03-02")
        self.assertEqual(second.amount, -66.67)
        self.assertEqual(second.corrects_id, billed.sorted("period_from")[-1])

    def test_credit_goes_to_who_was_invoiced(self):
        contract = self._make_contract(date_start=START)
        self._run_all("2024-01-15")
        contract.partner_id = self._make_partner("Successor")
        contract.date_end = "2024-02-20"
        run = self._run_all("2024-02-15")
        self.assertEqual(
            {doc.partner_id.name: doc.amount_total for doc in run.document_ids},
            {"Successor": 37.93},
        )
        contract.date_end = "2024-01-20"
        run = self._run_all("2024-02-15")
        self.assertEqual(
            {doc.partner_id.name: doc.amount_total for doc in run.document_ids},
            {"Successor": -37.93, "Debtor": -64.52},
        )

    def test_change_leaves_alone_what_was_billed_elsewhere(self):
        contract = self._make_contract([{"initial_invoiced_until": "2024-03-09"}], date_start=START)
        contract.line_ids._change_from(date(2024, 2, 10), {"price_unit": 200.0})
        run = self._make_amounts(self._make_run("2024-03-10"))
        self.assertEqual(self._get_periods(run), ["2024-03-10/2024-04-09"])
        self.assertAmounts(run, [200.0])

    def test_preview_of_a_change_sees_what_is_billed_behind_a_hole(self):
        contract = self._make_contract(date_start=START)
        self._make_amounts(self._make_run("2024-03-15")).document_ids[0].action_exclude()
        change = self.env["billing.contract.change"].with_context(
            active_model=contract._name, active_ids=contract.ids
        )
        wizard = change.create({"date": "2024-03-01", "change": "price", "price_unit": 5.0})
        self.assertEqual(wizard.correction_count, 1)
        wizard.date = "2024-04-10"
        self.assertEqual(wizard.correction_count, 0)

    def test_days_whose_credit_waits_are_not_billed_again(self):
        contract = self._make_contract(date_start=START)
        self._run_all("2024-01-15")
        contract.date_end = "2024-01-20"
        credit = self._make_amounts(self._make_run("2024-01-16"))
        self.assertAmounts(credit, [-64.52])
        contract.date_end = False
        run = self._make_amounts(self._make_run("2024-01-17"))
        self.assertFalse(run.line_ids)
        self.assertIn(f"Claimed by {credit.reference}", run.exception_ids.message)
        credit.action_delete_amounts("it goes on")
        self.assertEqual(contract.line_ids.invoiced_until, date(2024, 2, 9))

    def test_refusal_names_who_holds_the_days(self):
        contract = self._make_contract(date_start=START)
        self.scenario.invoice_state = "draft"
        self._run_all("2024-01-15")
        contract.date_end = "2024-01-20"
        credit = self._run_all("2024-01-16").invoice_ids
        contract.date_end = False
        holder = self._make_amounts(self._make_run("2024-01-17"))
        self.assertAmounts(holder, [64.52])
        refused = self.assertRaisesRegex(
            UserError, f"invoiced again in the meantime.*{holder.reference}"
        )
        with refused, self.env.cr.savepoint():
            credit.unlink()
        holder.action_delete_amounts("first this one")
        credit.unlink()
        self.assertEqual(contract.line_ids.invoiced_until, date(2024, 2, 9))
