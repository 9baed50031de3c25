"""`./dev screenshots`: all pictures of the documentation and of the app store's page.

Every screen is also given to axe-core, which must find nothing serious on it.
"""

import argparse
import shutil
from pathlib import Path

from . import browser, node, workspace
from .paths import ROOT, STATE
from .screens import SCREENS
from .shell import DevError, say
from .stage import stage, stage_with_peers

PICTURES = ROOT / "docs" / "screenshots"
STORE = ROOT / "invoice_run" / "static" / "description"
BANNER_SHOWS = "run_waiting.png"
LARGEST = 150_000
ENGLISH = "en_US"
SERIOUS = ("serious", "critical")


def main(args: list[str]) -> int:
    options = _parse(args)
    screens = tuple(s for s in SCREENS if not options.names or s.name in options.names)
    space = workspace.prepare()
    browser.prepare_browser(browser.fetch_browser())
    job = {"axe": node.get_modules() / "axe-core" / "axe.min.js"}
    if not options.check:
        job |= _get_folder(options.language)
    found = {}
    for set_stage, with_peers in ((stage, False), (stage_with_peers, True)):
        shown = tuple(screen for screen in screens if screen.with_peers == with_peers)
        if shown:
            with set_stage(space, options.language) as ready:
                say(f"{len(shown)} screens")
                found |= ready.visit(shown, **job)
    if not options.check:
        _publish(screens, options.language)
    return _report(found)


def _parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./dev screenshots", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these screens (default: all)")
    parser.add_argument("--check", action="store_true", help="no pictures, only axe-core")
    parser.add_argument(
        "--language",
        default=ENGLISH,
        help="of the users, as de_DE: these pictures are for looking at, in the state folder",
    )
    options = parser.parse_args(args)
    unknown = set(options.names) - {screen.name for screen in SCREENS}
    if unknown:
        parser.error(f"no screen {', '.join(sorted(unknown))}; see devtools/screens.py")
    return options


def _report(found: dict[str, list]) -> int:
    """Print what axe-core found; 1 when anything of it is serious."""
    serious = 0
    for name, violations in found.items():
        for rule, impact, element, advice in violations:
            serious += impact in SERIOUS
            print(f"{name}: {rule} ({impact})\n    {element[:300]}\n    {advice}")
    say(f"axe-core: {serious} serious findings on {len(found)} screens")
    return min(serious, 1)


def _get_folder(language: str) -> dict:
    """Where pictures go; those of the documentation and of the store are in English."""
    if language != ENGLISH:
        return {"folder": STATE / "screenshots" / language}
    return {"folder": PICTURES, "banner": _prepare_banner()}


def _publish(screens, language: str) -> None:
    folder = _get_folder(language)["folder"]
    if language == ENGLISH:
        _refuse_large()
        _copy_to_store(screens)
    say(f"pictures are in {folder.relative_to(ROOT)}")


def _prepare_banner() -> dict[str, Path]:
    """The banner's page, with the places of the pictures that it shows."""
    page = STATE / "banner.html"
    text = Path(__file__).with_name("banner.html").read_text()
    text = text.replace("{icon}", (STORE / "icon.png").as_uri())
    page.write_text(text.replace("{screen}", (PICTURES / BANNER_SHOWS).as_uri()))
    return {"page": page, "picture": STORE / "banner.png"}


def _refuse_large() -> None:
    for path in [*PICTURES.glob("*.png"), *STORE.glob("*.png")]:
        if path.stat().st_size > LARGEST:
            raise DevError(f"{path.name} has {path.stat().st_size} bytes, more than {LARGEST}.")


def _copy_to_store(screens) -> None:
    for screen in screens:
        if screen.in_store:
            shutil.copy(PICTURES / f"{screen.name}.png", STORE / f"screen_{screen.name}.png")
