"""Locks a DuckDB file for one step at a time, and opens it."""

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
class LockingRun:
    """The run that locks the warehouse."""

    instance: dg.DagsterInstance
    run_id: str
    job: str

    def __str__(self) -> str:
        """Return the run for log lines."""
        return f"run {self.run_id[:8]} of {self.job}"


@dataclass(frozen=True)
class _HolderFile:
    """The file beside a locked DuckDB file that tells waiting processes its holder and the process that it started."""

    holder: str
    child: Process | None = None

    @classmethod
    def read(cls, path: Path) -> _HolderFile | None:
        """Return the content, or None if the file does not exist or is being written."""
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
        """The process that the holder started, if it is still running."""
        return self.child if self.child is not None and self.child.liveness is Liveness.ALIVE else None


class WarehouseLock:
    """A lock on the warehouse, held by one step."""

    def __init__(self, run: LockingRun | None, holder_file: Path | None) -> None:
        self._run = run
        self._path = holder_file
        where = str(Process.current())
        self._content = _HolderFile(f"{where} ({run})" if run else where)
        if holder_file is not None:
            self._content.write(holder_file)

    def record_child(self, pid: int) -> None:
        """Record a child process that writes to the warehouse and may outlive this process.

        The next holder waits for it, and the run counts as alive as long as it runs.
        """
        child = Process.of(pid)
        if child is None:
            return
        self._content = _HolderFile(self._content.holder, child)
        if self._path is not None:
            self._content.write(self._path)
        if self._run is not None:
            self._run.instance.add_run_tags(self._run.run_id, child_tags(self._run.run_id, child))

    def release(self) -> None:
        """Delete the file, unless the child process is still running."""
        if self._path is not None and self._content.survivor is None:
            self._path.unlink(missing_ok=True)


_LOCKED: dict[tuple[int, Path], WarehouseLock] = {}
"""The locks of this process by thread and DuckDB file, since a step may lock its file again."""


@contextmanager
def locked_file(path: Path, run: LockingRun | None) -> Iterator[WarehouseLock]:
    """Lock a DuckDB file against other steps, also those of other Dagster homes.

    Waits without a time limit for the holder, and for the dbt process of a killed holder, and logs what it waits for.
    The operating system releases the lock when this process ends. A thread may lock a file again.
    """
    place = threading.get_ident(), path
    if place in _LOCKED:
        yield _LOCKED[place]
        return
    holder_file = path.with_name(f"{path.name}.holder")
    with _file_lock(path, holder_file):
        lock = _LOCKED[place] = WarehouseLock(run, holder_file)
        try:
            yield lock
        finally:
            del _LOCKED[place]
            lock.release()


@contextmanager
def _file_lock(path: Path, holder_file: Path) -> Iterator[None]:
    """Take the lock of a DuckDB file, then wait until no process of an earlier holder is running."""
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    _waiting(
        retry=tenacity.retry_if_exception_type(Timeout),
        before_sleep=_WaitLog(path, lambda _: _holder_name(_HolderFile.read(holder_file))),
        reraise=True,
    )(_acquire, lock, path)
    try:
        _waiting(
            retry=tenacity.retry_if_result(lambda earlier: earlier is not None and earlier.survivor is not None),
            before_sleep=_WaitLog(path, lambda _: _child_name(_HolderFile.read(holder_file))),
        )(_HolderFile.read, holder_file)
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:  # a subclass of OSError; the caller retries it
        raise
    except OSError as error:
        raise WarehouseError(
            f"The warehouse {path} can't be locked: {error}.",
            remedy=f"Give this user write permission for {path.parent}, where the lock file is.",
        ) from error


def _holder_name(holder_file: _HolderFile | None) -> str:
    return holder_file.holder if holder_file else "another step"


def _child_name(holder_file: _HolderFile | None) -> str:
    return f"dbt, {holder_file.survivor}, started by {holder_file.holder}," if holder_file else "another step's dbt"


def open_duckdb(path: Path, *, timeout: float, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file, waiting up to ``timeout`` seconds for another process that has it open.

    Raises `WarehouseError` that names this process, or the reason why the file can't be opened.
    """
    import duckdb  # 60 MB that a process which only loads the definitions does not need

    if read_only and not path.exists():
        raise NoWarehouseYetError(
            f"The warehouse {path} does not exist yet.", remedy="Build it first: run a schedule group's job."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _waiting(
            retry=tenacity.retry_if_exception(_is_held),
            stop=tenacity.stop_after_delay(timeout),
            before_sleep=_WaitLog(path, _holder_in_error),
            reraise=True,
        )(duckdb.connect, str(path), read_only=read_only)
    except duckdb.IOException as error:
        problem, remedy = f"can't be opened: {error}", "Check the path and its permissions."
        if _is_held(error):
            problem = f"is held by {_holder_in_error(error)}; waited {timeout:g} s."
            variable = variable_name("warehouse_lock_timeout")
            remedy = f"Close it or wait until it ends, then run again; {variable} sets how long to wait."
        raise WarehouseError(f"The warehouse {path} {problem}", remedy=remedy) from error


def _waiting(**how: Any) -> tenacity.Retrying:
    return tenacity.Retrying(wait=tenacity.wait_exponential(multiplier=0.1, max=2.0), **how)


class _WaitLog:
    """Logs the holder at once and every 30 seconds; ``holder`` takes the exception of the last attempt."""

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


def _holder_in_error(error: BaseException | None) -> str:
    match = _HOLDER.search(str(error))
    return f"process {match['pid']} ({match['program']})" if match else "another process"
