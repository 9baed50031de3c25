"""`./dev shell`: an Odoo shell, on the demo database or on a throw-away copy."""

from . import databases, workspace

QUIET = ("--no-http", "--log-level=warn")


def main(scratch: bool) -> int:
    """Open a shell on the terminal, or run a script from standard input."""
    space = workspace.prepare()
    if not scratch:
        name = databases.make_installed(space, "demo", demo=True, fresh=False)
        return space.call(space.command("shell", "-d", name, *QUIET))
    with databases.temporary_clone(space, "scratch") as name:
        return space.call(space.command("shell", "-d", name, *QUIET))
