"""Starts dbt worker processes (`dbt_worker`) before their commands are known.

At most one worker waits at a time. `start` starts it, `preload` gives it the project to parse, and `run` gives it its
command. `run` alone is sufficient: it starts a worker if none waits.
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
from pathlib import Path
from typing import Any

_WORKER = Path(__file__).with_name("dbt_worker.py")


@dataclass(frozen=True)
class WarmUp:
    """What dbt can do before its command is known: parse the project.

    ``arguments`` are those that affect the parse: profile, target and vars. ``partial_parse`` is the file of dbt's last
    parse.
    """

    folder: Path
    arguments: tuple[str, ...]
    partial_parse: Path
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class DbtCommand:
    """A dbt command, and the warm-up that would prepare it; its environment differs from that one in folders only.

    ``unchanged`` says that the project has not changed since its last parse. ``live_row_counts`` says whether rows are
    counted during the build, or after the last node.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    warm_up: WarmUp
    unchanged: bool
    live_row_counts: bool

    def can_use(self, warm_up: WarmUp | None) -> bool:
        """Return whether a parse now would have the same result as that of the warm-up."""
        return self.unchanged and self.warm_up == warm_up


class _DbtWorker:
    """One worker process, for one dbt command at most."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.warm_up: WarmUp | None = None

    def preload(self, warm_up: WarmUp) -> None:
        self.warm_up = warm_up
        # `run` notices that the process has ended.
        with contextlib.suppress(OSError):
            self._send(
                request="warm_up",
                arguments=warm_up.arguments,
                folder=str(warm_up.folder),
                environment=dict(warm_up.environment),
                partial_parse=str(warm_up.partial_parse),
            )

    def run(self, command: DbtCommand) -> None:
        """Send the command; raises OSError if the process has ended."""
        self._send(
            request="run",
            arguments=command.arguments,
            folder=str(command.warm_up.folder),
            environment=dict(command.environment),
            unchanged=command.can_use(self.warm_up),
            live_row_counts=command.live_row_counts,
        )

    def end(self) -> None:
        with self.process as process:
            process.kill()

    def _send(self, **content: Any) -> None:
        assert self.process.stdin is not None  # noqa: S101 - for the type checker: it is piped
        self.process.stdin.write(json.dumps(content).encode() + b"\n")
        self.process.stdin.flush()


class _WorkerPool:
    """The waiting worker, and the warm-ups of those that follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: _DbtWorker | None = None
        self._warm_ups: deque[WarmUp] = deque()

    def start(self) -> None:
        """Start a worker that waits for its command, unless one waits."""
        with self._lock:
            self._ensure()

    def preload(self, warm_ups: Sequence[WarmUp]) -> None:
        """Set the warm-ups of the next commands, in their order; each next worker starts when one is used."""
        with self._lock:
            self._warm_ups = deque(warm_ups)
            self._preload_next()

    def run(self, command: DbtCommand) -> subprocess.Popen[bytes]:
        """Run a dbt command in the waiting worker or a new one; return the process, with dbt's log on its output."""
        with self._lock:
            for _ in range(2):
                worker = self._ensure()
                self._waiting = None
                try:
                    worker.run(command)
                except OSError:
                    # It ended while it waited, for example by Ctrl-C or lack of memory.
                    worker.end()
                    continue
                self._preload_next()
                return worker.process
            raise RuntimeError("dbt can't be started: its process ended twice before it received its command.")

    def end(self) -> None:
        """End the waiting worker and drop all warm-ups."""
        with self._lock:
            self._warm_ups.clear()
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.end()

    def _preload_next(self) -> None:
        if self._warm_ups:
            self._ensure().preload(self._warm_ups.popleft())

    def _ensure(self) -> _DbtWorker:
        if self._waiting is not None and self._waiting.process.poll() is not None:
            self._waiting.end()
            self._waiting = None
        if self._waiting is None:
            self._waiting = _DbtWorker()
        return self._waiting


_POOL = _WorkerPool()
# The worker would end by itself when its input closes, but the parent's exit must not leave it behind for a moment.
atexit.register(_POOL.end)

start = _POOL.start
preload = _POOL.preload
run = _POOL.run
end = _POOL.end
