"""Formats measured pairs as tables for the terminal and the README."""

from __future__ import annotations

import io
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Comparison, Cost

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- the last run: begin -->", "<!-- the last run: end -->"
"""The markers around the generated part of the README."""

_FIGURES = {"wall": ("wall s", 1), "cpu": ("CPU s", 1), "memory": ("memory MiB", 0)}
_WIDTH = 1_000
"""Wider than any table, because a wrapped line is invalid Markdown."""


def table_of(comparison: Comparison) -> str:
    """Return a Markdown table: a row for each baseline and for each contender, medians with (min-max).

    A contender's ratios are medians of the ratios of its pairs; a baseline's figures are those of all its runs.
    """
    table = Table(box=box.MARKDOWN)
    table.add_column("")
    for title, _ in _FIGURES.values():
        table.add_column(title, justify="right")
        table.add_column("ratio", justify="right")
    for baseline in dict.fromkeys(pairs.yardstick_name for pairs in comparison.pairs):
        measured = [pairs for pairs in comparison.pairs if pairs.yardstick_name == baseline]
        table.add_row(baseline, *_cells([cost for pairs in measured for cost in pairs.baseline], {}))
        for pairs in measured:
            table.add_row(pairs.name, *_cells(pairs.costs, {figure: pairs.ratios(figure) for figure in _FIGURES}))
    text = io.StringIO()
    Console(file=text, width=_WIDTH).print(table)
    lines = [f"### {comparison.title}", "", *(line.rstrip() for line in text.getvalue().strip().splitlines())]
    return "\n".join([*lines, *(f"\n{remark}" for remark in comparison.remarks)])


def _cells(costs: Sequence[Cost], ratios: dict[str, list[float]]) -> Iterable[str]:
    for figure, (_, digits) in _FIGURES.items():
        yield spread([getattr(cost, figure) for cost in costs], digits)
        yield spread(ratios[figure], 2) if figure in ratios else "1"


def spread(values: Sequence[float], digits: int) -> str:
    """Return the median, with the range if there is more than one value."""
    median, low, high = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return median if len(values) == 1 else f"{median} ({low}-{high})"


def machine() -> str:
    """Return a description of the machine: processor, memory, system, versions."""
    names = ("dagster", "dagster-dbt", "dbt-core", "dbt-duckdb", "duckdb")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    hardware = f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"
    return f"{hardware}; Python {platform.python_version()}, {versions}"


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())


def write_readme(text: str, readme: Path = README) -> None:
    """Replace the last run in the README by this one; raise `ValueError` if the README has no markers."""
    content = readme.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme} has no lines {BEGIN} and {END}.")
    readme.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}", encoding="utf-8")
