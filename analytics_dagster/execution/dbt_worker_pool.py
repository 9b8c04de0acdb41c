"""Processes that make dbt ready while it is not yet known what to run; the other end of `dbt_worker`.

At most one of them waits at a time. Whoever knows early that dbt will be needed calls `start`, and `expect` as soon as
it is known with what; who needs it calls `run`, which does not mind if nobody has called the others.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from analytics_dagster.project.parse import DBT_FOLDER_VARIABLES

_RUNNER = Path(__file__).with_name("dbt_worker.py")


class RowCounts(str, Enum):
    """Whether dbt's process counts the rows of what it has built."""

    LIVE = "live"
    """While it builds the rest."""
    AT_THE_END = "at the end"
    """When it has built all, for a warehouse that takes one query at a time."""


@dataclass(frozen=True)
class Preparation:
    """What dbt can do before it knows what to build: parse the project.

    ``arguments`` are those on which the parse depends: profile, target and vars. ``parsed`` is the file of what was
    parsed before, which dbt compares with the project.
    """

    folder: Path
    arguments: tuple[str, ...]
    parsed: Path
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Call:
    """One call of dbt: all of its arguments, the folder and the environment to run it in.

    ``parse`` are those of the arguments on which the parse depends. ``unchanged`` says that all that dbt would parse is
    as it was when dbt was told to prepare.
    """

    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    parse: tuple[str, ...]
    unchanged: bool
    row_counts: RowCounts | None = None

    def fits(self, preparation: Preparation | None) -> bool:
        """Return whether what was prepared is what dbt would find if it parsed the project now."""
        return (
            preparation is not None
            and self.unchanged
            and self.folder == preparation.folder
            and self.parse == preparation.arguments
            and differing(self.environment, preparation.environment) <= DBT_FOLDER_VARIABLES
        )


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> set[str]:
    """Return the names of the variables that are not the same in both environments."""
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


class _WarmDbt:
    """One process, which runs one call of dbt, or none."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(_RUNNER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.preparation: Preparation | None = None

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def prepare(self, preparation: Preparation) -> None:
        self.preparation = preparation
        # One that is not there any more is noticed when it is needed.
        with contextlib.suppress(OSError):
            self._order(
                order="prepare",
                arguments=preparation.arguments,
                folder=str(preparation.folder),
                environment=dict(preparation.environment),
                parsed=str(preparation.parsed),
            )

    def run(self, call: Call) -> None:
        """Tell the process what to run; raises OSError where it is not there any more."""
        self._order(
            order="run",
            arguments=call.arguments,
            folder=str(call.folder),
            environment=dict(call.environment),
            unchanged=call.fits(self.preparation),
            count_rows=call.row_counts.value if call.row_counts else "",
        )

    def end(self) -> None:
        with self.process as process:
            process.kill()

    def _order(self, **content: Any) -> None:
        assert self.process.stdin is not None  # noqa: S101 - for the type checker: it is piped
        self.process.stdin.write(json.dumps(content).encode() + b"\n")
        self.process.stdin.flush()


class _Supply:
    """The process that waits, and what the next ones are to prepare."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: _WarmDbt | None = None
        self._expected: deque[Preparation] = deque()

    def start(self) -> None:
        with self._lock:
            self._ensure()

    def expect(self, preparations: Sequence[Preparation]) -> None:
        with self._lock:
            self._expected = deque(preparations)
            self._make_ready()

    def run(self, call: Call) -> subprocess.Popen[bytes]:
        with self._lock:
            for _ in range(2):
                warm = self._ensure()
                self._waiting = None
                try:
                    warm.run(call)
                except OSError:
                    # It ended while it waited: by a Ctrl-C that was not meant for it, or for want of memory.
                    warm.end()
                    continue
                self._make_ready()
                return warm.process
            raise RuntimeError("dbt can't be started: its process ended twice before it was told what to do.")

    def end(self) -> None:
        with self._lock:
            self._expected.clear()
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.end()

    def _make_ready(self) -> None:
        if self._expected:
            self._ensure().prepare(self._expected.popleft())

    def _ensure(self) -> _WarmDbt:
        if self._waiting is not None and not self._waiting.is_alive:
            self._waiting.end()
            self._waiting = None
        if self._waiting is None:
            self._waiting = _WarmDbt()
        return self._waiting


_SUPPLY = _Supply()
# A process that waits has nothing to lose, and would notice by itself; but whoever has started it waits for its end.
atexit.register(_SUPPLY.end)


def start() -> None:
    """Start a process that waits, unless one does."""
    _SUPPLY.start()


def expect(preparations: Sequence[Preparation]) -> None:
    """Say what the next calls will need, in their order; each next process is started when one is used."""
    _SUPPLY.expect(preparations)


def run(call: Call) -> subprocess.Popen[bytes]:
    """Call dbt, in the process that waits if one does; its log is on the standard output of what is returned."""
    return _SUPPLY.run(call)


def end() -> None:
    """End the process that waits, if one does, and expect nothing more."""
    _SUPPLY.end()
