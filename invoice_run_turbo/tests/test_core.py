import inspect
import sys
from unittest.mock import patch

from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.tests import tagged

from .. import bypassed, core
from ..models.account_move_send import TurboBatch
from .strangers import forgetting

ADDON = "invoice_run_turbo"
INSTRUCTIONS = """
Odoo changed what this addon repeats or goes past. For each of these methods: read what changed in
Odoo's source, have what repeats it do the same, run the tests that compare the rows, then write
the new hash beside the old one in core.py (a customer may still have the earlier Odoo).
"""


@tagged("post_install", "-at_install")
class TestCore(InvoiceRunCommon):
    """What is repeated is what was read; where it is not, Odoo's own way is used."""

    def test_odoo_is_as_it_was_read(self):
        changed = {
            name: f"{core.get_hash(self.env, name)}, repeated by {repeated.by}"
            for name, repeated in core.REPEATED.items()
            if core.get_hash(self.env, name) not in repeated.hashes
        }
        self.assertFalse(changed, INSTRUCTIONS)

    def test_all_that_is_gone_past_is_in_the_table(self):
        names = {
            f"{model}.{name}"
            for methods in (bypassed.BYPASSED_METHODS, bypassed.CONFIRMED_METHODS)
            for model, names in methods.items()
            for name in names
            if model != "invoice.run.document"  # our own
        }
        self.assertFalse(names - set(core.REPEATED))

    def test_what_repeats_it_exists(self):
        known = set(self._get_names())
        for name, repeated in core.REPEATED.items():
            self.assertIn(repeated.by, known, name)

    def _get_names(self):
        """Yield classes, methods (``Class.method``) and functions (``module.function``) of ours."""
        prefixes = (f"odoo.addons.{ADDON}.", "odoo.addons.invoice_run.models.document.")
        for path, module in list(sys.modules.items()):
            for name, item in vars(module).items() if path.startswith(prefixes) else ():
                if inspect.isclass(item):
                    yield from (name, *(f"{name}.{method}" for method in vars(item)))
                elif inspect.isfunction(item):
                    yield f"{path.rpartition('.')[2]}.{name}"

    def test_what_calls_super_has_something_to_call(self):
        """A method that was renamed would not be extended any more, and nobody would notice."""
        for model in self.env.registry.values():
            for cls in model.__mro__:
                if cls.__module__.startswith(f"odoo.addons.{ADDON}."):
                    self._check_super(model, cls)

    def _check_super(self, model, cls):
        parents = model.__mro__[model.__mro__.index(cls) + 1 :]
        for name, method in vars(cls).items():
            if inspect.isfunction(method) and "super(" in inspect.getsource(method):
                found = any(name in parent.__dict__ for parent in parents)
                self.assertTrue(found, f"{cls.__module__}.{cls.__name__}.{name}")

    # ------------------------------------------------------------------

    def _change(self, *names):
        """Pretend that Odoo's methods differ from those that were read."""
        changed = {name: core.REPEATED[name]._replace(hashes=("other",)) for name in names}
        self.patch(core, "REPEATED", {**core.REPEATED, **changed})
        self.enterContext(forgetting(self.env))

    def _get_fast_path(self):
        settings = self.env["res.config.settings"].with_company(self.company)
        return settings.create({}).invoice_run_fast_path

    def _run_counted(self):
        """Create and confirm an invoice; return how many were created in bulk."""
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        Bulk = self.env.registry["invoice.run.bulk"]
        original, made = Bulk._create_bulk, []

        def counting(bulk, vals_list, cache):
            made.extend(vals_list)
            return original(bulk, vals_list, cache)

        with patch.object(Bulk, "_create_bulk", counting):
            moves = self._make_invoices(run)
        self.assertEqual(moves.state, "posted")
        return len(made)

    def test_as_read(self):
        self.assertFalse(core.get_changed(self.env))
        self.assertEqual(self._get_fast_path(), "On.")
        self.assertEqual(self._run_counted(), 1)

    def test_creation_stands_aside(self):
        self._change("account.move._compute_amount")
        self.assertEqual(self._run_counted(), 0)
        self.assertFalse(self.env["invoice.run.line"]._is_created_in_bulk())
        self.assertFalse(core.is_as_read(self.env, core.CONFIRM), "which builds on it")
        self.assertTrue(core.is_as_read(self.env, core.PRINT))
        text = self._get_fast_path()
        steps = "creating invoices, confirming invoices, writing messages"
        self.assertTrue(text.startswith(f"Off for {steps}: "), text)

    def test_confirming_stands_aside(self):
        self._change("res.partner._increase_rank")
        Move = self.env.registry["account.move"]
        with patch.object(Move, "_posting_together", side_effect=AssertionError):
            self.assertEqual(self._run_counted(), 1)
        text = self._get_fast_path()
        self.assertTrue(text.startswith("On. Off for confirming invoices: "), text)

    def test_printing_and_sending_stand_aside(self):
        self._make_contract(date_start="2024-01-01")
        document = self._run_all("2024-01-15").document_ids
        send = self.env["account.move.send"]
        items = list(range(25))
        self.assertEqual(send._get_printed_together(items), [items])
        self.assertIsInstance(send._make_run_batch(document), TurboBatch)
        self._change("ir.actions.report._prepare_html", "ir.qweb._get_template_cache_keys")
        parts = [len(part) for part in send._get_printed_together(items)]
        self.assertEqual(parts, [10, 10, 5])
        self.assertNotIsInstance(send._make_run_batch(document), TurboBatch)
        self.assertIn("Off for printing, sending: ", self._get_fast_path())

    def test_what_is_gone_counts_as_changed(self):
        for name in ("account.move._gone", "base._gone", "no.model._gone", "fields.No.gone"):
            self.assertIsNone(core.get_hash(self.env, name), name)

    def test_a_source_that_cannot_be_read_counts_as_changed(self):
        with patch.object(inspect, "getsource", side_effect=OSError):
            self.enterContext(forgetting(self.env))
            self.assertEqual(set(core.get_changed(self.env)), set(core.STEPS))

    def test_it_is_said_when_odoo_starts(self):
        self._change("account.move._compute_amount")
        bulk = self.env["invoice.run.bulk"]
        with self.assertLogs(core.__name__, "WARNING") as logs:
            bulk._register_hook()
        self.assertEqual(len(logs.output), 1)
        self.assertIn("slower way is used to create and confirm: ", logs.output[0])
        self.assertIn("account.move._compute_amount", logs.output[0])
