"""Runs servers and containers as local processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


class LocalProcess:
    """A process that leads a process group and logs to a file; stopping it stops the whole group."""

    def __init__(
        self,
        command: list[str],
        log: Path,
        environment: dict[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        *,
        user: int | None = None,
    ) -> None:
        self._log = log
        self._stop_signal = stop_signal
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._process.poll()

    def log(self) -> str:
        """Return the log."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def stop(self, grace: float) -> None:
        """Send the stop signal; after ``grace`` seconds kill the process group."""
        if self._process.poll() is None and grace:
            self._process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
