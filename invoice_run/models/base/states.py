"""Groups of states by their common meaning, and the transitions between states.

A group is named here, and used by its name; a single state is written as it is.
"""

# ----------------------------------------------------------------------
# Runs
# ----------------------------------------------------------------------

#: Runs that have not begun: nobody has activated them, and they follow their schedule.
RUN_WAITING = ("draft", "on_hold")
#: Runs that have amounts, or that may get them.
RUN_STARTED = ("submitted", "amounts", "approved", "invoiced")
#: Runs with amounts and, as a rule, without invoices yet.
RUN_TO_INVOICE = ("amounts", "approved")
#: Runs of which a part is approved, or was: what failed can be tried again.
RUN_APPROVED = ("approved", "invoiced")
#: Runs that are not finished.
RUN_UNFINISHED = ("draft", "on_hold", "submitted", "amounts", "approved")
#: Runs that are finished.
RUN_FINISHED = ("invoiced", "cancelled")
#: Background work after which the run has other amounts than now, or none.
JOBS_OF_AMOUNTS = ("amounts", "delete", "renew", "cancel")
#: Which state of a run may follow which; ``None``: at its creation.
RUN_TRANSITIONS = {
    None: {"draft"},
    "draft": {"on_hold", "submitted", "cancelled"},
    "on_hold": {"submitted", "cancelled"},
    # invoiced: it was to be cancelled, and somebody confirmed a draft meanwhile
    "submitted": {"amounts", "invoiced", "cancelled"},
    # back: the amounts are deleted or calculated again; invoiced: nothing is due
    "amounts": {"submitted", "approved", "invoiced", "cancelled"},
    # back to amounts: the approval is withdrawn
    "approved": {"submitted", "amounts", "invoiced", "cancelled"},
    # back: what failed, was excluded or changed gets its invoice after all
    "invoiced": {"submitted", "amounts", "approved", "cancelled"},
    "cancelled": set(),
}

# ----------------------------------------------------------------------
# Documents
# ----------------------------------------------------------------------

#: Documents that can still get their invoice.
DOCUMENT_OPEN = ("to_do", "failed")
#: Documents that a person or a limit keeps out of their run, for now.
DOCUMENT_LEFT_OUT = ("excluded", "held")
#: Documents whose amounts can still change: they have no invoice, and may get one.
DOCUMENT_CHANGEABLE = (*DOCUMENT_OPEN, *DOCUMENT_LEFT_OUT)
#: Documents whose amounts a recalculation replaces; what a person excluded stays excluded.
DOCUMENT_RENEWABLE = (*DOCUMENT_OPEN, "held")
#: Documents whose amounts are settled: by an invoice, or because they come to nothing.
DOCUMENT_SETTLED = ("invoiced", "nothing")
#: Documents that invoice their periods, or will.
DOCUMENT_BILLED = (*DOCUMENT_OPEN, *DOCUMENT_SETTLED)
#: Documents that hold their periods without an invoice.
DOCUMENT_HOLDING = (*DOCUMENT_CHANGEABLE, "nothing")
#: Documents that had an invoice: it is in force, or was taken back.
DOCUMENT_HAD_INVOICE = ("invoiced", "released")
#: Documents that are no part of what their run invoices.
DOCUMENT_NOT_IN_RUN = (*DOCUMENT_LEFT_OUT, "released")
#: Documents with something to send: an invoice or a credit note.
DOCUMENT_SENDABLE = ("invoiced", "credit")
#: Which state of a document may follow which; ``None``: at its creation.
DOCUMENT_TRANSITIONS = {
    None: {"to_do", "excluded", "credit"},
    "to_do": {"invoiced", "nothing", "failed", "excluded", "held", "released"},
    "failed": {"to_do", "invoiced", "nothing", "excluded", "held", "released"},
    "excluded": {"to_do", "released"},
    "held": {"to_do", "released"},
    "nothing": {"released"},
    # by what Accounting does to the invoice: credited, in force again
    "invoiced": {"released"},
    "released": {"invoiced"},
    "credit": {"released"},
}

# ----------------------------------------------------------------------
# Sending
# ----------------------------------------------------------------------

#: Invoices whose last attempt failed, or perhaps did: the connection was lost meanwhile.
SEND_FAILED = ("failed", "uncertain")
#: Invoices that are still to be sent.
SEND_OPEN = ("pending", *SEND_FAILED)
#: Invoices that were sent or printed.
SEND_DONE = ("sent", "printed")
#: Which sending status may follow which; ``None``: at the creation of the document. What left, or
#: perhaps did, is never again as if nothing had been sent; nothing is printed that was sent.
SEND_TRANSITIONS = {
    None: {"none"},
    # Accounting may send the invoice of a document that the run does not send
    "none": {"pending", "sent", "failed", "uncertain"},
    "pending": {"none", "sent", "failed", "uncertain", "printed"},
    "failed": {"none", "pending", "sent", "uncertain", "printed"},
    # pending: a person named it to be sent again
    "uncertain": {"pending", "sent", "failed", "printed"},
    # a bounce, or the same invoice once more by Accounting's own buttons
    "sent": {"pending", "failed", "uncertain"},
    "printed": {"pending", "sent", "failed", "uncertain"},
}

# ----------------------------------------------------------------------
# Contracts
# ----------------------------------------------------------------------

#: Contracts that are invoiced to their end, with their usage; the others never.
CONTRACT_BILLED = ("active", "closed")

# ----------------------------------------------------------------------
# Price updates
# ----------------------------------------------------------------------

#: Price updates whose prices are decided: customers can be told.
PRICE_UPDATE_DECIDED = ("approved", "applied")
#: Which state of a price update may follow which; ``None``: at its creation.
PRICE_UPDATE_TRANSITIONS = {
    None: {"draft"},
    "draft": {"approved", "cancelled"},
    "approved": {"draft", "applied", "cancelled"},
    "applied": {"undone"},
    "undone": set(),
    "cancelled": set(),
}
