"""Measures what Dagster adds to plain dbt, for this project and for stock code: builds, loads, clicks in the UI.

Usage: python -m benchmarks.run [--pairs N] [--tables build load click] [--models N ...] [--quick] [--write]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.clicks import clicks
from benchmarks.contenders import Arena, Loads
from benchmarks.measure import Comparison, compare
from benchmarks.project import GROUPS, Size
from benchmarks.report import machine, table_of, write_readme


@dataclass(frozen=True)
class Program:
    """What to measure: number of pairs, models per group for builds and clicks, models per project for loads."""

    pairs: int
    builds: Sequence[int]
    loads: Sequence[int]
    clicks: Sequence[int]

    def restricted_to(self, models: Collection[int] | None) -> Program:
        """Return the same with only these sizes; None keeps all."""
        if models is None:
            return self

        def kept(sizes: Sequence[int]) -> Sequence[int]:
            return [size for size in sizes if size in models]

        return replace(self, builds=kept(self.builds), loads=kept(self.loads), clicks=kept(self.clicks))


FULL = Program(pairs=3, builds=(20, 60, 200), loads=(20, 200, 2_000, 10_000), clicks=(20,))
QUICK = Program(pairs=1, builds=(4,), loads=(8,), clicks=(4,))
"""A check in one or two minutes that everything works; its figures mean nothing."""


def main() -> None:
    """Measure in temporary folders, print each table, and write them into the README if requested."""
    arguments = _arguments()
    program = (QUICK if arguments.quick else FULL).restricted_to(arguments.models)
    pairs = arguments.pairs or program.pairs
    started = time.time()
    load = os.getloadavg()[0]
    tables = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        for comparison in _comparisons(program, pairs, arguments.tables, Path(name)):
            tables.append(table_of(comparison))
            print(f"\n{tables[-1]}\n", flush=True)
    day = time.strftime("%Y-%m-%d", time.gmtime(started))
    head = (
        f"{day}, {pairs} pairs of each, {(time.time() - started) / 60:.0f} minutes, "
        f"load average at the start {load:.1f}.\n{machine()}."
    )
    print(head)
    if arguments.write:
        write_readme("\n\n".join([head, *tables]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, help=f"number of pairs ({FULL.pairs})")
    parser.add_argument("--tables", nargs="+", choices=("build", "load", "click"), default=("build", "load", "click"))
    parser.add_argument("--models", nargs="+", type=int, help="only the tables of these numbers of models")
    parser.add_argument("--quick", action="store_true", help="one pair of a tiny project: only shows that it works")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    return parser.parse_args()


def _comparisons(program: Program, pairs: int, tables: Sequence[str], folder: Path) -> Iterator[Comparison]:
    groups = {*(program.builds if "build" in tables else ()), *(program.clicks if "click" in tables else ())}
    arenas = {}
    for group in sorted(groups):
        print(f"Preparing a group of {group} models", flush=True)
        arenas[group] = Arena.prepare(folder, Size(group * len(GROUPS)))
    if "build" in tables:
        for group in program.builds:
            yield _builds(arenas[group], pairs)
    if "load" in tables:
        for models in program.loads:
            print(f"Preparing a project of {models} models", flush=True)
            yield _loads(Loads.prepare(folder, Size(models)), models, pairs)
    if "click" in tables:
        for group in program.clicks:
            yield clicks(arenas[group], pairs)


def _builds(arena: Arena, pairs: int) -> Comparison:
    baseline = arena.dbt_build()
    contenders = [arena.our_build(), arena.stock_build(in_process=True), arena.stock_build(in_process=False)]
    for one in (baseline, *contenders):
        one()
    remarks = arena.require_equal_work()
    return Comparison(
        f"Build of a group: {arena.title}",
        [compare(contender, baseline, pairs=pairs, warm=False) for contender in contenders],
        remarks,
    )


def _loads(loads: Loads, models: int, pairs: int) -> Comparison:
    return Comparison(
        f"Load of the location: {models:,} models",
        [compare(contender, loads.stock(), pairs=pairs) for contender in (loads.ours(), loads.libraries())],
    )


if __name__ == "__main__":
    main()
