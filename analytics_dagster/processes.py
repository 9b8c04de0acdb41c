"""Which process executes a run, whether it still lives, and an end for the runs whose process does not.

Dagster's default launcher has no answer to it: a run whose process was killed stays STARTED, and keeps the slots that
it held, for ever.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import dagster as dg

PROCESS_TAG = "analytics_dagster/process"
"""The tag of a run that names the process which executes it, and the run: a re-execution has its parent's tags too."""

CHILD_TAG = "analytics_dagster/child_process"
"""The tag that names, in the same way, the process (dbt's) which the run's last step started; that may live on."""

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_TEXT = re.compile(r"(?P<pid>\d+)@(?P<host>\S+) (?P<started>\d+(\.\d+)?) (?P<uptime>-?\d+(\.\d+)?)")
_OF_RUN = " of run "
_TOLERANCE = 2.0
"""How many seconds two readings of one process's start may differ: the machine's own start is known to the second."""

_EVENT_TOLERANCE = 60.0
"""How many seconds before an event its process may seem to have started after it: the clock may have been put right."""

_FORGOTTEN_AFTER = 300.0
"""After how many seconds a finished run of an unknown process gives up its slots."""


class Life(str, Enum):
    """Whether something is still at work."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"
    """Nothing on this machine can tell: whoever asks must take it for alive."""


@dataclass(frozen=True)
class Process:
    """One process of one machine, and never a later one of the same number.

    ``started`` is in seconds since 1970, ``uptime`` in seconds since the machine's own start. Either alone would do if
    nobody ever put a clock right: Linux keeps the second and derives the first, macOS the other way round.
    """

    host: str
    pid: int
    started: float
    uptime: float

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the process of this machine that has the number now, or None if there is none."""
        import psutil  # no load of the location needs it

        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return None
        return cls(platform.node(), pid, started, started - psutil.boot_time())

    @classmethod
    def current(cls) -> Process:
        """Return the process that asks."""
        import psutil  # no load of the location needs it

        started = psutil.Process().create_time()
        return cls(platform.node(), os.getpid(), started, started - psutil.boot_time())

    @classmethod
    def from_text(cls, text: str | None) -> Process | None:
        """Return the process that a text of `to_text` names, or None for any other text."""
        match = _TEXT.fullmatch(text or "")
        if match is None:
            return None
        return cls(match["host"], int(match["pid"]), float(match["started"]), float(match["uptime"]))

    def to_text(self) -> str:
        """Return it in one line, short enough for a tag."""
        return f"{self.pid}@{self.host} {self.started:.2f} {self.uptime:.2f}"

    @property
    def life(self) -> Life:
        """Whether it still runs; unknown for one of another machine."""
        if self.host != platform.node():
            return Life.UNKNOWN
        now = _living(self.pid)
        if now is None:
            return Life.DEAD
        same = abs(now.started - self.started) < _TOLERANCE or abs(now.uptime - self.uptime) < _TOLERANCE
        return Life.ALIVE if same else Life.DEAD

    def __str__(self) -> str:
        """Return it as people name it."""
        return f"process {self.pid} on {self.host}"


def _living(pid: int) -> Process | None:
    """Return the process that has the number; one that has ended and was not yet reaped by its parent does nothing."""
    import psutil  # no load of the location needs it

    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return Process.of(pid)


@dataclass(frozen=True)
class Finding:
    """Whether a run is still at work, and what says so."""

    life: Life
    reason: str


@dataclass(frozen=True)
class DeadRun:
    """A run that was found dead and marked as failed, or as canceled if that had been asked for."""

    run_id: str
    job: str
    reason: str


def is_local(instance: dg.DagsterInstance) -> bool:
    """Return whether all runs of the instance are executed on this machine: its storage is a folder of it."""
    # No public name, and nothing public says that all of an instance's runs are executed on this machine; a test fails
    # when a home on SQLite, stock or ours, is no longer of this class. It brings SQLAlchemy, which no load needs.
    from dagster._core.storage.event_log import SqliteEventLogStorage

    return isinstance(instance.event_log_storage, SqliteEventLogStorage)


def process_tags(run_id: str) -> Mapping[str, str]:
    """Return the tags of a run which say that this process executes it."""
    return {PROCESS_TAG: f"{Process.current().to_text()}{_OF_RUN}{run_id}"}


def child_tags(run_id: str, child: Process) -> Mapping[str, str]:
    """Return the tags of a run which say that it has started another process."""
    return {CHILD_TAG: f"{child.to_text()}{_OF_RUN}{run_id}"}


def is_executed_here(run: dg.DagsterRun) -> bool:
    """Return whether the run's tags say that this process executes it."""
    process = _tagged(run, PROCESS_TAG)
    return process is not None and process.pid == os.getpid() and process.life is Life.ALIVE


def _tagged(run: dg.DagsterRun, tag: str) -> Process | None:
    text, _, run_id = run.tags.get(tag, "").partition(_OF_RUN)
    return Process.from_text(text) if run_id == run.run_id else None


def examine(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Finding:
    """Return whether a run's process, or the dbt that it left behind, is still at work.

    Dead is only what all that can know call dead: this machine, for a process of its own; and the launcher, where it
    looks after what it launched (dagster-k8s asks for the pod). A run without our tag is one of another executor, or
    was cut off before it began; there Dagster's own events name the process, and are believed where all runs are
    executed on one machine. Where they name none, nothing is known: it holds no slot then, and Dagster's run
    monitoring ends it when its time to start is over.
    """
    process, child = _tagged(run, PROCESS_TAG), _tagged(run, CHILD_TAG)
    found = [_of_process(process)] if process else [_of_events(instance, run)]
    if child is not None and child.life is Life.ALIVE:
        found.append(Finding(Life.ALIVE, f"dbt, {child}, which it started, is still at work"))
    if run.remote_job_origin is not None and run.status is dg.DagsterRunStatus.STARTED:
        found.append(_of_launcher(instance, run))
    return conclude(found)


def conclude(found: Collection[Finding]) -> Finding:
    """Return what several witnesses come to: one that saw life is right, and one that knows nothing has no say."""
    for life in (Life.ALIVE, Life.DEAD):
        for finding in found:
            if finding.life is life:
                return finding
    return Finding(Life.UNKNOWN, "; ".join(finding.reason for finding in found))


def _of_process(process: Process) -> Finding:
    reasons = {
        Life.ALIVE: f"{process} executes it",
        Life.DEAD: f"{process}, which executed it, has gone (killed, out of memory, or its machine restarted)",
        Life.UNKNOWN: f"{process} executes it, and this is {platform.node()}",
    }
    return Finding(process.life, reasons[process.life])


def _of_events(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Finding:
    seen = dict(_processes_in_events(instance, run.run_id)) if is_local(instance) else {}
    if not seen:
        return Finding(Life.UNKNOWN, "nothing says which process executes it")
    numbers = ", ".join(str(pid) for pid in seen)
    for pid, moment in seen.items():
        now = _living(pid)
        if now is not None and now.started <= moment + _EVENT_TOLERANCE:
            return Finding(Life.ALIVE, f"process {pid} executes it")
    return Finding(Life.DEAD, f"the process that executed it ({numbers}) has gone")


def _processes_in_events(instance: dg.DagsterInstance, run_id: str) -> Iterator[tuple[int, float]]:
    """Yield the number of each process that worked on a run, and when it last said so."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        value = event.engine_event_data.metadata.get("pid") if event else None
        if value is not None and str(value.value).isdecimal():
            yield int(str(value.value)), entry.timestamp


def _of_launcher(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Finding:
    launcher = instance.run_launcher
    if not launcher.supports_check_run_worker_health:
        return Finding(Life.UNKNOWN, "its launcher does not look after it")
    try:
        health = launcher.check_run_worker_health(run)
    except Exception as error:  # noqa: BLE001 - each launcher has exceptions of its own; one that can't look knows nothing
        return Finding(Life.UNKNOWN, f"its launcher can't look after it: {error}")
    # By its value: the enumeration has no public name.
    life = {"RUNNING": Life.ALIVE, "FAILED": Life.DEAD, "NOT_FOUND": Life.DEAD}.get(health.status.value, Life.UNKNOWN)
    if health.transient:
        life = Life.UNKNOWN
    return Finding(life, f"its launcher says of its worker: {health.status.value} {health.msg or ''}".rstrip())


def fail_dead_runs(instance: dg.DagsterInstance, run_ids: Collection[str] | None = None) -> list[DeadRun]:
    """Mark as failed every unfinished run whose process is dead, and free what dead runs hold; return those marked.

    ``run_ids`` limits it to some runs. A run that Dagster itself will resume is left to it. A run that had
    finished, or was marked as failed by another, is not returned, but gives up its slots too.
    """
    if run_ids is not None and not run_ids:
        return []
    chosen = None if run_ids is None else list(run_ids)
    dead = []
    for run in instance.get_runs(filters=dg.RunsFilter(run_ids=chosen, statuses=_UNFINISHED)):
        finding = examine(instance, run)
        if finding.life is not Life.DEAD or instance.run_will_resume(run.run_id):
            continue
        # Read again: its last act may have been to say how it ended.
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            continue
        if now.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, f"The run was to be canceled, and has ended: {finding.reason}.")
        else:
            instance.report_run_failed(now, f"The run was cut off: {finding.reason}.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        dead.append(DeadRun(run.run_id, run.job_name, finding.reason))
    _free_slots_of_finished_runs(instance, chosen)
    return dead


def _free_slots_of_finished_runs(instance: dg.DagsterInstance, run_ids: Collection[str] | None) -> None:
    """Free what a run still holds though it has ended: it was marked so from outside, when its process was gone."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    holding = storage.get_concurrency_run_ids()
    for run_id in holding if run_ids is None else holding & set(run_ids):
        record = instance.get_run_record_by_id(run_id)
        if record is None:
            storage.free_concurrency_slots_for_run(run_id)
        elif record.dagster_run.is_finished:
            life = examine(instance, record.dagster_run).life
            forgotten = life is Life.UNKNOWN and time.time() - (record.end_time or 0.0) > _FORGOTTEN_AFTER
            if life is Life.DEAD or forgotten:
                storage.free_concurrency_slots_for_run(run_id)
