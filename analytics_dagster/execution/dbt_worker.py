"""dbt in a process that is started before it is known what to run: it imports dbt and reads the project meanwhile.

`dbt_worker_pool` is the other end; it starts this file by its path. Orders come on the standard input, a JSON object
a line: at most one to `prepare`, then one to `run`, which makes this what the `dbt` command would be: the same
arguments, environment and folder, the same log on the standard output, the same exit code. It ends when its input does,
for then nobody is left who wants it.

What it does otherwise than the `dbt` command changes nothing of what dbt builds and reports. It takes a manifest that
was parsed before the order came, if the order says that nothing has changed since. Log lines that are below a logger's
level are dropped before they are made, not after. Garbage is collected when there is some. And the rows of what was
built are counted while dbt has the warehouse open.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The folder of this file, whose modules have the names of others; the dbt command has no such entry either.
    del sys.path[0]

import gc
import json
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

ROW_COUNTS = "AnalyticsDagsterRowCounts"
"""The name of the log event that tells row counts: `data.row_counts`, by unique id; null where there is none."""

_SECONDS_BETWEEN_COUNTS = 0.25
_COUNTED = frozenset({"table", "incremental", "seed", "snapshot"})
_BUILT = frozenset({"LogModelResult", "LogSeedResult", "LogSnapshotResult"})
_LAST = "FinishedRunningStats"
"""dbt's event after the last node, and the hooks that follow it."""

_PARSED_AS_ONE = frozenset({"PartialParsingSkipParsing", "UnableToPartialParse"})
"""dbt's events when it takes all from an earlier parse, and when it takes nothing."""

_INTERRUPTED = 130
_GARBAGE_AFTER = (100_000, 20, 100)
"""When garbage is looked for. With Python's own numbers it cost dbt a tenth of its time (measured)."""


def main() -> int:
    """Make ready, wait for the order to run, run; return dbt's exit code."""
    # Hardly anything of what is imported and parsed ever becomes garbage.
    gc.disable()
    interruption = _Interruption()
    orders = _Orders(interruption)
    _import_dbt()
    order = orders.take()
    manifest = None
    if order["order"] == "prepare":
        # Where there is no time left to prepare, dbt parses by itself as quickly.
        manifest = None if orders.has_more() else _parse(order)
        order = orders.take()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_AFTER)
    gc.enable()
    interruption.is_running = True
    return _run(order, manifest)


class _Interruption:
    """Ends a process that waits at once, and one that works as Ctrl-C ends dbt: its queries canceled, its log complete.

    Once is enough: a terminal's Ctrl-C reaches this process directly, and again through its parent, and the second
    would cut off the clean-up that the first has begun.
    """

    def __init__(self) -> None:
        self.is_running = False
        self._has_come = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._come)

    def _come(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_running:
            os._exit(_INTERRUPTED)
        if not self._has_come:
            self._has_come = True
            raise KeyboardInterrupt

    def orphan(self) -> None:
        """End the process, of which nobody wants anything any more; may be called by any thread."""
        if not self.is_running:
            os._exit(0)
        os.kill(os.getpid(), signal.SIGINT)


class _Orders:
    """The orders, read by a thread of its own, so that their end is seen at any time."""

    def __init__(self, interruption: _Interruption) -> None:
        self._queue: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._interruption = interruption
        self._input = os.fdopen(os.dup(0), encoding="utf-8")
        # What dbt starts is not to read them.
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def take(self) -> Mapping[str, Any]:
        """Return the next order, once it has come."""
        return self._queue.get()

    def has_more(self) -> bool:
        """Return whether the next order has come."""
        return not self._queue.empty()

    def _read(self) -> None:
        for line in self._input:
            self._queue.put(json.loads(line))
        self._interruption.orphan()


# dbt is imported late, when orders and signals are listened to; and this file is imported for a name of it without dbt.
def _import_dbt() -> None:
    import dbt.cli.main  # noqa: F401


def _parse(order: Mapping[str, Any]) -> Any:
    """Return the project's manifest, if dbt has nothing to say about it; else None.

    Either it finds all parsed already, or has to parse all anew: where the parse was made with another host or user, as
    that of an image was, or by another version.
    """
    from dbt import plugins
    from dbt.cli.main import dbtRunner

    _enter(order)
    if not Path(order["parsed"]).exists() or Path("catalogs.yml").exists():
        # While it parses, dbt connects catalogs too.
        return None
    said: set[str] = set()

    def listen(message: Any) -> None:
        said.update((message.info.name, message.info.level))

    with tempfile.TemporaryDirectory(prefix="dbt-") as folder:
        result = dbtRunner(callbacks=[listen]).invoke(
            [
                *("--log-level", "none", "--log-level-file", "none", "--log-path", folder),
                *("parse", "--no-write-json", "--target-path", folder),
                *("--partial-parse-file-path", order["parsed"], *order["arguments"]),
            ]
        )
    known = result.success and said & _PARSED_AS_ONE and not said & {"warn", "error"}
    # A plugin may write files of its own while dbt parses.
    manager = plugins.PLUGIN_MANAGER
    return result.result if known and manager is not None and not manager.hooks else None


def _run(order: Mapping[str, Any], manifest: Any) -> int:
    """Run dbt, and return its exit code."""
    from dbt import deprecations
    from dbt.cli.main import dbtRunner

    _enter(order)
    # dbt tells each once a process, and the parse before was told to nobody.
    deprecations.reset_deprecations()  # type: ignore[no-untyped-call]
    arguments = list(order["arguments"])
    # By this dbt tells how it was called.
    sys.argv = ["dbt", *arguments]
    counts = _RowCounts(live=order["count_rows"] == "live") if order["count_rows"] else None
    listener = _Listener(manifest if order["unchanged"] else None, counts)
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
    if not listener.has_told_error:
        # Of wrong options dbt tells before it has a log.
        print(f"Error: {result.exception}", flush=True)  # noqa: T201 - where dbt's log goes
    return 2


def _ignore_signals() -> None:
    """Ignore signals from now on: once dbt has ended, they must not change the exit code.

    A handler is not sufficient: Python removes its handlers when it shuts down, and the signal would kill the process.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _enter(order: Mapping[str, Any]) -> None:
    """Take over the environment and the folder of an order."""
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])


class _Listener:
    """Hears each of dbt's log events, in whatever thread it happens."""

    def __init__(self, manifest: Any, counts: _RowCounts | None) -> None:
        self.manifest = manifest
        self.has_told_error = False
        self._counts = counts
        self._is_first = True

    def __call__(self, message: Any) -> None:
        """Hear an event."""
        if self._is_first:
            self._is_first = False
            _spare_loggers()
            if self.manifest is not None:
                # As one has it that was parsed in this very call of dbt.
                self.manifest.metadata.invocation_id = message.info.invocation_id
        name = message.info.name
        if name == "MainEncounteredError":
            self.has_told_error = True
        elif self._counts is not None and name in _BUILT:
            self._counts.add(message.data.node_info)
        elif self._counts is not None and name == _LAST:
            self._counts.finish()


def _spare_loggers() -> None:
    """Keep dbt from making lines that are below a logger's level, and from looking up all secrets for each line.

    dbt makes a line of every debug event for the standard output, and then lets Python's logging drop it. The loggers
    have no public name; a test counts the lines that are made.
    """
    from dbt_common.events.event_manager_client import get_event_manager
    from dbt_common.exceptions.base import env_secrets, scrub_secrets

    scrubber = partial(scrub_secrets, secrets=env_secrets())
    for logger in get_event_manager().loggers:
        logger.scrubber = scrubber
        if logger.level not in {"debug", "test"}:
            logger.filter = partial(_is_above_debug, logger.filter)


def _is_above_debug(otherwise: Any, message: Any) -> bool:
    return message.info.level not in {"debug", "test"} and bool(otherwise(message))


class _RowCounts:
    """Counts the rows of what was built, over a connection of its own, and tells them in dbt's log.

    ``live`` says whether that may happen while dbt builds the rest; else it happens after the last node.
    """

    def __init__(self, *, live: bool) -> None:
        self._pending: dict[str, str] = {}
        self._lock = threading.Lock()
        self._call = threading.Event()
        if live:
            threading.Thread(target=self._work, name="row counts", daemon=True).start()

    def add(self, node: Any) -> None:
        """Take note of a node that was built, or failed."""
        relation = node.node_relation.relation_name
        if node.materialized in _COUNTED and node.node_status == "success" and relation:
            self._pending[node.unique_id] = relation
            self._call.set()

    def finish(self) -> None:
        """Count what was not counted yet."""
        with self._lock:
            self._count()

    def _work(self) -> None:
        while self._call.wait():
            time.sleep(_SECONDS_BETWEEN_COUNTS)
            self._call.clear()
            with self._lock:
                self._count()

    def _count(self) -> None:
        taken = [self._pending.popitem() for _ in range(len(self._pending))]
        if not taken:
            return
        try:
            counts = _count_rows([relation for _, relation in taken])
        except Exception:  # noqa: BLE001 - each adapter has exceptions of its own, and a count fails no build
            counts = {}
        _tell({unique_id: counts.get(place) for place, (unique_id, _) in enumerate(taken)})


def _count_rows(relations: list[str]) -> Mapping[int, int]:
    """Return the number of rows by place in the list."""
    # The adapter that this process has; dbt has no public name for it.
    from dbt.adapters.factory import FACTORY

    adapter: Any
    [adapter] = FACTORY.adapters.values()
    query = "\nunion all\n".join(
        f"select {place} as place, count(*) as row_count from {relation}"  # noqa: S608 - dbt's own names
        for place, relation in enumerate(relations)
    )
    with adapter.connection_named("row_counts"):
        _, table = adapter.execute(query, fetch=True)
    return {int(place): int(count) for place, count in table}


def _tell(counts: Mapping[str, int | None]) -> None:
    from dbt_common.invocation import get_invocation_id

    information = {
        "name": ROW_COUNTS,
        "level": "info",
        "msg": f"Counted the rows of {len(counts)} tables",
        "invocation_id": get_invocation_id(),
    }
    line = json.dumps({"info": information, "data": {"row_counts": counts}})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
