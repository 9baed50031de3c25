"""A server with demo data in every state, and the camera that goes round the screens."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from . import browser, databases, servers, venv, workspace
from .paths import ROOT, STATE
from .screens import Screen
from .shell import DevError, run, say

CAMERA = Path(__file__).with_name("camera.py")


@dataclass(frozen=True)
class Stage:
    """A running server on the demo data, and the ids that the screens need."""

    space: workspace.Workspace
    url: str
    ids: dict[str, int]
    language: str

    def visit(self, screens: tuple[Screen, ...], **job: object) -> dict[str, list]:
        """Open screens in the browser; what axe-core found on each, when it was asked."""
        shown = [self._fill(screen) for screen in screens]
        job = {
            "url": self.url,
            "browser": str(browser.BIN / browser.NAMES[0]),
            "lang": self.language,
            "screens": shown,
            **job,
        }
        output = run(
            [venv.PYTHON, CAMERA],
            problem="The screens could not be shown",
            input=json.dumps(job, default=str),
            env=self.space.env,
            cwd=ROOT,
            stderr=None,
        )
        return json.loads(output)

    def _fill(self, screen: Screen) -> dict:
        try:
            path = screen.path.format(**self.ids)
            clicks = [click.format(**self.ids) for click in screen.clicks]
            return asdict(screen) | {"path": path, "clicks": clicks}
        except KeyError as error:
            raise DevError(f"Screen {screen.name}: there is no id {error}.") from None


@contextmanager
def stage(space: workspace.Workspace, language: str = "en_US") -> Iterator[Stage]:
    """Set the stage on a new database, for users of a language; all is gone at the end.

    The browser must be there.
    """
    database = databases.make_installed(space, "screens", demo=True, fresh=True)
    with _set(space, database, "screens", language) as ready:
        yield ready
    databases.drop(database)


@contextmanager
def stage_with_peers(space: workspace.Workspace, language: str = "en_US") -> Iterator[Stage]:
    """The same beside the modules that contracts are taken over from."""
    with (
        databases.peers_clone(space, "scratch") as database,
        _set(space, database, "peer_screens", language) as ready,
    ):
        yield ready


@contextmanager
def _set(space: workspace.Workspace, database: str, module: str, language: str) -> Iterator[Stage]:
    """Serve a database after `work` of a module of `devtools.inside` has prepared it."""
    port, output = servers.choose_port(), STATE / "screens.json"
    output.unlink(missing_ok=True)
    mails = servers.mail_sink(space, STATE / "mail" / "screens")
    with mails as smtp, servers.odoo_server(space, database, port, crons=0):
        say("demo data in every state")
        space.script(
            database,
            f"from devtools.inside import {module}, pipeline; pipeline.main(env, {module}.work)",
            problem="The demo data could not be prepared",
            DEMO_URL=f"http://127.0.0.1:{port}",
            DEMO_SMTP_PORT=smtp,
            DEMO_RESULT=output,
            DEMO_LANGUAGE=language,
        )
        yield Stage(space, f"http://127.0.0.1:{port}", json.loads(output.read_text()), language)
