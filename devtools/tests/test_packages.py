"""What partners install: zips unpacked into a folder, wheels in an environment of their own."""

import shutil
import subprocess
import venv as standard_venv
import zipfile
from dataclasses import replace

import pytest

from devtools import databases, packages, store_rules, venv
from devtools.paths import ROOT, addon_folders

#: Its bridge needs queue_job beside it: that package is built, and looked at, like the others.
INSTALLED = ("invoice_run", "invoice_run_turbo", "invoice_run_crm", "invoice_run_ubl")
NAMES = {folder.name for folder in addon_folders()}
SHOW = """
modules = env['ir.module.module'].search([('name', 'in', {names!r}), ('state', '=', 'installed')])
import odoo.addons.invoice_run
print('RESULT', len(modules), odoo.addons.invoice_run.__file__)
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    target = tmp_path_factory.mktemp("dist")
    packages.build_all(target)
    return target


def read_names(archive, prefix=""):
    with zipfile.ZipFile(archive) as opened:
        names = (name.removeprefix(prefix) for name in opened.namelist())
        return {name for name in names if ".dist-info/" not in name}


def test_each_addon_has_a_zip_and_a_wheel_of_the_same_files(dist):
    for name in NAMES:
        (archive,) = dist.glob(f"{name}-19.0.*.zip")
        (wheel,) = dist.glob(f"odoo_addon_{name}-19.0.*.whl")
        in_zip = read_names(archive) - {f"{name}/pyproject.toml"}
        assert in_zip == read_names(wheel, "odoo/addons/")
        assert f"{name}/__manifest__.py" in in_zip
        assert not [file for file in in_zip if "__pycache__" in file]


def test_wheels_ask_for_what_the_manifest_depends_on(dist):
    (wheel,) = dist.glob("odoo_addon_invoice_run_queue_job-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith("/METADATA")]
        lines = opened.read(name).decode().splitlines()
    required = {line.split(": ")[1] for line in lines if line.startswith("Requires-Dist")}
    assert {name.split("=")[0].split("<")[0].split(">")[0] for name in required} == {
        *("odoo-addon-invoice_run", "odoo-addon-queue_job", "odoo"),
    }


def test_the_same_files_give_the_same_zip(dist, tmp_path):
    folder = ROOT / "invoice_run_ubl"
    (first,) = dist.glob("invoice_run_ubl-*.zip")
    assert packages.build_zip(folder, tmp_path).read_bytes() == first.read_bytes()


def install(space, addons):
    """Install the addons of this folder on a plain database; how many, and from where."""
    with databases.plain_clone(space, "scratch") as database:
        databases.install(space, database, INSTALLED)
        script = SHOW.format(names=INSTALLED)
        output = space.script(database, script, problem="What was installed does not start")
    count, path = output.rpartition("RESULT ")[2].split()
    assert path.startswith(str(addons)), "from the package, not from this repository"
    return int(count)


def test_zips_install(space, dist, tmp_path):
    addons = tmp_path / "addons"
    for archive in dist.glob("*.zip"):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(addons)
    assert install(space.with_addons(tmp_path / "odoo.conf", addons), addons) == len(INSTALLED)


def test_wheels_install_with_pip_in_an_environment_of_their_own(space, dist, tmp_path):
    folder = tmp_path / "environment"
    standard_venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    wheels = sorted(dist.glob("*.whl"))
    # Odoo, which no registry has, and what it needs come from this clone, through a path
    (site / "odoo.pth").write_text(f"{venv.get_packages()}\n{space.odoo.path}\n")
    command = [venv.get_uv(), "pip", "install", "--quiet", "--offline", "--no-deps"]
    subprocess.run([*command, "--python", folder / "bin" / "python", *wheels], check=True)
    addons = site / "odoo" / "addons"
    assert {path.name for path in addons.iterdir()} == NAMES
    fresh = space.with_addons(tmp_path / "odoo.conf", addons)
    fresh = replace(fresh, python=folder / "bin" / "python")
    assert install(fresh, addons) == len(INSTALLED)


@pytest.fixture
def complain(tmp_path):
    """What the store says of the addon after some change."""

    def check(change, addon="invoice_run"):
        folder = tmp_path / addon
        shutil.copytree(ROOT / addon, folder, ignore=shutil.ignore_patterns("tests", "i18n"))
        change(folder)
        return list(store_rules.check(folder))

    return check


def replace_text(name, old, new):
    def change(folder):
        path = folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change


def test_the_store_takes_all_addons():
    assert list(store_rules.get_complaints()) == []
    assert len(addon_folders()) >= 5


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        (
            "__manifest__.py",
            '"Invoice Run"',
            '"Invoice Run for everybody and all"',
            "25 characters",
        ),
        ("__manifest__.py", '"version": "19.0.', '"version": "1', "version is 19.0."),
        ("__manifest__.py", '"LGPL-3"', '"GPL-2"', "licence is one of"),
        ("__manifest__.py", '"author"', '"price": "1", "author"', "price is a number"),
        ("__manifest__.py", '"author"', '"price": 1, "author"', "price is in EUR or USD"),
        ("__manifest__.py", "banner.png", "none.png", "none.png does not exist"),
        ("README.md", "LGPL-3.0", "free", "README.md does not name the licence"),
        ("static/description/index.html", "<h1>", "<script></script><h1>", "has a script"),
        ("static/description/index.html", 'src="', 'src="//elsewhere/', "leads out of the store"),
        ("static/description/index.html", 'src="', 'src="no_', "which does not exist"),
    ],
)
def test_what_the_store_refuses(complain, name, old, new, complaint):
    complaints = complain(replace_text(name, old, new))
    assert [text for text in complaints if complaint in text], complaints


@pytest.mark.parametrize("name", ["README.md", "pyproject.toml", "static/description/icon.png"])
def test_what_the_store_misses(complain, name):
    (complaint,) = complain(lambda folder: (folder / name).unlink())
    assert name.partition(".")[0] in complaint


def test_what_builds_on_agpl_is_agpl(complain, monkeypatch):
    read = store_rules.read_manifest

    def read_as_agpl(folder):
        return read(folder) | ({"license": "AGPL-3"} if folder.name == "invoice_run" else {})

    monkeypatch.setattr(store_rules, "read_manifest", read_as_agpl)
    (complaint,) = complain(lambda folder: None, "invoice_run_ubl")
    assert "depends on invoice_run, which is AGPL-3" in complaint
