"""`./dev bench`: the benchmarks, each a function that takes its arguments."""

import sys
from collections.abc import Callable

from . import (
    bench_amounts,
    bench_create,
    bench_equality,
    bench_imports,
    bench_manager,
    bench_queries,
    bench_rating,
    bench_reverse,
    bench_scale,
    bench_screens,
    bench_send,
    bench_tests,
    bench_whole,
    postgres,
    workspace,
)

BENCHMARKS: dict[str, Callable] = {
    "amounts": bench_amounts.main,
    "create": bench_create.main,
    "equality": bench_equality.main,
    "imports": bench_imports.main,
    "manager": bench_manager.main,
    "queries": bench_queries.main,
    "rating": bench_rating.main,
    "reverse": bench_reverse.main,
    "scale": bench_scale.main,
    "screens": bench_screens.main,
    "send": bench_send.main,
    "tests": bench_tests.main,
    "whole": bench_whole.main,
}


def main(args: list[str]) -> int:
    names = ", ".join(BENCHMARKS) or "none yet"
    if not args or args[0] not in BENCHMARKS:
        print(f"Benchmarks: {names}.", file=sys.stderr)
        return 2
    workspace.prepare()
    with postgres.real_settings():
        return BENCHMARKS[args[0]](args[1:])
