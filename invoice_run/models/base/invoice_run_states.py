from odoo import api, models
from odoo.exceptions import UserError


class InvoiceRunStates(models.AbstractModel):
    """Records of the engine with states: a table of transitions and one method that writes them.

    Every path to the record checks the table, that of another addon's code too: a transition that
    it does not name would leave claims, approvals or invoices behind that fit no state.
    """

    _name = "invoice.run.states"
    _description = "Record with a Table of Transitions"
    _inherit = "invoice.run.guarded"

    @api.model
    def _get_transitions(self):
        """Return {field: {state: states that may follow it}}; ``None`` stands for a new record."""
        raise NotImplementedError

    def _set_state(self, state, **vals):
        """Put these records into ``state``, and write ``vals`` with it.

        The caller has checked that the user may do what leads here.

        :raises UserError: one of them is in a state that this one does not follow
        """
        self._write_engine({"state": state, **vals})

    def _open_engine_values(self, vals, is_new=False):
        vals = super()._open_engine_values(vals, is_new)
        for name in self._get_transitions():
            if vals.get(name):
                self._check_transitions([None] if is_new else self, name, vals[name])
        return vals

    @api.model
    def _check_transitions(self, records, name, state):
        """Refuse ``state`` where one of ``records`` is in a state that it may not follow.

        :param records: these, or a list with ``None`` for a new one
        :param name: the field of the state
        :raises UserError: names the record and both states
        """
        transitions = self._get_transitions()[name]
        for record in records:
            before = record and record.sudo()[name]
            if state != before and state not in transitions.get(before, ()):
                raise UserError(self._get_transition_error(record, name, state))

    def _get_transition_error(self, record, name, state):
        labels = dict(self._fields[name]._description_selection(self.env))
        if not record:
            return self.env._("Nothing new begins as “%(state)s”.", state=labels[state])
        return self.env._(
            "“%(record)s” is “%(before)s”: it cannot become “%(after)s”. Reload the page and look "
            "at what happened meanwhile.",
            record=record.display_name,
            before=labels[record.sudo()[name]],
            after=labels[state],
        )
