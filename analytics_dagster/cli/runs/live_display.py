"""What a run tells the terminal while it goes: its events, as they are stored, as lines and bars for people."""

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
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

_MOST_LINES = 8  # of one message, beside a bar
# How Dagster begins the message of a `dagster.Failure`, whose text alone is for people.
_FAILURE = "dagster._core.definitions.events.Failure: "
_DBT_FAILED = "dbt failed; what it said of each node is above, and in the run's logs"
# How dbt says what keeps it from building anything, such as a warehouse that can't be opened; a traceback follows.
_OF_NO_NODE = re.compile(r"^Encountered an error:\n(?P<said>.+?)(?=\n\s*\n|\nTraceback|\Z)", re.DOTALL | re.MULTILINE)
_DOCTOR = "  -> `analytics-dagster doctor` looks at what it may be"
# How `transform.execution` says how far dbt is, and the executor and the warehouse for whom they wait.
_PROGRESS = re.compile(r"(?P<done>\d+) of (?P<total>\d+): (?P<node>.+)", re.DOTALL)
_WAITING = re.compile(r"waiting for |\S+ waits for ")

Show = Callable[[dg.EventLogEntry], None]
"""Shows an event of a run, if it is of interest."""


@contextmanager
def live_display(instance: dg.DagsterInstance, job: str, run_id: str) -> Iterator[None]:
    """Tell the terminal what a run does, and keep all else away from it, for as long as the context lasts.

    A terminal shows a bar for each step that goes on, and above the bars what went wrong; anything else gets lines.
    """
    with _terminal() as console, _shown(console, job) as show:
        entries: queue.SimpleQueue[dg.EventLogEntry | None] = queue.SimpleQueue()
        # In this process, where the run is executed: the event log need not be read, and a terminal that is slow, or
        # gone, is of no concern to the run.
        instance.add_event_listener(run_id, entries.put)
        thread = threading.Thread(target=_tell, args=(show, entries), name=f"live_display of {job}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            entries.put(None)
            thread.join()


def _tell(show: Show, entries: queue.SimpleQueue[dg.EventLogEntry | None]) -> None:
    while (entry := entries.get()) is not None:
        show(entry)


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
            yield Console(file=terminal, highlight=False)
        finally:
            sys.stdout.flush()
            os.dup2(terminal.fileno(), 1)


@contextmanager
def _shown(console: Console, job: str) -> Iterator[Show]:
    """Yield what shows an event; the terminal is left as it was."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console, job).show
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
        redirect_stdout=False,  # where all that is printed beside the bars goes is arranged already
    ) as progress:
        yield _Bars(progress, _Lines(console, job, _MOST_LINES)).show


class _Lines:
    """A line for each event, with the time and the job: for logs. ``most_lines`` of one message are told, or all."""

    def __init__(self, console: Console, job: str, most_lines: int | None = None) -> None:
        self._console = console
        self._job = job
        self._most_lines = most_lines

    def show(self, entry: dg.EventLogEntry) -> None:
        """Print an event as a line, if it is of interest."""
        line = _line(entry, self._most_lines)
        if line:
            self._console.print(f"[dim]{_clock(entry)} {self._job:<10}[/] {line}", soft_wrap=True)


class _Bars:
    """A bar for each step that goes on, which goes away with it; above them, lines for what ended or went wrong."""

    def __init__(self, progress: Progress, lines: _Lines) -> None:
        self._progress = progress
        self._lines = lines
        self._tasks: dict[str, TaskID] = {}

    def show(self, entry: dg.EventLogEntry) -> None:
        """Move a bar, or print a line above the bars."""
        event, step = entry.dagster_event, entry.step_key
        if step is not None and event is None and self._move(step, entry):
            return
        if step is not None and event is not None:
            if event.event_type is dg.DagsterEventType.STEP_START:
                self._progress.update(self._task(step), now="")
                return
            if event.event_type in _ENDS:
                self._end(step)
        self._lines.show(entry)

    def _move(self, step: str, entry: dg.EventLogEntry) -> bool:
        """Show at a step's bar what its log says, if that is where it belongs; return whether it does."""
        message = entry.user_message
        if _WAITING.match(message):
            self._progress.update(self._task(step), now=f"[yellow]{escape(_shortened(message, 1))}[/]")
            return True
        told = _PROGRESS.fullmatch(message)
        if told is None:
            return False
        self._progress.update(
            self._task(step),
            completed=int(told["done"]),
            total=int(told["total"]),
            done=f"{told['done']} of {told['total']}",
            now=escape(told["node"]),
        )
        # What failed is told above as well.
        return int(entry.level) < logging.WARNING

    def _task(self, step: str) -> TaskID:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(escape(step), total=None, done="", now="")
        return self._tasks[step]

    def _end(self, step: str) -> None:
        if step in self._tasks:
            self._progress.remove_task(self._tasks.pop(step))


_ENDS = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
}


def _clock(entry: dg.EventLogEntry) -> str:
    return datetime.fromtimestamp(entry.timestamp, tz=timezone.utc).astimezone().strftime("%H:%M:%S")


def _line(entry: dg.EventLogEntry, most_lines: int | None) -> str | None:
    """Return what to tell of one entry, or None for what interests no one at a terminal."""
    event, step = entry.dagster_event, entry.step_key or ""
    if event is None:
        return _logged(entry, most_lines)
    match event.event_type:
        case dg.DagsterEventType.STEP_START:
            line = f"{step} started"
        case dg.DagsterEventType.STEP_SUCCESS:
            line = f"[green]{step} done[/] in {event.step_success_data.duration_ms / 1000:.1f} s"
        case dg.DagsterEventType.STEP_FAILURE:
            line = f"[red]{step} failed[/]: {escape(_shortened(_cause(event.step_failure_data.error), most_lines))}"
        case dg.DagsterEventType.STEP_SKIPPED:
            line = f"[yellow]{step} skipped[/]: {escape(event.message or '')}"
        case dg.DagsterEventType.RUN_FAILURE:
            failure = event.job_failure_data
            # What a step said was told at the step.
            cause = "" if failure.first_step_failure_event else _cause(failure.error)
            line = f"[red]{escape(_shortened(cause or event.message or 'failed', most_lines))}[/]"
        case _:
            return None
    return line


def _logged(entry: dg.EventLogEntry, most_lines: int | None) -> str | None:
    level = int(entry.level)
    # dagster-dbt's command lines are longer than they are useful.
    if level < logging.INFO or "dbt command" in entry.user_message:
        return None
    message = escape(_shortened(entry.user_message, most_lines))
    return message if level < logging.WARNING else f"[yellow]{message}[/]"


def _cause(error: Any) -> str:
    """Return what lies at the root of an error (Dagster's `SerializableErrorInfo`), or nothing where there is none."""
    while error is not None and error.cause is not None:
        error = error.cause
    message = error.message.strip() if error is not None else ""
    if "The dbt CLI process" not in message:
        return message.removeprefix(_FAILURE)
    # What dbt says of each node was told before; its command line is longer than it is useful.
    of_no_node = _OF_NO_NODE.search(message)
    return f"dbt failed: {of_no_node['said'].strip()}\n{_DOCTOR}" if of_no_node else _DBT_FAILED


def _shortened(text: str, most_lines: int | None) -> str:
    """Return the first lines of a text that say anything, and how many there are more; the run's logs have them all."""
    lines = [line for line in text.splitlines() if line.strip()]
    if most_lines is None or len(lines) <= most_lines:
        return text
    more = f" … ({len(lines) - most_lines} more lines in the run's logs)" if most_lines > 1 else ""
    return "\n".join(lines[:most_lines]) + more
