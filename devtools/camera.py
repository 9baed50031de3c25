"""Opens screens in the browser, takes pictures and asks axe-core; run by devtools/stage.py.

Runs with the clone's Python packages. Standard input is a JSON object with `url`, `browser`,
`lang`, `screens`, and `folder` (for pictures) or `axe` (path of axe-core); standard output is a
JSON object {name of the screen: violations}.
"""

import io
import json
import resource
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

READY = ".o_action_manager > *, #wrap"
PATIENCE = 180_000
SETTLE = 900
# Odoo's own markup, the same on every screen of every app; what is ours is checked.
ODOOS_OWN = [
    ".o_main_navbar",
    ".o_control_panel_breadcrumbs .o_cp_action_menus",
    ".o_cp_switch_buttons",
    ".o_control_panel_navigation > .btn",
    ".o_searchview",
    ".o_searchview ~ .dropdown-toggle",
    ".o-mail-Form-chatter",
    ".o-mail-ChatterContainer",
    ".o_attachment_preview",
    ".o_notebook_headers",
    ".o_optional_columns_dropdown",
    ".o_list_record_selector",
    ".o_tag",
    ".o_select_menu_input",
    ".o-autocomplete--input",
    "div.o-dropdown",
    ".o_button_more",
    ".settings_tab",
    "#invite_users",
    ".o_field_color",
    ".o_field_widget[name='peppol_endpoint']",
    ".o_portal_icon",
    ".o_avatar",
    ".o-mail-ActivityButton",
    ".o_calendar_container",
]
# The web client's page, not the screens in it: no language and no zoom there.
ODOOS_RULES = ["html-has-lang", "meta-viewport"]
# Odoo's theme: muted text, labels on a narrow screen, badges in white on green or blue.
ODOOS_COLORS = [
    "#757a7f",
    "#8f8f8f",
    "#b5b5b5",
    "background color: #28a745",
    "background color: #17a2b8",
]
ASK_AXE = """async ([exclude, off]) => {
    const there = exclude.filter((selector) => document.querySelector(selector));
    const context = {include: [['html']], exclude: there.map((selector) => [selector])};
    const result = await axe.run(context, {
        resultTypes: ['violations'],
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'],
        rules: Object.fromEntries(off.map((id) => [id, {enabled: false}])),
    });
    return result.violations.flatMap(({id, impact, nodes}) => nodes.map(
        ({target, html, failureSummary}) =>
            [id, impact, `${target.join(' ')} ${html}`, failureSummary]));
}"""


def log_in(page, job: dict, login: str) -> None:
    page.goto(f"{job['url']}/web/login?redirect=/my")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", login)
    page.click("form.oe_login_form button[type=submit]")
    page.wait_for_url("**/my**")


def open_screen(page, job: dict, screen: dict) -> None:
    """Open a screen and wait until nothing moves any more."""
    page.set_viewport_size(dict(zip(("width", "height"), screen["size"], strict=True)))
    page.goto(job["url"] + screen["path"])
    page.wait_for_selector(READY)
    for selector in screen["clicks"]:
        page.wait_for_timeout(SETTLE)
        page.click(selector)
    page.mouse.move(0, 0)
    if screen["until"]:
        page.wait_for_selector(screen["until"])
    page.wait_for_load_state("load")
    if screen["show"]:
        page.locator(screen["show"]).first.evaluate("element => element.scrollIntoView()")
    page.wait_for_function("() => !document.querySelector('.o_loading_indicator')")
    page.wait_for_timeout(SETTLE)
    problem = page.query_selector(".o_error_dialog, .o_notification.border-danger")
    if problem:
        raise SystemExit(f"{screen['name']}: {problem.inner_text()}")


def take(page, path: Path) -> None:
    """Take a picture with a palette: a third of the size, and the difference hardly shows."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def ask_axe(page, source: str) -> list:
    """Return what axe-core finds on the page: [rule, impact, element, what to do]."""
    page.evaluate(source)
    found = page.evaluate(ASK_AXE, [ODOOS_OWN, ODOOS_RULES])
    return [violation for violation in found if not is_theme(violation)]


def is_theme(violation: list) -> bool:
    rule, *_others, summary = violation
    return rule == "color-contrast" and any(color in summary for color in ODOOS_COLORS)


def work(browser, job: dict) -> dict:
    source = Path(job["axe"]).read_text() if job.get("axe") else ""
    found = {}
    for login in dict.fromkeys(screen["login"] for screen in job["screens"]):
        page = browser.new_page(locale=job["lang"].replace("_", "-"), reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        log_in(page, job, login)
        for screen in job["screens"]:
            if screen["login"] == login:
                print(screen["name"], file=sys.stderr, flush=True)
                open_screen(page, job, screen)
                if job.get("folder"):
                    take(page, Path(job["folder"]) / f"{screen['name']}.png")
                found[screen["name"]] = ask_axe(page, source) if source else []
        page.context.close()
        page.close()
    return found


def take_banner(browser, banner: dict) -> None:
    """Take a picture of a page of ours that shows pictures taken before."""
    page = browser.new_page(viewport={"width": 1120, "height": 560})
    page.goto(Path(banner["page"]).as_uri())
    take(page, Path(banner["picture"]))
    page.close()


def main() -> None:
    # a browser reserves more memory than Odoo's limit, which tests inherit, allows
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    job = json.load(sys.stdin)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=job["browser"], args=["--no-sandbox", "--force-color-profile=srgb"]
        )
        found = work(browser, job)
        if job.get("banner"):
            take_banner(browser, job["banner"])
        json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
