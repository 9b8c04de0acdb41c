"""Shows a run in the terminal while it goes: a progress bar per step and lines for events, or lines only in a log."""

from __future__ import annotations

import logging
import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from analytics_dagster.dagster_internals.error_messages import DBT_FAILED, root_message

_MAX_LINES = 8  # of one message, above a bar
# The messages in which a run reports the progress of dbt, and what a step waits for.
_PROGRESS = re.compile(r"(?P<done>\d+) of (?P<total>\d+): (?P<node>.+)", re.DOTALL)
_WAITING = re.compile(r"waiting for |\S+ waits for ")
_STEP_ENDS = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
}

_Show = Callable[[dg.EventLogEntry], None]


@contextmanager
def live_display(instance: dg.DagsterInstance, job: str, run_id: str) -> Iterator[None]:
    """Show a run in the terminal while the context lasts, and nothing else that this process prints."""
    with _exclusive_terminal() as console, _event_display(console, job) as show:
        entries: queue.SimpleQueue[dg.EventLogEntry | None] = queue.SimpleQueue()
        # The run is in this process, so the event log is not read. A slow or closed terminal does not delay the run.
        instance.add_event_listener(run_id, entries.put)
        thread = threading.Thread(target=_consume, args=(entries, show), name=f"display of {job}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            entries.put(None)
            thread.join()


def _consume(entries: queue.SimpleQueue[dg.EventLogEntry | None], show: _Show) -> None:
    while (entry := entries.get()) is not None:
        show(entry)


@contextmanager
def _exclusive_terminal() -> Iterator[Console]:
    """Yield the terminal and send all other output of this process and its children to nowhere.

    Dagster keeps the output of a step, including dbt's own lines, in the run's compute log.
    """
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as terminal:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
        try:
            yield Console(file=terminal, highlight=False)
        finally:
            sys.stdout.flush()
            os.dup2(terminal.fileno(), 1)


@contextmanager
def _event_display(console: Console, job: str) -> Iterator[_Show]:
    """Yield the function that shows an event; the terminal is restored afterwards."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield _line_printer(console, job)
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[done]}", table_column=Column(no_wrap=True)),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=console,
        transient=True,
        refresh_per_second=4,
        redirect_stdout=False,  # `_exclusive_terminal` has redirected it
    ) as progress:
        yield _Bars(progress, _line_printer(console, job, _MAX_LINES)).show


def _line_printer(console: Console, job: str, max_lines: int | None = None) -> _Show:
    """Return what prints an event as a line with the time and the job, with at most ``max_lines`` of its message."""

    def show(entry: dg.EventLogEntry) -> None:
        line = _line(entry, max_lines)
        if line:
            clock = datetime.fromtimestamp(entry.timestamp, tz=timezone.utc).astimezone()
            console.print(f"[dim]{clock:%H:%M:%S} {job:<10}[/] {line}", soft_wrap=True)

    return show


class _Bars:
    """Shows a bar for each running step, and above the bars lines for steps that ended and for warnings."""

    def __init__(self, progress: Progress, show_line: _Show) -> None:
        self._progress = progress
        self._show_line = show_line
        self._tasks: dict[str, TaskID] = {}

    def show(self, entry: dg.EventLogEntry) -> None:
        """Update a bar, or print a line above the bars."""
        event, step = entry.dagster_event, entry.step_key
        if step is not None and event is None and self._update(step, entry):
            return
        if step is not None and event is not None:
            if event.event_type is dg.DagsterEventType.STEP_START:
                self._progress.update(self._task(step), now="")
                return
            if event.event_type in _STEP_ENDS and step in self._tasks:
                self._progress.remove_task(self._tasks.pop(step))
        self._show_line(entry)

    def _update(self, step: str, entry: dg.EventLogEntry) -> bool:
        """Show a log message at the step's bar if it reports progress or a wait; return whether no line is needed."""
        message = entry.user_message
        if _WAITING.match(message):
            self._progress.update(self._task(step), now=f"[yellow]{escape(_shorten(message, 1))}[/]")
            return True
        progress = _PROGRESS.fullmatch(message)
        if progress is None:
            return False
        done, total = int(progress["done"]), int(progress["total"])
        task, node = self._task(step), escape(progress["node"])
        self._progress.update(task, completed=done, total=total, done=f"{done} of {total}", now=node)
        # A failed node needs a line as well.
        return int(entry.level) < logging.WARNING

    def _task(self, step: str) -> TaskID:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(escape(step), total=None, done="", now="")
        return self._tasks[step]


def _line(entry: dg.EventLogEntry, max_lines: int | None) -> str | None:
    """Return the line for an event, or None if it is of no interest in a terminal."""
    event, step = entry.dagster_event, entry.step_key or ""
    if event is None:
        return _log_line(entry, max_lines)
    match event.event_type:
        case dg.DagsterEventType.STEP_START:
            line = f"{step} started"
        case dg.DagsterEventType.STEP_SUCCESS:
            line = f"[green]{step} done[/] in {event.step_success_data.duration_ms / 1000:.1f} s"
        case dg.DagsterEventType.STEP_FAILURE:
            line = f"[red]{step} failed[/]: {escape(_shorten(_failure(event.step_failure_data.error), max_lines))}"
        case dg.DagsterEventType.STEP_SKIPPED:
            line = f"[yellow]{step} skipped[/]: {escape(event.message or '')}"
        case dg.DagsterEventType.RUN_FAILURE:
            failure = event.job_failure_data
            # The failure of a step has a line already.
            cause = "" if failure.first_step_failure_event else _failure(failure.error)
            line = f"[red]{escape(_shorten(cause or event.message or 'failed', max_lines))}[/]"
        case _:
            return None
    return line


def _log_line(entry: dg.EventLogEntry, max_lines: int | None) -> str | None:
    level = int(entry.level)
    # dagster-dbt logs command lines that are too long to be useful.
    if level < logging.INFO or "dbt command" in entry.user_message:
        return None
    message = escape(_shorten(entry.user_message, max_lines))
    return message if level < logging.WARNING else f"[yellow]{message}[/]"


def _failure(error: object) -> str:
    """Return the message of a failure, and for a failure of dbt where to look next."""
    message = root_message(error)
    if message == DBT_FAILED:
        return f"{message}; dbt's messages for each node are above and in the run's logs"
    hint = "\n  -> Run `analytics-dagster doctor` to check the setup"
    return message + hint if message.startswith(f"{DBT_FAILED}: ") else message


def _shorten(text: str, max_lines: int | None) -> str:
    """Return the first lines of a text that are not blank, and how many more there are in the run's logs."""
    lines = [line for line in text.splitlines() if line.strip()]
    if max_lines is None or len(lines) <= max_lines:
        return text
    more = f" … ({len(lines) - max_lines} more lines in the run's logs)" if max_lines > 1 else ""
    return "\n".join(lines[:max_lines]) + more
