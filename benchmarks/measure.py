"""Commands measured in pairs, A B A B …: wall and CPU seconds of the process tree, medians, ratios pair by pair.

Machines drift: only figures of one call are to be compared with each other.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Cost:
    """What one run of a command took: wall and CPU (user and system) seconds, of it and all its children."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Command:
    """A command with a name for the table."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


@dataclass(frozen=True)
class Pair:
    """A command and the yardstick that it is held against, with what both took, run by run."""

    title: str
    ours: Sequence[Cost]
    yardstick: Sequence[Cost]


def measure(command: Command) -> Cost:
    """Run a command once; raises `RuntimeError` with its output if it fails, since a failed run measures nothing."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command.arguments,
        env=dict(command.environment),
        cwd=command.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is piped
    output = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command.name} failed:\n{output.decode(errors='replace')[-4000:]}")
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime)


def compare(title: str, ours: Command, yardstick: Command, *, pairs: int) -> Pair:
    """Run both once to warm up, then alternately; return what each run took."""
    for command in (ours, yardstick):
        measure(command)
    costs = [(measure(ours), measure(yardstick)) for _ in range(pairs)]
    return Pair(f"{title}: {ours.name} / {yardstick.name}", [a for a, _ in costs], [b for _, b in costs])


def print_table(results: Sequence[Pair]) -> None:
    """Print a row for each comparison: medians (min to max) of both, and the median of the pairs' ratios."""
    table = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    table.add_column("what")
    for column in ("ours", "yardstick", "ratio"):
        table.add_column(column, justify="right")
    for pair in results:
        for figure in ("wall", "cpu"):
            ours = [getattr(cost, figure) for cost in pair.ours]
            yardstick = [getattr(cost, figure) for cost in pair.yardstick]
            ratios = [a / b for a, b in zip(ours, yardstick, strict=True)]
            name = f"{pair.title}, {figure} s"
            table.add_row(name, _spread(ours), _spread(yardstick), f"{_spread(ratios)} x")
    Console(width=140).print(table)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
