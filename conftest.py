"""A test that should have run and did not is a failure.

Odoo skips browser tests without a word when the browser or a library is
missing, and the suite stays green. The only reason to skip that counts here is
input that the machine cannot have.
"""

import pytest

ALLOWED = "real input not present:"


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
