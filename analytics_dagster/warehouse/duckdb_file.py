"""A DuckDB file: held by one step at a time, and opened for no longer than needed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import tenacity
from filelock import FileLock, Timeout

from analytics_dagster.errors import NoWarehouseYetError, WarehouseError
from analytics_dagster.process_identity import Liveness, Process, child_tags
from analytics_dagster.settings import variable_name

if TYPE_CHECKING:
    import duckdb

_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


@dataclass(frozen=True)
class Run:
    """The run in which the warehouse is used."""

    instance: dg.DagsterInstance
    run_id: str
    job: str

    def __str__(self) -> str:
        """Return how the run is told of."""
        return f"run {self.run_id[:8]} of {self.job}"


@dataclass(frozen=True)
class _Note:
    """What lies beside a locked DuckDB file, for those who wait: who holds it, and what the holder has started."""

    holder: str
    child: Process | None = None

    @classmethod
    def read(cls, path: Path) -> _Note | None:
        """Return the note, or None where there is none, or one that is just being written."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(content["holder"]), Process.from_text(content["child"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        child = self.child.to_text() if self.child else None
        path.write_text(json.dumps({"holder": self.holder, "child": child}), encoding="utf-8")

    @property
    def survivor(self) -> Process | None:
        """What the holder has started, where that is still at work."""
        return self.child if self.child is not None and self.child.liveness is Liveness.ALIVE else None


class Hold:
    """The warehouse, held by a step."""

    def __init__(self, run: Run | None, note: Path | None) -> None:
        self._run = run
        self._path = note
        where = str(Process.current())
        self._note = _Note(f"{where} ({run})" if run else where)
        if note is not None:
            self._note.write(note)

    def note_child(self, pid: int) -> None:
        """Record a process that was started to write the warehouse, and which the end of this one may leave behind.

        Whoever holds the warehouse next waits for it, and the run counts as alive as long as it is.
        """
        child = Process.of(pid)
        if child is None:
            return
        self._note = _Note(self._note.holder, child)
        if self._path is not None:
            self._note.write(self._path)
        if self._run is not None:
            self._run.instance.add_run_tags(self._run.run_id, child_tags(self._run.run_id, child))

    def release(self) -> None:
        """Take the note away, unless what was started is still at work."""
        if self._path is not None and self._note.survivor is None:
            self._path.unlink(missing_ok=True)


class _Holds(threading.local):
    """The DuckDB files that this thread holds, so that a step may ask for its file again."""

    def __init__(self) -> None:
        self.by_path: dict[Path, Hold] = {}


_HOLDS = _Holds()


@contextmanager
def held(path: Path, run: Run | None) -> Iterator[Hold]:
    """Keep every other step out of a DuckDB file, of this Dagster home or of another.

    Waits for as long as the holder lives, idly, and says for whom; and for the dbt of a holder that was killed. The
    operating system ends the hold when this process ends. A thread may hold what it holds already.
    """
    already = _HOLDS.by_path.get(path)
    if already is not None:
        yield already
        return
    note = path.with_name(f"{path.name}.holder")
    with _file_lock(path, note):
        hold = _HOLDS.by_path[path] = Hold(run, note)
        try:
            yield hold
        finally:
            del _HOLDS.by_path[path]
            hold.release()


@contextmanager
def _file_lock(path: Path, note: Path) -> Iterator[None]:
    """Hold the lock of a DuckDB file, once nothing that an earlier holder left behind is at work any more."""
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    _waiting(
        retry=tenacity.retry_if_exception_type(Timeout),
        before_sleep=_Announcement(path, lambda _: _noted_holder(_Note.read(note))),
        reraise=True,
    )(_acquire, lock, path)
    try:
        _waiting(
            retry=tenacity.retry_if_result(lambda left: left is not None and left.survivor is not None),
            before_sleep=_Announcement(path, lambda _: _noted_survivor(_Note.read(note))),
        )(_Note.read, note)
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:  # an OSError too, and no error here
        raise
    except OSError as error:
        raise WarehouseError(
            f"The warehouse {path} can't be locked: {error}.",
            remedy=f"Let this user write {path.parent}, where the lock lies beside the file.",
        ) from error


def _noted_holder(note: _Note | None) -> str:
    return note.holder if note else "another step"


def _noted_survivor(note: _Note | None) -> str:
    return f"dbt, {note.survivor}, started by {note.holder}," if note else "another step's dbt"


def open_duckdb(path: Path, *, timeout: float, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file, waiting up to ``timeout`` seconds for the process that holds it.

    Raises `WarehouseError` that says who holds the file, or why it can't be opened.
    """
    import duckdb  # 60 MB that a process which only loads the definitions does not need

    if read_only and not path.exists():
        raise NoWarehouseYetError(
            f"The warehouse {path} does not exist yet.", remedy="Build it first: run a schedule group's job."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = _waiting(
        retry=tenacity.retry_if_exception(_is_held),
        stop=tenacity.stop_after_delay(timeout),
        before_sleep=_Announcement(path, _holder),
        reraise=True,
    )
    try:
        return waiting(duckdb.connect, str(path), read_only=read_only)
    except duckdb.IOException as error:
        if not _is_held(error):
            raise WarehouseError(
                f"The warehouse {path} can't be opened: {error}", remedy="See that the path and its rights are right."
            ) from error
        raise WarehouseError(
            f"The warehouse {path} is held by {_holder(error)}; waited {timeout:g} s.",
            remedy="Let it end or close it, then run again; "
            f"{variable_name('warehouse_lock_timeout')} sets how long to wait.",
        ) from error


def _waiting(**how: Any) -> tenacity.Retrying:
    return tenacity.Retrying(wait=tenacity.wait_exponential(multiplier=0.1, max=2.0), **how)


class _Announcement:
    """Says once, and then every half minute, for whom a wait is; ``holder`` is told what the last look raised."""

    def __init__(self, path: Path, holder: Callable[[BaseException | None], str]) -> None:
        self._path = path
        self._holder = holder
        self._next = 0.0

    def __call__(self, state: tenacity.RetryCallState) -> None:
        waited = state.seconds_since_start or 0.0
        if state.outcome is not None and waited >= self._next:
            self._next = waited + 30
            holder = self._holder(state.outcome.exception() if state.outcome.failed else None)
            dg.get_dagster_logger().warning(f"waiting for the warehouse {self._path}, which {holder} holds")


def _is_held(error: BaseException | None) -> bool:
    return "Could not set lock on file" in str(error)


def _holder(error: BaseException | None) -> str:
    match = _HOLDER.search(str(error))
    return f"process {match['pid']} ({match['program']})" if match else "another process"
