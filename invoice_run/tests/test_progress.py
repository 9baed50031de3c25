from unittest.mock import MagicMock, patch

from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestProgress(InvoiceRunCommon):
    """What who looks on is told of background work, and who is told."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls._make_partner("Other")
        cls._make_contract(date_start="2024-01-01")
        cls._make_contract(date_start="2024-01-01", partner_id=cls.other.id)
        cls.invoice_run = cls._make_run("2024-01-15").with_user(cls.user)

    def _get_counts(self):
        progress = self.invoice_run.get_progress()
        return progress["job"], progress["done"], progress["total"], progress["unit"]

    def _listen(self, work):
        """Return the messages that ``work`` sends to who has the run open."""
        with patch.object(type(self.env["bus.bus"]), "_sendone", autospec=True) as send:
            work()
        calls = [call.args[1:] for call in send.call_args_list]
        return [message for channel, _kind, message in calls if channel == self.invoice_run]

    def test_each_job_counts_its_own(self):
        run = self.invoice_run
        self.assertEqual(self._get_counts(), ("none", 0, 0, ""))
        run.action_generate_amounts()
        self.assertEqual(self._get_counts(), ("amounts", 0, 0, "customers"))
        run._process_queue()
        self.assertEqual(self._get_counts(), ("none", 0, 0, ""))
        run.document_ids.send_action = "email"
        run.with_user(self.reviewer).action_approve()
        run.document_ids[0].action_generate_invoices()
        self.assertEqual(self._get_counts(), ("invoices", 0, 1, "documents"))
        run._process_queue()
        run.action_generate_invoices()
        self.assertEqual(self._get_counts(), ("invoices", 1, 2, "documents"))
        run._process_queue()
        run.action_send()
        self.assertEqual(self._get_counts(), ("send", 0, 2, "documents"))

    def test_drafts_and_prints(self):
        run = self.invoice_run
        run.invoice_state = "draft"
        self._make_amounts(run)
        run.document_ids.send_action = "print"
        self._make_invoices(run)
        run.action_confirm_drafts()
        self.assertEqual(self._get_counts(), ("confirm", 0, 2, "invoices"))
        run._process_queue()
        run._queue_job("print")
        self.assertEqual(self._get_counts(), ("print", 0, 2, "documents"))

    def test_a_small_set_in_the_manager_moves_too(self):
        run = self.invoice_run
        run._write_engine({"is_managed": True})
        job = self.env["invoice.run.job.invoices"]
        counted = patch.object(type(job), "_count_progress")
        with counted as count:
            for total, size in ((0, 25), (90, 25), (150, 38), (250, 63), (999, 250)):
                count.return_value = (0, total)
                self.assertEqual(run._get_chunk_size(250, job), size)
            watched = run.with_context(invoice_run_step=True)
            self.assertEqual(watched._get_chunk_size(250, job), 10)
            run._write_engine({"is_managed": False})
            self.assertEqual(run._get_chunk_size(250, job), 250)

    def test_who_looks_on_hears_of_each_chunk(self):
        self._make_amounts(self.invoice_run)
        self.invoice_run.with_user(self.reviewer).action_approve()
        self.invoice_run.action_generate_invoices()
        self.invoice_run._write_engine({"is_managed": True})
        managed = "odoo.addons.invoice_run.models.job.invoice_run_progress"
        with patch(f"{managed}.SMALLEST_CHUNK", 1), patch(f"{managed}.FEWEST_CHUNKS", 2):
            messages = self._listen(self.invoice_run._process_queue)
        # one for each of the two chunks, one at the end
        self.assertEqual(len(messages), 3)

    def test_who_has_it_open_hears_of_start_chunks_and_end(self):
        messages = self._listen(self.invoice_run.action_generate_amounts)
        self.assertEqual(messages, [{"run_id": self.invoice_run.id}])
        with patch.object(self.env.registry["invoice.run.job.amounts"], "_chunk_size", 1):
            messages = self._listen(self.invoice_run._process_queue)
        self.assertEqual([message.get("left") for message in messages[:2]], [1, 0])
        self.assertEqual(messages[-1], {"run_id": self.invoice_run.id})

    def test_every_figure_of_the_form_opens_its_documents(self):
        run = self.invoice_run
        self._make_amounts(run)
        run.document_ids[0].send_action = "email"
        run.document_ids[1].send_action = "print"
        self._make_invoices(run)
        parts = {"to_send": "pending_count", "to_print": "to_print_count", "sent": "sent_count"}
        for part, count in {**parts, "not_sent": "send_failed_count"}.items():
            action = run.with_context(invoice_run_part=part).action_view_part()
            found = self.env["invoice.run.document"].search_count(action["domain"])
            self.assertEqual(found, run[count], part)
        self.assertEqual((run.pending_count, run.to_print_count), (1, 1))

    def _get_channels(self, user):
        name = f"invoice.run_{self.invoice_run.id}"
        wsrequest = MagicMock()
        wsrequest.session.uid = user.id
        with patch("odoo.addons.bus.models.ir_websocket.wsrequest", new=wsrequest):
            return self.env["ir.websocket"].with_user(user)._build_bus_channel_list(["x", name])

    def test_only_who_may_read_the_run_can_listen(self):
        channels = self._get_channels(self.reviewer)
        self.assertIn(self.invoice_run, channels)
        self.assertIn("x", channels)
        self.assertNotIn(f"invoice.run_{self.invoice_run.id}", channels)
        accountant = new_test_user(self.env, "bookkeeper", "account.group_account_invoice")
        self.assertNotIn(self.invoice_run, self._get_channels(accountant))
        other = self.env["res.company"].create({"name": "Other company"})
        stranger = self._make_user("stranger", "invoice_run.invoice_run_group_user", company=other)
        self.assertNotIn(self.invoice_run, self._get_channels(stranger))
        for user in (accountant, stranger):
            with self.assertRaises(AccessError):
                self.invoice_run.with_user(user).get_progress()

    def test_a_job_wakes_the_scheduled_actions_that_are_switched_on(self):
        first = self.env.ref("invoice_run.invoice_run_cron")
        second = self.env.ref("invoice_run.invoice_run_cron_2")
        triggers = self.env["ir.cron.trigger"].sudo()
        for on, off in ((first, second), (second, first)):
            on.active, off.active = True, False
            triggers.search([]).unlink()
            self.invoice_run.action_generate_amounts()
            self.assertEqual(triggers.search([]).cron_id, on)
            self.invoice_run._process_queue()
            self.invoice_run.action_delete_amounts("a reason")
