from odoo.addons.invoice_run.tests.sending_common import SendingCommon
from odoo.tests import tagged

from ..cache import ValuesKept


@tagged("post_install", "-at_install")
class TestValuesKept(SendingCommon):
    """What survives the commits of a hand-over, and what is read anew."""

    def setUp(self):
        super().setUp()
        self.mail = self.env["mail.mail"].create({"body_html": "<p>Invoice</p>"})
        self.env.flush_all()
        self.mail.fetch()
        self.debtor.fetch()

    def _commit(self):
        """End the transaction as far as the cache is concerned: a test's cursor never commits."""
        self.env.transaction.clear()
        self.env.cr.postcommit.run()

    def test_what_is_only_read_is_kept(self):
        kept = ValuesKept(self.env)
        for _mail in range(2):
            kept.keep()
            self._commit()
            with self.assertQueryCount(0):
                self.assertEqual(self.debtor.name, "Debtor")
                self.assertEqual(self.mail.body_html, "<p>Invoice</p>")

    def test_how_far_a_mail_is_is_read_anew(self):
        kept = ValuesKept(self.env)
        kept.keep()
        self.env.cr.execute("UPDATE mail_mail SET state = 'cancel' WHERE id = %s", [self.mail.id])
        self._commit()
        self.assertEqual(self.mail.state, "cancel")

    def test_nothing_is_kept_beyond_the_end(self):
        kept = ValuesKept(self.env)
        kept.keep()
        kept.end()
        self.env.cr.execute("UPDATE res_partner SET name = 'New' WHERE id = %s", [self.debtor.id])
        self._commit()
        self.assertEqual(self.debtor.name, "New")

    def test_a_rollback_keeps_nothing(self):
        ValuesKept(self.env).keep()
        self.env.transaction.clear()
        self.env.cr.postcommit.clear()  # as a rollback does
        self.env.cr.execute("UPDATE res_partner SET name = 'New' WHERE id = %s", [self.debtor.id])
        self.assertEqual(self.debtor.name, "New")


@tagged("post_install", "-at_install")
class TestAskedOnce(SendingCommon):
    """What a batch remembers is what Odoo would answer."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        documents = cls.env["invoice.run.document"]
        cls.batch = cls.env["account.move.send"]._make_run_batch(documents)
        cls.in_batch = cls.env(context={**cls.env.context, "invoice_run_batch": cls.batch})

    def test_existence(self):
        group = self.in_batch.ref("base.europe")
        with self.assertQueryCount(0):
            self.assertEqual(self.in_batch.ref("base.europe"), group)
        gone = self.env["res.country.group"].create({"name": "Gone"})
        gone.unlink()
        self.assertFalse(gone.with_env(self.in_batch).exists())
        self.assertEqual((group + gone).with_env(self.in_batch).exists(), group)

    def test_units(self):
        for unit in self.env["uom.uom"].search([], limit=5):
            for _time in range(2):
                seen = unit.with_env(self.in_batch)._get_external_ids()
                self.assertEqual(seen, unit._get_external_ids())

    def test_aliases(self):
        self.env["mail.alias"].create(
            {
                "alias_name": "debtor",
                "alias_model_id": self.env.ref("base.model_res_partner").id,
                "alias_incoming_local": True,
            }
        )
        domains, ours = self.env["mail.alias.domain"], self.in_batch["mail.alias.domain"]
        lists = (["debtor@example.com"], ["other@example.com", "debtor@example.com"], [], [False])
        for emails in (*lists, *lists):
            self.assertEqual(ours._find_aliases(emails), domains._find_aliases(emails), emails)
        self.assertIn("debtor@example.com", self.batch.aliases)
