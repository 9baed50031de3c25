"""Odoo's command line, as a file.

When a worker has used up its time or memory, Odoo's server starts itself anew by the name of
the program that it was started with. `python -m odoo` has no such name: Python does not run
`odoo/__main__.py` as a file, and the server would be gone. This folder is the first on
Python's path then, so it holds nothing else.
"""

from odoo.cli.command import main

if __name__ == "__main__":
    main()
