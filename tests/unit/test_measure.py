"""The benchmark's clock: it counts the children's CPU time, pairs fairly, and never takes a failure for a figure."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Command, compare, measure

BUSY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(8_000_000))'])"


def _python(code: str) -> Command:
    return Command("it", (sys.executable, "-c", code), os.environ, Path.cwd())


def test_the_cpu_time_of_children_counts() -> None:
    assert measure(_python(BUSY)).cpu > measure(_python("pass")).cpu


def test_a_sleep_is_wall_time_and_no_cpu_time() -> None:
    cost = measure(_python("import time; time.sleep(1.5)"))
    assert cost.wall > 1.5 > cost.cpu


def test_a_command_that_fails_measures_nothing_and_shows_what_it_printed() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        measure(_python("raise SystemExit('no such thing')"))


def test_each_pair_runs_both_once_after_one_run_to_warm_up(tmp_path: Path) -> None:
    def noting(name: str) -> Command:
        return _python(f"open({str(tmp_path / 'order')!r}, 'a').write({name!r})")

    pair = compare("order", noting("a"), noting("b"), pairs=2)
    assert (tmp_path / "order").read_text() == "ab" + "abab"
    assert len(pair.ours) == len(pair.yardstick) == 2
