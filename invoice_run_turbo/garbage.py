"""Leaves Python's search for cyclic garbage to the end of a chunk."""

import gc
from contextlib import contextmanager


@contextmanager
def collected_later():
    """Look for no cyclic garbage inside of this block.

    A chunk fills the cache with objects that live until its end, where they go by themselves;
    looking through them for cycles meanwhile finds next to nothing. What else becomes garbage,
    of other threads too, waits for the end of a block of a second or two.
    """
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()
