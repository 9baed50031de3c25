"""Odoo's command line, as a file.

When a worker has used up its time or memory, Odoo's server starts itself anew by the name of
the program that it was started with. `python -m odoo` has no such name: Python does not run
`odoo/__main__.py` as a file, and the server would be gone.
"""

import os
import sys
from importlib import import_module

# as with `python -m`: scripts of the shell import from where it was started
sys.path[0] = os.getcwd()

if __name__ == "__main__":
    # not above: it is found by the path
    import_module("odoo.cli.command").main()
