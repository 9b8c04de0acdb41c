"""What a run tells the terminal while it goes: its event log, read as it grows, as lines for people."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import dagster as dg
from rich.console import Console
from rich.markup import escape

_SECONDS_BETWEEN_LOOKS = 0.5
# How Dagster begins the message of a `dagster.Failure`, whose text alone is for people.
_FAILURE = "dagster._core.definitions.events.Failure: "
_DBT_FAILED = "dbt failed; what it said of each node is above, and in the run's logs"


@contextmanager
def narration(instance: dg.DagsterInstance, job: str, run_id: str) -> Iterator[None]:
    """Tell the terminal what a run does, and keep all else away from it, for as long as the context lasts."""
    with _terminal() as console:
        narrator = _Narrator(console, instance, job, run_id)
        stop = threading.Event()
        thread = threading.Thread(target=narrator.follow, args=(stop,), name=f"narration of {job}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextmanager
def _terminal() -> Iterator[Console]:
    """Yield the terminal, and keep all else that this process and its children print away from it meanwhile.

    What a step prints, dbt's own lines above all, is kept in the run's compute log.
    """
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as terminal:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.close(quiet)
        try:
            yield Console(file=terminal, highlight=False, soft_wrap=True)
        finally:
            sys.stdout.flush()
            os.dup2(terminal.fileno(), 1)


class _Narrator:
    """Reads a run's event log while it grows, and tells the terminal what a person wants to know of it."""

    def __init__(self, console: Console, instance: dg.DagsterInstance, job: str, run_id: str) -> None:
        self._console = console
        self._instance = instance
        self._job = job
        self._run_id = run_id
        self._cursor: str | None = None

    def follow(self, stop: threading.Event) -> None:
        """Tell what happens until the run has ended and all of it was told."""
        while not stop.wait(_SECONDS_BETWEEN_LOOKS):
            self._tell_new()
        self._tell_new()

    def _tell_new(self) -> None:
        more = True
        while more:
            page = self._instance.get_records_for_run(self._run_id, cursor=self._cursor)
            for record in page.records:
                line = _line(record.event_log_entry)
                if line:
                    self._console.print(f"[dim]{_clock(record)} {self._job:<10}[/] {line}")
            self._cursor, more = page.cursor, page.has_more


def _clock(record: dg.EventLogRecord) -> str:
    return datetime.fromtimestamp(record.timestamp, tz=timezone.utc).astimezone().strftime("%H:%M:%S")


def _line(entry: dg.EventLogEntry) -> str | None:
    """Return what to tell of one entry, or None for what interests no one at a terminal."""
    event, step = entry.dagster_event, entry.step_key or ""
    if event is None:
        return _logged(entry)
    match event.event_type:
        case dg.DagsterEventType.STEP_START:
            line = f"{step} started"
        case dg.DagsterEventType.STEP_SUCCESS:
            line = f"[green]{step} done[/] in {event.step_success_data.duration_ms / 1000:.1f} s"
        case dg.DagsterEventType.STEP_FAILURE:
            line = f"[red]{step} failed[/]: {escape(_root_cause(event))}"
        case dg.DagsterEventType.STEP_SKIPPED:
            line = f"[yellow]{step} skipped[/]: {escape(event.message or '')}"
        case dg.DagsterEventType.RUN_FAILURE:
            line = f"[red]{escape(event.message or 'failed')}[/]"
        case _:
            return None
    return line


def _logged(entry: dg.EventLogEntry) -> str | None:
    level = int(entry.level)
    # dagster-dbt's command lines are longer than they are useful.
    if level < logging.INFO or "dbt command" in entry.user_message:
        return None
    message = escape(entry.user_message)
    return message if level < logging.WARNING else f"[yellow]{message}[/]"


def _root_cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    message = error.message.strip() if error is not None else event.message or ""
    # What dbt says of each node was told before; its command line is longer than it is useful.
    return _DBT_FAILED if "The dbt CLI process" in message else message.removeprefix(_FAILURE)
