"""Measures in pairs, A B A B …: wall and CPU seconds and peak memory of process trees, with ratios per pair.

The speed of a machine drifts: compare only figures of the same call.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLE_INTERVAL = 0.1
_MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """The cost of one run, including all child processes.

    ``wall`` and ``cpu`` (user and system) are in seconds. ``memory`` is in MiB: the peak of the resident memory of all
    processes together; shared pages count once per process.
    """

    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Command:
    """A command with a name for the table."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path

    def __call__(self) -> Cost:
        """Run the command once; return its cost."""
        return measure(self)


@dataclass(frozen=True)
class Contender:
    """Something with a name that runs once and returns its cost; a `Command` is one."""

    name: str
    run: Callable[[], Cost]

    def __call__(self) -> Cost:
        """Run it once."""
        return self.run()


@dataclass(frozen=True)
class Pairs:
    """The costs of a contender and of its baseline, run by run."""

    name: str
    yardstick_name: str
    costs: Sequence[Cost]
    baseline: Sequence[Cost]

    def ratios(self, figure: str) -> list[float]:
        """Return the ratio of contender to baseline for each pair."""
        return [getattr(a, figure) / getattr(b, figure) for a, b in zip(self.costs, self.baseline, strict=True)]


@dataclass(frozen=True)
class Comparison:
    """A table: a title, contenders measured in pairs with the same baseline, and remarks."""

    title: str
    pairs: Sequence[Pairs]
    remarks: Sequence[str] = ()


class ProcessTree:
    """A process and all its descendants."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.peak = 0.0
        """The peak memory while `watched`, in MiB."""

    def cpu(self) -> float:
        """Return the CPU seconds of all living processes and of their ended child processes."""
        return sum(_used(process) for process in self._living())

    def look(self) -> None:
        """Record the current resident memory."""
        self.peak = max(self.peak, sum(_resident(process) for process in self._living()) / _MIB)

    def _living(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [self._root, *self._root.children(recursive=True)]
        return []


@contextmanager
def watched(pid: int) -> Iterator[ProcessTree]:
    """Watch a process and its descendants within the context."""
    tree = ProcessTree(pid)
    ended = threading.Event()

    def watch() -> None:
        while True:
            tree.look()
            if ended.wait(_SAMPLE_INTERVAL):
                return

    thread = threading.Thread(target=watch, name=f"memory of {pid}", daemon=True)
    thread.start()
    try:
        yield tree
    finally:
        ended.set()
        thread.join()


def _resident(process: psutil.Process) -> int:
    # The process can have ended since it was listed.
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0


def _used(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def measure(command: Command) -> Cost:
    """Run a command once; raise `RuntimeError` with its output if it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command.arguments,
        env=dict(command.environment),
        cwd=command.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is piped
    with watched(process.pid) as tree:
        output = process.stdout.read()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command.name} failed:\n{output.decode(errors='replace')[-4000:]}")
    # Do not use the peak of the operating system: that of a child starts with the memory of this process.
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, memory=tree.peak)


def compare(contender: Command | Contender, baseline: Command | Contender, *, pairs: int, warm: bool = True) -> Pairs:
    """Run both once as a warm-up, unless they are warm, then alternately; return the cost of each run."""
    if warm:
        for one in (contender, baseline):
            one()
    costs = [(contender(), baseline()) for _ in range(pairs)]
    return Pairs(contender.name, baseline.name, [a for a, _ in costs], [b for _, b in costs])
