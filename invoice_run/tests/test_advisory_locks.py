import ast
import re
from pathlib import Path

from odoo.addons.invoice_run import advisory_locks
from odoo.tests import BaseCase, tagged

ADDONS = Path(advisory_locks.__file__).parent.parent
LOCKS = Path(advisory_locks.__file__)
KEYS = {name: key for name, key in vars(advisory_locks).items() if isinstance(key, int)}
#: By what a lock is known that is another addon's, or the pair of run and customer.
FOREIGN = {"PG_ADVISORY_LOCK_ID", "payers"}


def get_sources():
    """Return the Python files of all addons of this project, tests left out."""
    return [path for path in ADDONS.glob("invoice_run*/**/*.py") if "tests" not in path.parts]


@tagged("post_install", "-at_install")
class TestAdvisoryLocks(BaseCase):
    def test_no_two_keys_are_equal(self):
        self.assertGreaterEqual(len(KEYS), 4)
        self.assertEqual(len(set(KEYS.values())), len(KEYS), KEYS)

    def test_keys_leave_room_for_an_id(self):
        for name, key in KEYS.items():
            self.assertEqual(key & 0xFFFFFFFF, 0, name)
            self.assertTrue(0 < key < 2**63, name)

    def test_keys_are_defined_in_one_place(self):
        for path in set(get_sources()) - {LOCKS}:
            shifts = [
                node.lineno
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.LShift)
                and isinstance(node.right, ast.Constant)
                and node.right.value == 32
            ]
            self.assertFalse(shifts, f"{path}: a key of a lock belongs into advisory_locks.py")

    def test_locks_are_taken_by_these_keys(self):
        """No call of PostgreSQL's functions has a number, or a key from elsewhere."""
        users = [path for path in get_sources() if "advisory" in path.read_text()]
        self.assertGreater(len(users), 4)
        for path in set(users) - {LOCKS}:
            text = path.read_text()
            for arguments in re.findall(r"pg_\w*advisory\w*\(([^)]*)\)", text):
                self.assertTrue(
                    set(arguments) <= set("%s, +id"), f"{path}: a literal key ({arguments})"
                )
            imported = set(re.findall(r"advisory_locks import ([\w, ]+)", text))
            names = {name.strip() for part in imported for name in part.split(",")}
            names = {name for name in names if name.isupper()}
            known = names <= set(KEYS) and names or FOREIGN & set(re.findall(r"\w+", text))
            self.assertTrue(known, f"{path}: no key of advisory_locks.py")
