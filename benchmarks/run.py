"""What Dagster adds to plain dbt: builds, loads of the location and clicks in the UI, ours against the tutorials' code.

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
    """What is measured: how often, models a group for builds and clicks, models of the project for loads."""

    pairs: int
    builds: Sequence[int]
    loads: Sequence[int]
    clicks: Sequence[int]

    def restricted_to(self, models: Collection[int] | None) -> Program:
        """Return the same of these sizes alone; None leaves all."""
        if models is None:
            return self

        def kept(sizes: Sequence[int]) -> Sequence[int]:
            return [size for size in sizes if size in models]

        return replace(self, builds=kept(self.builds), loads=kept(self.loads), clicks=kept(self.clicks))


FULL = Program(pairs=3, builds=(20, 60, 200), loads=(20, 200, 2_000, 10_000), clicks=(20,))
QUICK = Program(pairs=1, builds=(4,), loads=(8,), clicks=(4,))
"""Shows that all of it works, in a minute or two; its figures say nothing."""


def main() -> None:
    """Measure in folders of its own, print the tables as they come, and write them into the README where asked to."""
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
    parser.add_argument("--pairs", type=int, help=f"how often each runs beside its yardstick ({FULL.pairs})")
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
    yardstick = arena.dbt_build()
    contenders = [arena.our_build(), arena.stock_build(in_process=True), arena.stock_build(in_process=False)]
    for one in (yardstick, *contenders):
        one()
    remarks = arena.require_equal_work()
    return Comparison(
        f"Build of a group: {arena.title}",
        [compare(contender, yardstick, pairs=pairs, warm=False) for contender in contenders],
        remarks,
    )


def _loads(loads: Loads, models: int, pairs: int) -> Comparison:
    return Comparison(
        f"Load of the location: {models:,} models",
        [compare(contender, loads.stock(), pairs=pairs) for contender in (loads.ours(), loads.libraries())],
    )


if __name__ == "__main__":
    main()
