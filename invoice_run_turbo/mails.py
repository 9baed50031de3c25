"""What the mails of one hand-over share."""


class MailsKept:
    """In the context of a hand-over; an object, so that no RPC call can forge it.

    * ``sessions``: the :class:`Sessions` by which they leave, None: one for each batch, as in Odoo;
    * ``count``: how many leave at most;
    * ``done``: ids of the mails that Odoo would have deleted one by one;
    * ``bounce_address``: where what cannot be delivered comes back to; empty: nowhere;
    * ``values``: the :class:`ValuesKept` of the mails that are under way, None between them.
    """

    def __init__(self, sessions=None):
        self.sessions = sessions
        self.count = 0
        self.done = set()
        self.bounce_address = None
        self.values = None


def get_kept(env):
    """Return the ``MailsKept`` of the hand-over that is under way, or None."""
    kept = env.context.get("invoice_run_mails")
    return kept if isinstance(kept, MailsKept) else None
