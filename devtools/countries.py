"""`./dev test countries`: a run with each chart of accounts, for docs/countries.md.

Too slow for the suite, whose `test_fast_path.py` does the same with three charts.
"""

import json

from . import databases, workspace
from .paths import ROOT
from .shell import say

PAGE = ROOT / "docs" / "countries.md"
#: {chart: (country, module)}
CHARTS = {
    "at": ("Austria", "l10n_at"),
    "be_comp": ("Belgium", "l10n_be"),
    "bg": ("Bulgaria", "l10n_bg"),
    "hr": ("Croatia", "l10n_hr"),
    "cy": ("Cyprus", "l10n_cy"),
    "cz": ("Czechia", "l10n_cz"),
    "dk": ("Denmark", "l10n_dk"),
    "ee": ("Estonia", "l10n_ee"),
    "fi": ("Finland", "l10n_fi"),
    "fr": ("France", "l10n_fr_account"),
    "de_skr03": ("Germany", "l10n_de"),
    "gr": ("Greece", "l10n_gr"),
    "hu": ("Hungary", "l10n_hu_edi"),
    "ie": ("Ireland", "l10n_ie"),
    "it": ("Italy", "l10n_it_edi"),
    "lv": ("Latvia", "l10n_lv"),
    "lt": ("Lithuania", "l10n_lt"),
    "lu": ("Luxembourg", "l10n_lu"),
    "mt": ("Malta", "l10n_mt"),
    "nl": ("Netherlands", "l10n_nl"),
    "no": ("Norway", "l10n_no"),
    "pl": ("Poland", "l10n_pl"),
    "pt": ("Portugal", "l10n_pt"),
    "ro": ("Romania", "l10n_ro_edi"),
    "rs": ("Serbia", "l10n_rs"),
    "sk": ("Slovakia", "l10n_sk"),
    "si": ("Slovenia", "l10n_si"),
    "es_pymes": ("Spain", "l10n_es_edi_verifactu"),
    "se": ("Sweden", "l10n_se"),
    "ch": ("Switzerland", "l10n_ch"),
    "tr": ("Türkiye", "l10n_tr"),
    "uk": ("United Kingdom", "l10n_uk"),
    "us": ("United States", "l10n_us_account"),
    "ca_2023": ("Canada", "l10n_ca"),
    "mx": ("Mexico", "l10n_mx"),
    "ar_ri": ("Argentina", "l10n_ar"),
    "br": ("Brazil", "l10n_br"),
    "cl": ("Chile", "l10n_cl"),
    "co": ("Colombia", "l10n_co"),
    "pe": ("Peru", "l10n_pe"),
    "au": ("Australia", "l10n_au"),
    "nz": ("New Zealand", "l10n_nz"),
    "in": ("India", "l10n_in"),
    "jp": ("Japan", "l10n_jp"),
    "sg": ("Singapore", "l10n_sg"),
    "ae": ("United Arab Emirates", "l10n_ae"),
    "sa": ("Saudi Arabia", "l10n_sa"),
    "ke": ("Kenya", "l10n_ke"),
    "za": ("South Africa", "l10n_za"),
}
SCRIPT = "from devtools.inside import countries; countries.main(env, {charts!r})"
INTRODUCTION = """# Countries

What `./dev test countries` found: {count} charts of accounts of Odoo in one database. For each, 16
contracts with random taxes, fiscal positions, payment terms and currencies are invoiced twice, by
Odoo's own methods and on the fast path of `invoice_run_turbo`, and every column of every row is
compared. Where a localisation overrides what the fast path bypasses, its companies, or its credit
notes, take Odoo's own way; the column says how many invoices were created in bulk. An invoice and a
credit note are exported in the electronic format that Odoo suggests for the country, and checked by
Odoo's rules for it and against the schema (UBL 2.1, CII); the addresses are invented, so rules
about them complain where a country has some. Invoices with taxes that are due on payment take
Odoo's own way: in Mexico those are the usual ones, so nothing is in bulk there though the fast path
is on.

| country | chart | fast path | in bulk | rows equal | electronic format | documents |
|---|---|---|---|---|---|---|
"""


def main() -> int:
    """Compare, print and write the table; return whether anything differs."""
    space = workspace.prepare()
    modules = sorted({module for _country, module in CHARTS.values()})
    with databases.plain_clone(space, "scratch") as database:
        say(f"database with {len(modules)} localisations")
        databases.install(space, database, [*modules, "invoice_run_turbo", "invoice_run_ubl"])
        say("runs of each chart, in both ways")
        script = SCRIPT.format(charts=list(CHARTS))
        output = space.script(database, script, problem="The comparison failed")
    found = json.loads(output.splitlines()[-1])
    rows = [_describe(chart, found[chart]) for chart in CHARTS]
    PAGE.write_text(INTRODUCTION.format(count=len(CHARTS)) + "".join(rows))
    print(*rows, sep="", end="")
    wrong = [f"{chart}: {text}" for chart in CHARTS for text in _get_complaints(found[chart])]
    print(*wrong, sep="\n")
    return int(bool(wrong))


def _get_complaints(result: dict) -> list[str]:
    return [result["error"]] if "error" in result else result["differences"]


def _describe(chart: str, result: dict) -> str:
    """A row of the table."""
    country, _module = CHARTS[chart]
    if "error" in result:
        return f"| {country} | `{chart}` | {result['error']} | | | | |\n"
    cells = (
        country,
        f"`{chart}`",
        # all localisations are there at once: what that means for confirming says nothing of one
        result["fast_path"].partition(". Confirming")[0].rstrip("."),
        f"{result['in_bulk']} of {result['invoices']}",
        "no" if result["differences"] else f"{result['items']} items",
        f"`{result['format']}`" if result["format"] else "–",
        _describe_documents(result),
    )
    return f"| {' | '.join(cells)} |\n"


def _describe_documents(result: dict) -> str:
    if not result["documents"]:
        return "–"
    return "; ".join(result["problems"]).replace("|", "/") or f"{result['documents']} valid"
