"""Numbers of invoices that are created as confirmed: those that confirming them would give."""

import re

from odoo.fields import Date


class NotAtOnceError(Exception):
    """Invoices that can only be created as drafts and then be confirmed, as Odoo does."""


class NotInBulkError(Exception):
    """Another addon changes new invoices so that only Odoo's own steps work it out equally."""


class Chunk:
    """In the context, as ``invoice_run_chunk``: how the invoices of a run are created.

    An object, because over RPC nobody can send one.
    """

    def __init__(self, count=0, is_plain=False):
        #: How many are created to be confirmed.
        self.count = count
        #: Whether they are created by Odoo, one step after the other.
        self.is_plain = is_plain


def get_chunk(env):
    """Return the :class:`Chunk` of the context; None elsewhere, in a preview for example."""
    chunk = env.context.get("invoice_run_chunk")
    return chunk if isinstance(chunk, Chunk) else None


def number_invoices(moves, vals_list):
    """Complete the values of new invoices with their numbers, in the order in which Odoo does.

    :param moves: the empty model; within ``_posting_together``
    :param vals_list: complete values of the invoices
    """
    sequences = {}
    for vals in sorted(vals_list, key=_get_order):  # which keeps the order of equal ones
        names = ("journal_id", "date", "move_type")
        key = tuple(vals[name] for name in names)
        if key not in sequences:
            sequences[key] = Sequence(moves.new(dict(zip(names, key, strict=True))))
        vals.update(sequences[key].take_number())


def _get_order(vals):
    """Return what ``account.move._compute_name`` sorts by; new invoices have ids in order."""
    return Date.to_date(vals["date"]), vals.get("ref") or ""


class Sequence:
    """The numbers of one journal, date and kind of invoices."""

    def __init__(self, move):
        self._text, self._values = move._get_next_sequence_format()
        self._last = self._values.pop("seq")
        # other dates may count on, see sequence.mixin._locked_increment
        self._cache = move._get_sequence_cache()
        self._key = self._text.format(**self._values, seq=0), move[move._sequence_index]
        # of the journal, see sequence.mixin._compute_split_sequence
        fixed = move._sequence_fixed_regex.replace(r"?P<seq>", "")
        self._regex = re.compile(move._make_regex_non_capturing(fixed))

    def take_number(self):
        """Return the next number, as values. It is taken when its row is inserted."""
        number = self._cache.get(self._key, self._last) + 1
        self._cache[self._key] = number
        name = self._text.format(**self._values, seq=number)
        matching = self._regex.match(name)
        return {
            "name": name,
            "sequence_prefix": name[: matching.start(1)],
            "sequence_number": int(matching.group(1) or 0),
        }
