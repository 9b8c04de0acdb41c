"""Supervises a dbt process inside a step: logs its progress, and stops it when the step ends early."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, cast

import dagster as dg

from analytics_dagster.execution.events import BUILT, NodeResult
from analytics_dagster.redaction import Redactor

_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_TO_STOP = 25.0
_EXPECTED = {*BUILT, "pass", "skipped"}


class ProgressLog:
    """Logs the progress of a build: every failure at once, other results at most every two seconds."""

    def __init__(self, context: dg.OpExecutionContext, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self._next = 0.0

    def add(self, result: NodeResult) -> None:
        """Count the result of a node or test, and log it if it is due."""
        self._done += 1
        line = f"{self._done} of {self._total}: {result.name} {result.status}"
        if result.status not in _EXPECTED:
            self._context.log.warning(line)
        elif time.monotonic() >= self._next or self._done == self._total:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            self._context.log.info(line)


def find_interrupt(error: BaseException) -> BaseException | None:
    """Return the interrupt that ended a step, also if dagster-dbt timed out while it waited for dbt to stop."""
    if isinstance(error, dg.DagsterExecutionInterruptedError):
        return error
    before = error.__context__
    if isinstance(error, subprocess.TimeoutExpired) and isinstance(before, dg.DagsterExecutionInterruptedError):
        return before
    return None


def redact_output(process: subprocess.Popen[bytes]) -> None:
    """Hide secrets in the output of a dbt process, from which logs, events and errors are made."""
    if process.stdout is not None:
        process.stdout = cast("IO[bytes]", _RedactedOutput(process.stdout, Redactor.of()))


@dataclass(frozen=True)
class _RedactedOutput(AbstractContextManager["_RedactedOutput"]):
    """The part of a file that dagster-dbt uses: it reads the lines and closes the file."""

    output: IO[bytes]
    redactor: Redactor

    @property
    def closed(self) -> bool:
        return self.output.closed

    def close(self) -> None:
        self.output.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> bytes:
        return b"".join(self)

    def __iter__(self) -> Iterator[bytes]:
        for line in self.output:
            yield self.redactor.line(line.decode(errors="replace").rstrip("\n")).encode() + b"\n"


def stop_dbt(process: subprocess.Popen[bytes]) -> None:
    """Stop a dbt process if it is still running: by an interrupt first, after 25 seconds by a kill."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
