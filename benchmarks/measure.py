"""Things measured in pairs, A B A B …: wall and CPU seconds and peak memory of process trees, ratios pair by pair.

Machines drift: only figures of one call are to be compared with each other.
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

_SECONDS_BETWEEN_LOOKS = 0.1
_MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """What one run took, of it and all its children.

    ``wall`` and ``cpu`` (user and system) are in seconds. ``memory`` is in MiB: the most that all processes together
    had resident at one moment, where a page that several processes share counts for each of them.
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
        """Run the command once, and return what it took."""
        return measure(self)


@dataclass(frozen=True)
class Contender:
    """Whatever can be run once and says what it took, with a name for the table; a `Command` is one."""

    name: str
    run: Callable[[], Cost]

    def __call__(self) -> Cost:
        """Run it once."""
        return self.run()


@dataclass(frozen=True)
class Pairs:
    """What a contender took, and what its yardstick took, run by run."""

    name: str
    yardstick_name: str
    costs: Sequence[Cost]
    yardstick: Sequence[Cost]

    def ratios(self, figure: str) -> list[float]:
        """Return the contender's figure over the yardstick's, pair by pair."""
        return [getattr(a, figure) / getattr(b, figure) for a, b in zip(self.costs, self.yardstick, strict=True)]


@dataclass(frozen=True)
class Comparison:
    """A table: a title, contenders of which each ran in pairs with the same yardstick, and remarks on them."""

    title: str
    pairs: Sequence[Pairs]
    remarks: Sequence[str] = ()


class ProcessTree:
    """A process and all that it has started."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.peak = 0.0
        """The most memory seen while it was `watched`, in MiB."""

    def cpu(self) -> float:
        """Return the CPU seconds that the processes that live have used, and those that they have waited for."""
        return sum(_used(process) for process in self._living())

    def look(self) -> None:
        """Take note of the memory that is resident now."""
        self.peak = max(self.peak, sum(_resident(process) for process in self._living()) / _MIB)

    def _living(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [self._root, *self._root.children(recursive=True)]
        return []


@contextmanager
def watched(pid: int) -> Iterator[ProcessTree]:
    """Look at a process and all that it starts, for as long as the context lasts."""
    tree = ProcessTree(pid)
    ended = threading.Event()

    def watch() -> None:
        while True:
            tree.look()
            if ended.wait(_SECONDS_BETWEEN_LOOKS):
                return

    thread = threading.Thread(target=watch, name=f"memory of {pid}", daemon=True)
    thread.start()
    try:
        yield tree
    finally:
        ended.set()
        thread.join()


def _resident(process: psutil.Process) -> int:
    # It may have ended since it was listed.
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0


def _used(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def measure(command: Command) -> Cost:
    """Run a command once; raises `RuntimeError` with its output if it fails, since a failed run measures nothing."""
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
    # Not the system's own note of the largest process: a child's begins with what this process has.
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, memory=tree.peak)


def compare(contender: Command | Contender, yardstick: Command | Contender, *, pairs: int, warm: bool = True) -> Pairs:
    """Run both once to warm up, unless they are warm, then alternately; return what each run took."""
    if warm:
        for one in (contender, yardstick):
            one()
    costs = [(contender(), yardstick()) for _ in range(pairs)]
    return Pairs(contender.name, yardstick.name, [a for a, _ in costs], [b for _, b in costs])
