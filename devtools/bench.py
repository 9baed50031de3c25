"""`./dev bench`: the benchmarks, each a function that takes a workspace."""

import sys
from collections.abc import Callable

BENCHMARKS: dict[str, Callable] = {}


def main(args: list[str]) -> int:
    names = ", ".join(BENCHMARKS) or "none yet"
    if not args or args[0] not in BENCHMARKS:
        print(f"Benchmarks: {names}.", file=sys.stderr)
        return 2
    return BENCHMARKS[args[0]](args[1:])
