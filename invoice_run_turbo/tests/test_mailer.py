from types import SimpleNamespace
from unittest.mock import patch

from odoo.tests import TransactionCase, tagged

from .. import mailer
from ..mailer import ENOUGH, FAR_SECONDS, Mailer


@tagged("post_install", "-at_install")
class TestMailer(TransactionCase):
    """Whether mails leave beside the rendering; that they do is tested with processes."""

    def setUp(self):
        super().setUp()
        self.now = self.cpu = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now, thread_time=lambda: self.cpu)
        self.patch(mailer, "time", clock)
        self.enterContext(patch.dict(mailer.FAR, clear=True))
        self.mailer = Mailer(self.env)

    def _hand_over(self, count, seconds, cpu):
        with self.mailer.watching(count):
            self.now += seconds
            self.cpu += cpu

    def test_a_server_next_door(self):
        self._hand_over(ENOUGH, seconds=1.0, cpu=0.6)
        self.assertFalse(self.mailer.is_worth_it)

    def test_too_few_mails_to_tell(self):
        self._hand_over(ENOUGH - 1, seconds=1.0, cpu=0.1)
        self.assertFalse(self.mailer.is_worth_it)

    def test_a_far_server_is_looked_at_again(self):
        """It may have come near: another server, another network."""
        self._hand_over(ENOUGH, seconds=1.0, cpu=0.4)
        self.assertTrue(self.mailer.is_worth_it)
        self.now += FAR_SECONDS - 1
        self.assertTrue(self.mailer.is_worth_it)
        self.now += 1
        self.assertFalse(self.mailer.is_worth_it)
