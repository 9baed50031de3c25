from odoo.tests import BaseCase, tagged

from .. import stylesheet

PAGE = """<style/><body class="o_body_pdf"><table id="lines"><td class="text-end">1</td></table>
<script>document.body.classList.add("last-page")</script></body>"""


@tagged("post_install", "-at_install")
class TestStylesheet(BaseCase):
    """What is left out of a stylesheet is what no element of the page can have."""

    def _get_used(self, css):
        return stylesheet.get_used(stylesheet.parse(css), stylesheet.get_words(PAGE))

    def assertUsed(self, *rules):
        for rule in rules:
            with self.subTest(rule):
                self.assertEqual(self._get_used(rule), rule)

    def assertUnused(self, *rules):
        for rule in rules:
            with self.subTest(rule):
                self.assertEqual(self._get_used(rule), "")

    def test_used(self):
        self.assertUsed(
            "td{margin:0}",
            ".text-end{margin:0}",
            "table#lines > td.text-end:first-child{margin:0}",
            "tbody td{margin:0}",
            ".last-page{margin:0}",
            "*{margin:0}",
            ":root{--a:b}",
            "::before{margin:0}",
            "td:not(.o_hidden){margin:0}",
            "td:is(.a, td:not(.b)) .text-end{margin:0}",
            '[class*="col-"]{margin:0}',
            'td[data-x="a{b,c}d"]{margin:0}',
            r".w-1\/2{margin:0}",
            "@font-face{font-family:A;src:url(/a.woff)}",
            "@page{margin:0}",
        )

    def test_unused(self):
        self.assertUnused(
            ".btn{margin:0}",
            "#footer{margin:0}",
            "video{margin:0}",
            "td.btn{margin:0}",
            ".btn td{margin:0}",
            ".btn:hover,.btn:focus{margin:0}",
        )

    def test_one_of_several_selectors(self):
        self.assertUsed(".btn,td{margin:0}", 'video[data-x="a,b"],td{margin:0}')

    def test_rules_inside_of_others(self):
        self.assertUsed("@media print{td{margin:0}}")
        self.assertUnused("@media print{.btn{margin:0}}")
        self.assertEqual(
            self._get_used("@media print{.btn{a:b}@supports (x:y){td{a:b}.btn{a:b}}}"),
            "@media print{@supports (x:y){td{a:b}}}",
        )

    def test_signs_that_mean_nothing(self):
        used = self._get_used(
            '@charset "UTF-8";/* a } b { */ td:after{content:"}"} .btn{content:\'{\'} td{a:b}'
        )
        self.assertEqual(used, '@charset "UTF-8";td:after{content:"}"}td{a:b}')
        self.assertUsed("td{background:url(data:image/svg+xml;utf8,{})}")

    def test_not_understood(self):
        for css in ("td{a:b", "td{a:b}}", "td{a:b} tr"):
            with self.subTest(css), self.assertRaises(ValueError):
                stylesheet.parse(css)
