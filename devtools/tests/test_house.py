"""The house rules find each breach; `./dev lint` checks that the addons keep them."""

import pytest

from devtools import house


@pytest.fixture
def complain(tmp_path, monkeypatch):
    """Return what the rules say of an addon with these files, {path: text}."""

    def check(files):
        addon = tmp_path / "addon"
        for name, text in files.items():
            path = addon / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(house, "addon_folders", lambda: [addon])
        return list(house.get_complaints(tmp_path))

    return check


def make_class(model, parents=(), body="    pass\n"):
    return f'class Some(models.Model):\n    _name = "{model}"\n    _inherit = {parents!r}\n{body}'


METHOD = "    def write(self, vals):\n        pass\n"


def test_a_method_has_one_home(complain):
    first = make_class("billing.thing", (), METHOD)
    idea = '"""What a thing does when it is written."""\n'
    second = idea + make_class("billing.thing", ["billing.thing"], METHOD)
    (text,) = complain({"models/run/a.py": first, "models/run/b.py": second})
    assert "billing.thing.write() is defined in a.py too" in text


def test_other_models_and_other_methods_are_no_double(complain):
    files = {
        "models/run/a.py": make_class("billing.thing", (), METHOD),
        "models/run/b.py": make_class("billing.other", (), METHOD),
        "tests/test_a.py": make_class("billing.thing", ["billing.thing"], METHOD),
        "tests/__init__.py": "from . import test_a\n",
    }
    assert complain(files) == []


def test_tests_that_odoo_does_not_find(complain):
    files = {"tests/test_a.py": "", "tests/test_ab.py": ""}
    (text,) = complain({**files, "tests/__init__.py": "from . import test_ab\n"})
    assert "test_a.py: import it in tests/__init__.py" in text


def test_rooms_depend_one_way(complain):
    files = {
        "models/run/a.py": "from ..document.b import NAME\n",
        "models/document/b.py": "from ..run.a import NAME\n",
    }
    (text,) = complain(files)
    assert text.endswith("run/ imports from document/, which comes after it")
    assert "a.py" in text


def test_a_model_is_extended_after_its_room(complain):
    files = {
        "models/run/a.py": make_class("billing.thing", ["billing.thing"]),
        "models/document/b.py": make_class("billing.thing"),
    }
    (text,) = complain(files)
    assert "run/ comes before document/, where billing.thing is defined" in text


def test_an_unknown_room_is_named(complain):
    (text,) = complain({"models/cellar/a.py": ""})
    assert "cellar/ is no room" in text


@pytest.mark.parametrize("line", ["from odoo import models", "from ..models import run"])
def test_the_engine_knows_no_odoo(complain, line):
    (text,) = complain({"engine/a.py": f"{line}\n"})
    assert "pure Python" in text


def test_the_engine_may_use_tools(complain):
    assert complain({"engine/a.py": "from odoo.tools.pdf import PdfFileWriter\n"}) == []


@pytest.mark.parametrize(
    "statement",
    [
        'self.write({"state": "done"})',
        'self._write_engine({"job": "none", "state": "done"})',
        'self.state = "done"',
        'vals["state"] = "done"',
        'self.send_state = "sent"',
        'self.write({"send_error": False, "send_state": "sent"})',
    ],
)
def test_a_state_has_one_writer(complain, statement):
    body = f"    def action_end(self):\n        {statement}\n"
    guarded = make_class("billing.thing", ["invoice.run.states"], body)
    (text,) = complain({"models/run/a.py": guarded})
    assert "by its own method alone" in text
    free = make_class("billing.thing", ["mail.thread"], body)
    assert complain({"models/run/a.py": free}) == []


@pytest.mark.parametrize(
    ("docstring", "is_said"),
    [
        ('"""What is printed, and in which order."""', True),
        ('"""The thing."""', False),
        ('"""What a thing is, in short."""', False),
        ("", False),
    ],
)
def test_a_further_file_says_what_it_keeps_apart(complain, docstring, is_said):
    home = '"""What a thing is, in short."""\n' + make_class("billing.thing")
    body = f"    {docstring}\n    pass\n"
    by_class = make_class("billing.thing", ["billing.thing"]).replace("    pass\n", "")
    by_class = by_class.replace("    _name", f"    {docstring}\n    _name")
    by_module = f"{docstring}\n" + make_class("billing.thing", ["billing.thing"], body)
    for further in (by_class, by_module):
        texts = complain({"models/run/thing.py": home, "models/run/further.py": further})
        assert [text.partition(":")[0] for text in texts] == (
            [] if is_said else ["addon/models/run/further.py"]
        )


def test_one_file_of_a_model_in_a_room_needs_no_reason(complain):
    files = {
        "models/run/a.py": make_class("billing.thing"),
        "models/document/b.py": make_class("billing.thing", ["billing.thing"]),
    }
    assert complain(files) == []


def test_extends_names_another_addon(complain):
    (text,) = complain({"models/run/a.py": "# EXTENDS 'addon': first the limits\n"})
    assert "names its own addon" in text
    assert complain({"models/run/a.py": "# EXTENDS 'account'\n"}) == []


@pytest.mark.parametrize(
    ("prose", "is_refused"),
    [
        ("# what this run bills", True),
        ('"""Return what was billed of it."""', True),
        ('"""Return it.\n\nThe days that nobody may bill now.\n"""', True),
        ("# what this run invoices", False),
        ("# as ``is_billed`` says, by `billed` or billed_lines", False),
        ('"""Return it.\n\n:param billed: what was invoiced\n"""', False),
        ("# in its billing period; a vendor bill, a QR bill", False),
        ('billed = "billed"', False),
    ],
)
def test_comments_and_docstrings_say_invoice(complain, prose, is_refused):
    texts = complain({"wizards/a.py": f"{prose}\n"})
    assert len(texts) == is_refused
