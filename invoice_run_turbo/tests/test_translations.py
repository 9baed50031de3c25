from odoo.addons.invoice_run.tests.translation_common import TranslationCommon
from odoo.tests import tagged


@tagged("post_install", "-at_install")
class TestTranslations(TranslationCommon):
    def test_complete(self):
        self._check_addon("invoice_run_turbo")
