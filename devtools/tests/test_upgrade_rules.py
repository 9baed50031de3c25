"""What an upgrade would lose is found; that nothing is lost is checked by `./dev lint`."""

import pytest

from devtools import upgrade_rules

THING = """
class Mixin(models.AbstractModel):
    _name = "billing.mixin"

    shared = fields.Char()


class Thing(models.Model):
    _name = "billing.thing"
    _inherit = ["billing.mixin"]

    name = fields.Char()
    amount = fields.Monetary()
    total = fields.Float(compute="_compute_total")


class Move(models.Model):
    _inherit = "account.move"

    run_note = fields.Char()
"""


@pytest.fixture
def compare(tmp_path):
    """What is said of an upgrade from THING to the same text after some replacements."""

    def get(*replacements, scripts=""):
        text = THING
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        before, after = read(tmp_path / "old", THING), read(tmp_path / "new", text)
        return list(upgrade_rules.compare(before, after, "19.0.1.0.0", scripts))

    return get


def read(folder, text):
    addon = folder / "addon"
    addon.mkdir(parents=True, exist_ok=True)
    (addon / "__manifest__.py").write_text("{}")
    (addon / "thing.py").write_text(text)
    return upgrade_rules.read_schema(folder)


def test_the_same_loses_nothing(compare):
    assert compare() == []


def test_what_is_not_stored_may_go(compare):
    assert compare(('    total = fields.Float(compute="_compute_total")\n', "")) == []


@pytest.mark.parametrize(
    ("field", "model"),
    [("name", "billing.thing"), ("shared", "billing.thing"), ("run_note", "account.move")],
)
def test_a_field_that_is_gone_or_renamed(compare, field, model):
    (complaint,) = compare((f"    {field} = ", f"    {field}_now = "))
    assert complaint.startswith(f"{model}.{field} (Char in 19.0.1.0.0) is gone")
    assert compare((f"    {field} = ", f"    {field}_now = "), scripts=f"... {field} ...") == []


def test_a_field_of_another_type(compare):
    (complaint,) = compare(("amount = fields.Monetary()", "amount = fields.Integer()"))
    assert "is Integer now" in complaint


def test_a_field_that_is_computed_now(compare):
    computed = 'name = fields.Char(compute="_compute_name")'
    (complaint,) = compare(("name = fields.Char()", computed))
    assert "is gone" in complaint


def test_a_model_that_is_gone(compare):
    (complaint,) = compare(('_name = "billing.thing"', '_name = "billing.other"'))
    assert complaint.startswith("billing.thing was in 19.0.1.0.0")


def test_versions_follow_one_another():
    versions = ["19.0.1.10.0", "19.0.1.9.1", "19.0.1.9"]
    assert sorted(versions, key=upgrade_rules.parse_version) == versions[::-1]
