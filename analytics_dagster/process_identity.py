"""Identifies the process that executes a run, in a form that fits into a run tag, and checks whether it still runs."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    import psutil

PROCESS_TAG = "analytics_dagster/process"
"""The run tag that holds the run's process and id. A re-execution copies the tags of its parent."""

CHILD_TAG = "analytics_dagster/child_process"
"""The run tag that holds, in the same form, the dbt process of the run's last step, which may outlive the run."""

_TEXT = re.compile(r"(?P<pid>\d+)@(?P<host>\S+) (?P<started>\d+(\.\d+)?) (?P<uptime>-?\d+(\.\d+)?)")
_OF_RUN = " of run "
_TOLERANCE = 2.0
"""Seconds by which two readings of a process's start may differ: the time of boot is known to the second only."""


class Liveness(str, Enum):
    """Whether a process runs."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"
    """This machine cannot tell. Callers must treat it as alive."""


@dataclass(frozen=True)
class Process:
    """One process of one machine, which a later process with the same pid does not match.

    ``started`` is in seconds since 1970, ``uptime`` in seconds since the machine booted. One of the two stays the same
    when the clock is changed: Linux stores the second and derives the first, macOS the other way round.
    """

    host: str
    pid: int
    started: float
    uptime: float

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the process of this machine with this pid; None if none runs. A zombie does not run."""
        import psutil  # no load of the location needs it

        try:
            found = psutil.Process(pid)
            return None if found.status() == psutil.STATUS_ZOMBIE else cls._read(found)
        except psutil.NoSuchProcess:
            return None

    @classmethod
    def current(cls) -> Process:
        """Return this process."""
        import psutil  # no load of the location needs it

        return cls._read(psutil.Process())

    @classmethod
    def _read(cls, found: psutil.Process) -> Process:
        import psutil  # no load of the location needs it

        started = found.create_time()
        return cls(platform.node(), found.pid, started, started - psutil.boot_time())

    @classmethod
    def from_text(cls, text: str | None) -> Process | None:
        """Return the process that `to_text` wrote; None for any other text."""
        match = _TEXT.fullmatch(text or "")
        if match is None:
            return None
        return cls(match["host"], int(match["pid"]), float(match["started"]), float(match["uptime"]))

    def to_text(self) -> str:
        """Return the process as one line, short enough for a tag."""
        return f"{self.pid}@{self.host} {self.started:.2f} {self.uptime:.2f}"

    @property
    def liveness(self) -> Liveness:
        """Whether it still runs; unknown if it belongs to another machine."""
        if self.host != platform.node():
            return Liveness.UNKNOWN
        now = Process.of(self.pid)
        if now is None:
            return Liveness.DEAD
        same = abs(now.started - self.started) < _TOLERANCE or abs(now.uptime - self.uptime) < _TOLERANCE
        return Liveness.ALIVE if same else Liveness.DEAD

    def __str__(self) -> str:
        """Return the process as messages name it."""
        return f"process {self.pid} on {self.host}"


def process_tags(run_id: str) -> Mapping[str, str]:
    """Return the run tags that say that this process executes the run."""
    return {PROCESS_TAG: f"{Process.current().to_text()}{_OF_RUN}{run_id}"}


def child_tags(run_id: str, child: Process) -> Mapping[str, str]:
    """Return the run tags that say that the run started a child process."""
    return {CHILD_TAG: f"{child.to_text()}{_OF_RUN}{run_id}"}


def tagged_process(run: dg.DagsterRun, tag: str) -> Process | None:
    """Return the process that a run's tag holds; None if it was copied from another run."""
    text, _, run_id = run.tags.get(tag, "").partition(_OF_RUN)
    return Process.from_text(text) if run_id == run.run_id else None


def is_executed_here(run: dg.DagsterRun) -> bool:
    """Return whether the run's tags say that this process executes it."""
    process = tagged_process(run, PROCESS_TAG)
    return process is not None and process.pid == os.getpid() and process.liveness is Liveness.ALIVE
