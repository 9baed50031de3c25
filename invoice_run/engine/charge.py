"""What a source yields: what is due, or the reason why it cannot be invoiced."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Charge:
    """One amount that is due, and what decides on which document it goes.

    The engine groups charges into documents and claims what they invoice; it changes none.
    """

    #: The commercial partner who pays: grouping and sending settings are read there.
    payer: Any
    #: Values of the ``invoice.run.document``, the same for all charges of one document. Holds
    #: the fields of ``invoice.run._get_document_key_fields``: charges that differ in one of
    #: them never meet.
    document: dict
    #: Values of the ``invoice.run.line``: the source's claim and record field, ``product_id``,
    #: ``name``, ``quantity``, ``price_unit``, ``discount``, ``amount`` (after discount, rounded
    #: to the coin), ``tax_ids`` (a list of ids), ``billing_date_from`` and ``billing_date_to``
    #: (both inclusive).
    line: dict
    #: What one document holds when the payer's invoices are not grouped, for example
    #: ``("contract", contract id, number of the period)``.
    bucket: tuple
    #: The ``billing.contract`` of the charge, where there is one.
    contract: Any = None
    #: Values of the source's own that never mix on one document, grouped or not: what
    #: ``invoice.run.source._get_grouping_key`` returns.
    key: tuple = ()
    #: Neighbouring charges of one unit are never cut apart by a limit of lines. None: the
    #: charge is a unit of its own.
    unit: Hashable = None
    #: Comes after the periods of its contract and joins the newest document of it.
    joins: bool = False
    #: Has a document of its own: nothing that is in another bucket is on it.
    is_alone: bool = False

    @property
    def contract_id(self) -> int:
        """The id of the contract; 0 without one."""
        return self.contract.id if self.contract else 0


@dataclass(frozen=True, slots=True)
class NotBillable:
    """Something due that cannot be invoiced until somebody has corrected or decided something."""

    #: Values of the ``invoice.run.exception``, without the run.
    exception: dict


def get_charges(items: Iterable[Charge | NotBillable]) -> list[Charge]:
    """Return those of ``items`` that can be invoiced."""
    return [item for item in items if isinstance(item, Charge)]


def get_exceptions(items: Iterable[Charge | NotBillable]) -> list[dict]:
    """Return the values of the exceptions among ``items``."""
    return [item.exception for item in items if isinstance(item, NotBillable)]
