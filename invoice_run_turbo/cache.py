"""Values that Odoo forgets at each commit, kept from one mail to the next."""

from psycopg2.extensions import TRANSACTION_STATUS_INERROR

#: Models that a hand-over only reads; what others change meanwhile is seen by the next chunk.
READ_MODELS = {
    "ir.attachment",
    "ir.mail_server",
    "mail.alias.domain",
    "mail.message",
    "res.company",
    "res.partner",
    "res.users",
}
#: Fields of a mail that are read anew after each commit, as Odoo does: how far it is.
MAIL_STATE = {"state", "failure_type", "failure_reason"}


class ValuesKept:
    """Keeps values over the commits of one hand-over, until :meth:`end`.

    Odoo clears its cache at each commit, and would read company, sender, server and texts again
    for each mail. Only stored values are kept: what is computed is computed again.
    """

    def __init__(self, env):
        self._env = env
        self._is_over = False

    def keep(self):
        """To be called right before a commit; a rollback keeps nothing."""
        data = self._env.transaction.field_data
        kept = {field: values for field, values in data.items() if _is_kept(field)}
        self._env.cr.postcommit.add(lambda: self._restore(kept))

    def _restore(self, kept):
        if not self._is_over:
            self._env.transaction.field_data.update(kept)

    def end(self):
        """Forget what was kept: whatever comes next reads it from the database."""
        self._is_over = True
        # after an error of the database nothing can be written, and that error is what counts
        status = self._env.cr.connection.get_transaction_status()
        self._env.invalidate_all(flush=status != TRANSACTION_STATUS_INERROR)


def _is_kept(field):
    if not field.store or field.type == "binary":
        return False
    if field.model_name == "mail.mail":
        return field.name not in MAIL_STATE
    return field.model_name in READ_MODELS
