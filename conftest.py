"""A test that should have run and did not is a failure.

Odoo skips browser tests without a word when the browser or a library is
missing, and the suite stays green. The only reason to skip that counts here is
input that the machine cannot have.
"""

import os
import shutil
from pathlib import Path

import freezegun
import pytest

from odoo.tools import config

# Else a class with a frozen date of its own seems to take years, and hides what is slow.
freezegun.configure(extend_ignore_list=["_pytest.timing"])
ALLOWED = "real input not present:"


@pytest.fixture(scope="session", autouse=True)
def own_filestore(load_registry, worker_id):
    """Files of a worker's own: pytest-odoo shares one store, which each cleans up for all."""
    if worker_id == "master":
        yield
        return
    shared = Path(config.filestore.return_value)
    own = shared.with_name(f"{shared.name}-{worker_id}")
    if shared.is_dir():
        shutil.copytree(shared, own, copy_function=os.link)
    config.filestore.return_value = str(own)
    yield
    shutil.rmtree(own, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    _refuse_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    outcome = yield
    _refuse_skip(outcome.get_result())


def _refuse_skip(report):
    """Turn the report of a skip into one of a failure, unless its reason counts."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = _get_reason(report)
    if not reason.startswith(ALLOWED):
        report.outcome = "failed"
        report.longrepr = f"skipped, but it should have run: {reason}"


def _get_reason(report):
    """pytest reports a skip as (file, line, "Skipped: reason")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
