class TakeoverTours:
    """What a manager clicks, the same for each module that contracts are taken over from.

    Beside ``HttpCase`` and the fixtures of a bridge; its contracts are of the customers "Debtor"
    and "Stays There".
    """

    #: Name of the tour that chooses the module of the bridge and looks at a report.
    _report_tour = ""

    def _take_over_by_clicks(self, moved, other, get_traces):
        """Report, take over and undo ``moved`` in the browser; ``other`` is not selected.

        :param get_traces: returns what of the other module must be the same after all
        """
        before = get_traces()
        wizard = "/odoo/action-invoice_run_takeover.billing_takeover_wizard_action"
        self.start_tour(wizard, self._report_tour, login="mover", timeout=180)
        self.env.invalidate_all()
        self.assertEqual(get_traces(), before, "a report writes nothing")
        self.assertFalse(self._find_continued(moved))
        # sudo: dialogs belong to whoever opened them
        opened = self.env["billing.takeover.wizard"].sudo().search([], order="id desc", limit=1)
        self.start_tour(f"{wizard}/{opened.id}", "invoice_run_takeover", login="mover")
        self.env.invalidate_all()
        contract = self._find_continued(moved)
        self.assertEqual(contract.state, "active")
        self.assertEqual((moved.active, other.active), (False, True))
        self.assertFalse(self._find_continued(other))
        done = "/odoo/action-invoice_run_takeover.billing_takeover_action"
        self.start_tour(done, "invoice_run_takeover_undo", login="mover")
        self.env.invalidate_all()
        self.assertFalse(contract.exists())
        self.assertEqual(get_traces(), before, "the other module invoices as before")

    def _find_continued(self, record):
        domain = [("takeover_id.res_model", "=", record._name)]
        return self.env["billing.contract"].search(
            [*domain, ("takeover_id.res_id", "=", record.id)]
        )
