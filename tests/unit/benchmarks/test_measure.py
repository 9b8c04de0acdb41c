"""The benchmark's clock: it counts all of a process tree, pairs fairly, and never takes a failure for a figure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.measure import Command, Contender, Cost, ProcessTree, compare, measure

pytestmark = pytest.mark.slow

BUSY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(8_000_000))'])"
HUNGRY = "import time; block = bytearray(b'x') * 100_000_000; time.sleep(1)"
TWO_HUNGRY = f"""
import subprocess, sys
both = [subprocess.Popen([sys.executable, '-c', {HUNGRY!r}]) for _ in range(2)]
print([process.wait() for process in both])
"""


def _python(code: str) -> Command:
    return Command("it", (sys.executable, "-c", code), os.environ, Path.cwd())


def test_cpu_time_includes_child_processes() -> None:
    assert measure(_python(BUSY)).cpu > measure(_python("pass")).cpu


def test_sleeping_takes_wall_time_and_no_cpu_time() -> None:
    cost = measure(_python("import time; time.sleep(1.5)"))
    assert cost.wall > 1.5 > cost.cpu


def test_memory_is_the_sum_of_all_child_processes() -> None:
    nothing, hungry = measure(_python("pass")).memory, measure(_python(TWO_HUNGRY)).memory
    assert 0 < nothing < 100
    assert 200 < hungry < 400


def test_a_failed_command_is_an_error_with_its_output() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        measure(_python("raise SystemExit('no such thing')"))


def test_the_cpu_time_of_a_process_tree_includes_ended_processes() -> None:
    code = f"{BUSY}\nprint('done', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        alone = time.process_time()
        sum(range(8_000_000))
        alone = time.process_time() - alone
        assert ProcessTree(process.pid).cpu() > alone / 2
        process.communicate("end\n")


def test_each_pair_runs_both_once_after_one_run_to_warm_up(tmp_path: Path) -> None:
    def recording(name: str) -> Command:
        return _python(f"open({str(tmp_path / 'order')!r}, 'a').write({name!r})")

    pairs = compare(recording("a"), recording("b"), pairs=2)
    assert (tmp_path / "order").read_text() == "ab" + "abab"
    assert len(pairs.costs) == len(pairs.baseline) == 2


def test_a_warm_contender_has_no_warm_up_run() -> None:
    ran: list[str] = []

    def recording(name: str) -> Contender:
        def run() -> Cost:
            ran.append(name)
            return Cost(len(ran), 1, 1)

        return Contender(name, run)

    pairs = compare(recording("a"), recording("b"), pairs=2, warm=False)
    assert ran == ["a", "b", "a", "b"]
    assert pairs.ratios("wall") == [1 / 2, 3 / 4]
