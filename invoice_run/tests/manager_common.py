from .common import InvoiceRunCommon

ALL = {"all": True, "ids": []}


class ManagerCommon(InvoiceRunCommon):
    """Presses the buttons of the Invoice Manager, as its browser does."""

    def _open(self, user=None, **options):
        manager = self.env["invoice.manager"].with_user(user or self.user)
        started = manager.action_start(options)
        return manager.browse(started["id"])

    def _fetch(self, manager, scenario=None, **vals):
        manager.action_choose((scenario or self.scenario).id)
        vals.setdefault("invoice_date", "2024-01-31")
        return self._work(manager, manager.action_fetch(vals))

    def _work(self, manager, state):
        """Ask for progress until nothing is queued, as the browser does."""
        for _number in range(50):
            if not state["run"] or state["run"]["job"] == "none":
                return state
            state = manager.action_work()
        self.fail("the work does not end")

    def _process(self, manager, selection=None):
        return self._work(manager, manager.action_process(selection or ALL))

    def _get_statuses(self, manager):
        return {row["customer"]: row["status"] for row in manager.get_rows()["rows"]}

    def _select(self, manager, *names):
        rows = manager.get_rows()["rows"]
        return {"all": False, "ids": [row["id"] for row in rows if row["customer"] in names]}
