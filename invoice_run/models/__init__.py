# a room may use those before it: see devtools/house.py
from . import base
from . import ledger
from . import settings
from . import scenario
from . import source
from . import run
from . import amount
from . import document
from . import contract
from . import delivery
from . import job
from . import review
from . import schedule
from . import accounting
from . import sale
from . import desk
