"""What can go wrong in ./dev, tested without a network or a server."""

import os
import subprocess
import sys
import threading

import pytest

from conftest import _refuse_skip
from devtools import apt, databases, demo, odoo_source, servers, shell, testing


def test_a_folder_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "made"
    with pytest.raises(KeyboardInterrupt), shell.building(target) as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert not target.exists()
    with shell.building(target) as folder:
        assert not (folder / "half").exists(), "what a stopped command left is removed"
    assert shell.is_built(target)


def test_a_failing_program_is_told_with_its_words():
    with pytest.raises(shell.DevError, match="(?s)No luck.*exit 3.*because") as error:
        shell.run(
            [sys.executable, "-c", "import sys; sys.exit(print('because') or 3)"],
            problem="No luck",
            advice="Try again.",
        )
    assert str(error.value).endswith("Try again.")


def test_a_missing_program_is_named():
    with pytest.raises(shell.DevError, match="`no-such-program` is not installed"):
        shell.run(["no-such-program"], problem="No luck")


def test_a_lock_is_waited_for(tmp_path, monkeypatch):
    order, told = [], threading.Event()
    # captured output that is read while the other thread writes may be lost
    monkeypatch.setattr(shell, "say", lambda text: "waiting" in text and told.set())

    def other():
        with shell.locked(tmp_path / "lock", "the test"):
            order.append("second")

    with shell.locked(tmp_path / "lock", "the test"):
        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        assert told.wait(60)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_the_pinned_build_is_taken_while_there_is_one():
    versions = ["19.0.1+dfsg-1", odoo_source.PINNED]
    assert odoo_source._choose_version(versions) == odoo_source.PINNED


def test_a_newer_build_of_the_same_series_is_taken_and_said(capsys):
    versions = ["20.0.0+dfsg-1", "19.0.2+dfsg-1", "19.0.1+dfsg-1"]
    assert odoo_source._choose_version(versions) == "19.0.2+dfsg-1"
    assert "no longer has" in capsys.readouterr().err


def test_another_series_is_refused():
    with pytest.raises(shell.DevError, match="Set ODOO_PATH"):
        odoo_source._choose_version(["20.0.0+dfsg-1"])


def test_a_changed_package_is_refused(tmp_path):
    (tmp_path / "odoo-19_1_all.deb").write_bytes(b"something else")
    with pytest.raises(shell.DevError, match="not the pinned build"):
        odoo_source._verify(tmp_path, odoo_source.PINNED)


def test_a_checkout_of_another_version_is_refused(tmp_path, monkeypatch):
    release = tmp_path / "odoo" / "release.py"
    release.parent.mkdir()
    release.write_text("version_info = (18, 0, 0, FINAL, 0, '')\n")
    monkeypatch.setenv("ODOO_PATH", str(tmp_path))
    with pytest.raises(shell.DevError, match="holds Odoo 18.0"):
        odoo_source.get_odoo()


def test_only_debians_own_sources_are_used():
    listing = """
        file:/mirror/debian-security bookworm-security main
        file:/mirror/debian bookworm main
        file:/mirror/debian bookworm contrib
        file:/mirror/debian bookworm-pgdg main
        file:/somebody-else bookworm main
    """
    assert apt._choose_sources(listing.strip(), "bookworm") == [
        ("file:/mirror/debian", "bookworm"),
        ("file:/mirror/debian-security", "bookworm-security"),
    ]
    assert apt._choose_sources("file:/private bookworm main", "bookworm") == [
        ("file:/private", "bookworm")
    ]


def test_a_database_of_an_ended_process_is_recognised():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not databases._is_alive(ended.pid)
    assert databases._is_alive(os.getpid())
    for kind in ("test", "new", "scratch", "scratch_contracts", "bench_equality"):
        assert databases.OF_A_PROCESS.match(f"{kind}_{ended.pid}").group(1) == str(ended.pid)
    assert not databases.OF_A_PROCESS.match("template_1234567890ab")


def test_a_stopped_server_is_not_confused_with_a_later_process(tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "PIDS", tmp_path)
    (tmp_path / "demo").write_text(f"{os.getpid()} 1")
    assert servers.stop() is False
    servers.refuse_second("demo")


def test_named_paths_replace_the_whole_suite():
    assert testing._get_whole_suite(["-k", "tour"]) != []
    assert testing._get_whole_suite(["devtools/tests::test_x", "-x"]) == []


def test_the_table_shows_every_number():
    result = {key: 0 for key, _label in demo.ROWS}
    result |= {"run": "IVR-00001", "amount_total": 1234.5, "seconds": {"amounts": 1.25}}
    lines = "\n".join(demo._get_lines(result))
    assert "IVR-00001" in lines and "1,234.50" in lines and "1.25" in lines


@pytest.mark.parametrize("month", ["1998-13", "98-04", "1998"])
def test_a_month_that_is_none_is_refused(month):
    with pytest.raises(SystemExit):
        demo._parse(["--month", month])


class Report:
    skipped = True
    outcome = "skipped"

    def __init__(self, reason):
        self.longrepr = ("file", 1, f"Skipped: {reason}")


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("Chrome not found", "failed"), ("real input not present: bank file", "skipped")],
)
def test_a_skip_counts_as_a_failure_unless_input_is_missing(reason, outcome):
    report = Report(reason)
    _refuse_skip(report)
    assert report.outcome == outcome
