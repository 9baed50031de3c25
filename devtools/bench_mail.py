"""A database whose mails arrive at a local mail server, for the benchmarks that send."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import databases, servers, workspace
from .paths import STATE
from .shell import DevError, remove


class MailBench:
    """Runs functions of `devtools.inside`, whose mails arrive in ``folder / "mail"``."""

    def __init__(self, space: workspace.Workspace, database: str, folder: Path, **variables):
        self.space, self.database, self.folder = space, database, folder
        self.variables = {**variables, "BENCH_FOLDER": folder}

    def run(self, function: str, **variables) -> dict:
        """Call ``module.name`` in a process of its own; return the result that it left."""
        result = self.folder / "result.json"
        result.unlink(missing_ok=True)
        module, _dot, name = function.partition(".")
        self.space.script(
            self.database,
            f"from devtools.inside import {module}; {module}.{name}(env)",
            problem="The benchmark failed",
            **self.variables,
            **{f"BENCH_{key.upper()}": value for key, value in variables.items()},
        )
        if not result.exists():
            raise DevError("The benchmark left no result.", f"See {STATE}/server.log.")
        return json.loads(result.read_text())

    def as_text(self) -> dict[str, str]:
        """The variables as text, for the environment of a process."""
        return {key: str(value) for key, value in self.variables.items()}

    def check_mails(self, wanted: int) -> None:
        """Refuse a result unless as many mails arrived as were wanted."""
        arrived = sum(1 for _ in (self.folder / "mail").glob("*.eml"))
        if arrived != wanted:
            raise DevError(f"{arrived} mails arrived instead of {wanted}.")


@contextmanager
def mailing(folder: Path, round_trip: float = 0) -> Iterator[MailBench]:
    """A fresh database, Odoo's server (the PDFs load from it) and a mail server beside it.

    :param round_trip: milliseconds to the mail server and back
    """
    remove(folder)
    mail = folder / "mail"
    mail.mkdir(parents=True)
    space = workspace.prepare()
    databases.get_ready(space)
    with databases.temporary_clone(space, "scratch") as database:
        port = servers.choose_port()
        with (
            servers.mail_sink(space, mail, round_trip) as smtp_port,
            servers.odoo_server(space, database, port, crons=0),
        ):
            yield MailBench(
                space,
                database,
                folder,
                DEMO_URL=f"http://127.0.0.1:{port}",
                DEMO_SMTP_PORT=smtp_port,
            )
