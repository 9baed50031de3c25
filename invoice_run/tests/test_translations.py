from odoo.tests import tagged

from .translation_common import TranslationCommon


@tagged("post_install", "-at_install")
class TestTranslations(TranslationCommon):
    def test_complete(self):
        self._check_addon("invoice_run")
