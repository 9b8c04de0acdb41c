"""The benchmark's tables: ratios are those of pairs, and a run writes its own part of the README and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measure import Comparison, Cost, Pairs
from benchmarks.report import BEGIN, END, README, machine, table_of, write_readme


def _row(table: str, name: str) -> list[str]:
    [line] = [line for line in table.splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def _cost(seconds: float) -> Cost:
    return Cost(wall=seconds, cpu=2 * seconds, memory=100 * seconds)


def _pairs(name: str, ours: list[float], baseline: list[float]) -> Pairs:
    return Pairs(name, "dbt", [_cost(one) for one in ours], [_cost(one) for one in baseline])


def test_a_ratio_is_the_median_of_the_ratios_of_the_pairs() -> None:
    # The machine slowed down in the middle: the medians would say 3, each pair says 2.
    table = table_of(Comparison("Build", [_pairs("ours", [2, 6, 8], [1, 3, 4])]))
    assert _row(table, "ours") == [
        "ours",
        "6.0 (2.0-8.0)",
        "2.00 (2.00-2.00)",
        "12.0 (4.0-16.0)",
        "2.00 (2.00-2.00)",
        "600 (200-800)",
        "2.00 (2.00-2.00)",
    ]


def test_the_baseline_is_one_row_with_all_its_runs_above_the_contenders() -> None:
    table = table_of(Comparison("Build", [_pairs("ours", [2, 2], [1, 3]), _pairs("stock", [8, 8], [2, 2])]))
    assert table.startswith("### Build\n")
    assert _row(table, "dbt")[1:3] == ["2.0 (1.0-3.0)", "1"]
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert names[2:] == ["dbt", "ours", "stock"]


def test_a_single_run_has_no_range() -> None:
    assert _row(table_of(Comparison("Build", [_pairs("ours", [3], [2])])), "ours")[1:3] == ["3.0", "1.50"]


def test_table_lines_are_never_wrapped_or_cut() -> None:
    name = "a contender with a name as long as a sentence has to be now and then"
    table = table_of(Comparison("Build", [_pairs(name, [100_000.0] * 3, [100_000.0] * 3)]))
    assert _row(table, name)[0] == name
    assert len({line.count("|") for line in table.splitlines()[2:]}) == 1


def test_a_run_replaces_only_the_results_of_the_last_run(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_readme("new", readme)
    write_readme("newer", readme)
    assert readme.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"


def test_a_readme_without_the_markers_is_not_changed(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing of the kind")
    with pytest.raises(ValueError, match="has no lines"):
        write_readme("new", readme)
    assert readme.read_text() == "nothing of the kind"


def test_the_readme_has_the_markers() -> None:
    content = README.read_text(encoding="utf-8")
    assert content.count(BEGIN) == content.count(END) == 1


def test_the_machine_and_the_versions_are_named() -> None:
    assert all(word in machine() for word in ("cores", "GiB", "Python 3.", "dagster 1.", "dbt-core 1.", "duckdb 1."))
