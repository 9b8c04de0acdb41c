"""A dbt process that starts before its command is known: it imports dbt and parses the project in the meantime.

`dbt_worker_pool` starts this file by its path. Requests come on standard input, one JSON object per line: at most one
`warm_up`, then one `run`. A `run` behaves like the `dbt` command: same arguments, environment, folder, log on standard
output and exit code. The process ends when its standard input is closed.

Differences from the `dbt` command, none of which changes what dbt builds and reports: it uses the manifest of the
earlier parse if the request says that nothing has changed, does not format hidden log lines, collects garbage
less often, and counts the rows of built tables while dbt has the warehouse open.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Only for the next import from our package: this folder has modules with the same names as other packages.
    sys.path[0] = str(Path(__file__).parents[2])

from analytics_dagster.dagster_internals import dbt_process

if __name__ == "__main__":
    # The dbt command has no such entry.
    del sys.path[0]

import gc
import json
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

ROW_COUNTS = "AnalyticsDagsterRowCounts"
"""The name of the log event with row counts: `data.row_counts` by unique id, null for a count that failed."""

COUNTED = frozenset({"table", "incremental", "seed", "snapshot"})
"""The materializations whose rows are counted."""

_SECONDS_BETWEEN_COUNTS = 0.25
_BUILT = frozenset({"LogModelResult", "LogSeedResult", "LogSnapshotResult"})
_LAST_EVENT = "FinishedRunningStats"
"""dbt's event after the last node and the hooks that follow it."""

_PARSED_AS_ONE = frozenset({"PartialParsingSkipParsing", "UnableToPartialParse"})
"""dbt's events when an earlier parse is used as a whole, or not at all."""

_EXIT_INTERRUPTED = 130
_GC_THRESHOLDS = (100_000, 20, 100)


def main() -> int:
    """Import dbt, parse if requested, and run the dbt command; return dbt's exit code."""
    # Hardly any object of dbt's modules and manifest becomes garbage. Without these settings a build of the bundled
    # project takes 21 % more CPU time (15.0 against 12.4 s; medians of 6 alternating runs); 4 % without the thresholds.
    gc.disable()
    signals = _SignalHandler()
    requests = _read_requests(signals)
    import dbt.cli.main  # noqa: F401 - signals and the end of the requests are handled from here on

    request = requests.get()
    manifest = None
    if request["request"] == "warm_up":
        # If the command has already arrived, an early parse saves no time.
        manifest = _parse(request) if requests.empty() else None
        request = requests.get()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.enable()
    signals.is_running = True
    return _run(request, manifest)


class _SignalHandler:
    """Ends a waiting process at once; interrupts a running dbt like Ctrl-C, so that it cancels its queries.

    Only the first signal counts. Ctrl-C in a terminal arrives twice, directly and through the parent process, and the
    second signal would cut off dbt's clean-up.
    """

    def __init__(self) -> None:
        self.is_running = False
        self._was_interrupted = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_running:
            os._exit(_EXIT_INTERRUPTED)
        if not self._was_interrupted:
            self._was_interrupted = True
            raise KeyboardInterrupt

    def end_without_parent(self) -> None:
        """End the process because its parent has closed the standard input; any thread may call this."""
        if not self.is_running:
            os._exit(0)
        os.kill(os.getpid(), signal.SIGINT)


def _read_requests(signals: _SignalHandler) -> queue.SimpleQueue[Mapping[str, Any]]:
    """Return the queue of requests; a thread reads them, and notices the end of the standard input at any time."""
    requests: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
    source = os.fdopen(os.dup(0), encoding="utf-8")
    # Child processes of dbt must not read the requests.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def read() -> None:
        for line in source:
            requests.put(json.loads(line))
        signals.end_without_parent()

    threading.Thread(target=read, name="requests", daemon=True).start()
    return requests


def _parse(request: Mapping[str, Any]) -> Any:
    """Return the project's manifest if dbt parses it without a warning; else None.

    The manifest is used only if dbt finds nothing to parse, or has to parse everything: then the earlier parse is of
    another host, user or version, as it is in an image.
    """
    from dbt.cli.main import dbtRunner

    _enter(request)
    if not Path(request["partial_parse"]).exists() or not dbt_process.can_parse_early():
        return None
    if Path("catalogs.yml").exists():
        # While it parses, dbt connects to catalogs too.
        return None
    events: set[str] = set()

    def add_event(message: Any) -> None:
        events.update((message.info.name, message.info.level))

    with tempfile.TemporaryDirectory(prefix="dbt-") as folder:
        result = dbtRunner(callbacks=[add_event]).invoke(
            [
                *("--log-level", "none", "--log-level-file", "none", "--log-path", folder),
                *("parse", "--no-write-json", "--target-path", folder),
                *("--partial-parse-file-path", request["partial_parse"], *request["arguments"]),
            ]
        )
    is_clean = result.success and events & _PARSED_AS_ONE and not events & {"warn", "error"}
    return result.result if dbt_process.after_early_parse() and is_clean else None


def _run(request: Mapping[str, Any], manifest: Any) -> int:
    """Run the dbt command and return its exit code."""
    from dbt.cli.main import dbtRunner

    _enter(request)
    arguments = list(request["arguments"])
    # dbt writes its command line to its artifacts.
    sys.argv = ["dbt", *arguments]
    listener = _Listener(manifest if request["unchanged"] else None, _RowCounter(live=request["live_row_counts"]))
    result: Any = None
    try:
        result = dbtRunner(manifest=listener.manifest, callbacks=[listener]).invoke(arguments)
        _ignore_signals()
    except KeyboardInterrupt:
        if result is None:
            raise
        # dbt had ended: only signals after the first are ignored by now.
        _ignore_signals()
    if result.success:
        return 0
    if result.exception is None:
        return 1
    if not listener.has_logged_error:
        # dbt rejects wrong options before it has a log.
        print(f"Error: {result.exception}", flush=True)  # noqa: T201 - where dbt's log goes
    return 2


def _ignore_signals() -> None:
    """Ignore signals from now on: once dbt has ended, they must not change the exit code.

    A handler is not sufficient: Python removes its handlers when it shuts down, and the signal would kill the process.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _enter(request: Mapping[str, Any]) -> None:
    """Change to the environment and the folder of a request."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])


class _Listener:
    """Receives each of dbt's log events, in the thread that logs it."""

    def __init__(self, manifest: Any, row_counter: _RowCounter) -> None:
        self.manifest = manifest
        self.has_logged_error = False
        self._row_counter = row_counter
        self._is_first = True

    def __call__(self, message: Any) -> None:
        """Receive an event."""
        if self._is_first:
            self._is_first = False
            dbt_process.skip_hidden_log_lines()
            if self.manifest is not None:
                # As if this dbt command had parsed it.
                self.manifest.metadata.invocation_id = message.info.invocation_id
        name = message.info.name
        if name == "MainEncounteredError":
            self.has_logged_error = True
        elif name in _BUILT:
            self._row_counter.add(message)
        elif name == _LAST_EVENT:
            self._row_counter.finish()


class _RowCounter:
    """Counts the rows of built tables over a connection of its own, and logs them as a dbt event.

    ``live`` says whether it counts while dbt builds the rest, or after the last node.
    """

    def __init__(self, *, live: bool) -> None:
        self._pending: dict[str, str] = {}
        self._invocation_id = ""
        self._lock = threading.Lock()
        self._has_pending = threading.Event()
        if live:
            threading.Thread(target=self._count_repeatedly, name="row counts", daemon=True).start()

    def add(self, message: Any) -> None:
        """Add the node of a result event, if it was built."""
        node = message.data.node_info
        relation = node.node_relation.relation_name
        if node.materialized in COUNTED and node.node_status == "success" and relation:
            self._invocation_id = message.info.invocation_id
            self._pending[node.unique_id] = relation
            self._has_pending.set()

    def finish(self) -> None:
        """Count what is not counted yet."""
        with self._lock:
            self._count()

    def _count_repeatedly(self) -> None:
        while self._has_pending.wait():
            time.sleep(_SECONDS_BETWEEN_COUNTS)
            self._has_pending.clear()
            with self._lock:
                self._count()

    def _count(self) -> None:
        adapter = dbt_process.adapter_in_use() if self._pending else None
        if adapter is None:
            # Dagster's process counts the rows that this process does not.
            return
        pending = [self._pending.popitem() for _ in range(len(self._pending))]
        try:
            with adapter.connection_named("row_counts"):
                _, table = adapter.execute(row_count_query([relation for _, relation in pending]), fetch=True)
            counts = {int(position): int(count) for position, count in table}
        except Exception:  # noqa: BLE001 - each adapter has its own exceptions, and a count must not fail a build
            counts = {}
        self._log({unique_id: counts.get(position) for position, (unique_id, _) in enumerate(pending)})

    def _log(self, counts: Mapping[str, int | None]) -> None:
        message = f"Counted the rows of {len(counts)} tables"
        info = {"name": ROW_COUNTS, "level": "info", "msg": message, "invocation_id": self._invocation_id}
        sys.stdout.write(f"{json.dumps({'info': info, 'data': {'row_counts': counts}})}\n")
        sys.stdout.flush()


def row_count_query(relations: Sequence[str]) -> str:
    """Return the SQL that counts the rows of relations: their positions in the list, and the counts."""
    return "\nunion all\n".join(
        f"select {position} as relation, count(*) as row_count from {relation}"  # noqa: S608 - dbt's own names
        for position, relation in enumerate(relations)
    )


if __name__ == "__main__":
    sys.exit(main())
