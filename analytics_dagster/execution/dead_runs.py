"""Finds runs whose process was killed, marks them as failed, and frees the pool slots that they hold.

Dagster's default launcher does neither: such a run stays STARTED and keeps its slots. Nor does Dagster end a run that
was created and never queued. The runs of other code locations are left to these: their processes may be out of sight.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import dagster as dg

from analytics_dagster.dagster_internals.runs import executes_all_runs_here
from analytics_dagster.planning.groups import PROJECT_TAG
from analytics_dagster.process_identity import CHILD_TAG, PROCESS_TAG, Liveness, Process, tagged_process

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_EVENT_TOLERANCE = 60.0
"""Seconds by which a process may seem to start after an event that it wrote: the clock may have been changed."""

_SLOTS_EXPIRE_AFTER = 300.0
"""Seconds after which a finished run of an unknown process loses its slots."""

_QUEUED_WITHIN = timedelta(hours=1)
"""How long after its creation a run may be queued: a daemon that was stopped in between queues it when it is back."""


@dataclass(frozen=True)
class RunOwner:
    """Whose runs are judged: the runs of the jobs of a dbt project, and the other runs of its code location.

    Without ``location`` the other runs are those that this package's executor has tagged.
    """

    project: str | None
    location: str | None = None

    @classmethod
    def of(cls, run: dg.DagsterRun) -> RunOwner:
        """Return the owner of a run."""
        origin = run.remote_job_origin
        return cls(run.tags.get(PROJECT_TAG), origin.location_name if origin else None)

    def owns(self, run: dg.DagsterRun) -> bool:
        """Return whether a run belongs to it; a run of the command line has no location."""
        project, origin = run.tags.get(PROJECT_TAG), run.remote_job_origin
        if project and self.project and project != self.project:
            return False
        if origin is None or self.location is None:
            return project is not None or PROCESS_TAG in run.tags
        return bool(origin.location_name == self.location)


@dataclass(frozen=True)
class LivenessResult:
    """Whether a run is still executed, and how that is known."""

    liveness: Liveness
    reason: str


@dataclass(frozen=True)
class DeadRun:
    """A dead run that was marked as failed, or as canceled if its cancellation had been requested."""

    run_id: str
    job: str
    reason: str


def fail_dead_runs(
    instance: dg.DagsterInstance, owner: RunOwner, run_ids: Collection[str] | None = None
) -> list[DeadRun]:
    """Mark the owner's unfinished runs whose process is dead as failed, and free their slots; return those marked.

    ``run_ids`` limits it to some runs. Runs that Dagster itself will resume are left alone. Runs that had finished, or
    were marked by someone else, are not returned, but their slots are freed.
    """
    if run_ids is not None and not run_ids:
        return []
    chosen = None if run_ids is None else list(run_ids)
    dead = []
    for record in instance.get_run_records(filters=dg.RunsFilter(run_ids=chosen, statuses=_UNFINISHED)):
        run = record.dagster_run
        result = _judge(instance, record) if owner.owns(run) else None
        if result is None or result.liveness is not Liveness.DEAD or instance.run_will_resume(run.run_id):
            continue
        # Read again: the process may have reported the end of the run just before it ended.
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            continue
        if now.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, f"The run was being canceled: {result.reason}.")
        else:
            instance.report_run_failed(now, f"The run was cut off: {result.reason}.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        dead.append(DeadRun(run.run_id, run.job_name, result.reason))
    _free_slots_of_finished_runs(instance, owner, chosen)
    return dead


def _judge(instance: dg.DagsterInstance, record: dg.RunRecord) -> LivenessResult:
    """Return whether a run is still executed, or will be."""
    result = check_liveness(instance, record.dagster_run)
    age = datetime.now(timezone.utc) - record.create_timestamp
    is_created = record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED
    if is_created and result.liveness is Liveness.UNKNOWN and age > _QUEUED_WITHIN:
        hours = age.total_seconds() / 3600
        return LivenessResult(Liveness.DEAD, f"it was created {hours:.0f} hours ago and never queued")
    return result


def _free_slots_of_finished_runs(
    instance: dg.DagsterInstance, owner: RunOwner, run_ids: Collection[str] | None
) -> None:
    """Free the slots of finished runs: a run that was marked from outside keeps them if its process is gone."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    holding = storage.get_concurrency_run_ids()
    for run_id in holding if run_ids is None else holding & set(run_ids):
        record = instance.get_run_record_by_id(run_id)
        if record is None:
            storage.free_concurrency_slots_for_run(run_id)
        elif record.dagster_run.is_finished and owner.owns(record.dagster_run):
            liveness = check_liveness(instance, record.dagster_run).liveness
            expired = liveness is Liveness.UNKNOWN and time.time() - (record.end_time or 0.0) > _SLOTS_EXPIRE_AFTER
            if liveness is Liveness.DEAD or expired:
                storage.free_concurrency_slots_for_run(run_id)


def check_liveness(instance: dg.DagsterInstance, run: dg.DagsterRun) -> LivenessResult:
    """Return whether a run's process, or the dbt process that it started, still runs.

    Sources are the run's tags, and a launcher with health checks (dagster-k8s asks for the pod). A run without our
    process tag has another executor, or ended before its first step: then Dagster's own events name the process, which
    counts only if all runs are executed on this machine. Without any of these the result is unknown; such a run holds
    no slot, and Dagster's run monitoring ends it after its start timeout.
    """
    process, child = tagged_process(run, PROCESS_TAG), tagged_process(run, CHILD_TAG)
    results = [_check_process(process) if process else _check_events(instance, run)]
    if child is not None and child.liveness is Liveness.ALIVE:
        results.append(LivenessResult(Liveness.ALIVE, f"its dbt, {child}, is still running"))
    if run.remote_job_origin is not None and run.status is dg.DagsterRunStatus.STARTED:
        results.append(_check_launcher(instance, run))
    return combine(results)


def combine(results: Collection[LivenessResult]) -> LivenessResult:
    """Return the result of several checks: alive if any says so, else dead if any says so, else unknown."""
    for liveness in (Liveness.ALIVE, Liveness.DEAD):
        for result in results:
            if result.liveness is liveness:
                return result
    return LivenessResult(Liveness.UNKNOWN, "; ".join(result.reason for result in results))


def _check_process(process: Process) -> LivenessResult:
    reasons = {
        Liveness.ALIVE: f"{process} executes it",
        Liveness.DEAD: f"{process}, which executed it, has ended (killed, out of memory, or its machine restarted)",
        Liveness.UNKNOWN: f"{process} executes it; this machine is {platform.node()}",
    }
    liveness = process.liveness
    return LivenessResult(liveness, reasons[liveness])


def _check_events(instance: dg.DagsterInstance, run: dg.DagsterRun) -> LivenessResult:
    seen: dict[int, float] = {}
    if executes_all_runs_here(instance):
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            value = entry.dagster_event and entry.dagster_event.engine_event_data.metadata.get("pid")
            if value and str(value.value).isdecimal():
                seen[int(str(value.value))] = entry.timestamp
    if not seen:
        return LivenessResult(Liveness.UNKNOWN, "no tag or event names its process")
    for pid, moment in seen.items():
        now = Process.of(pid)
        if now is not None and now.started <= moment + _EVENT_TOLERANCE:
            return LivenessResult(Liveness.ALIVE, f"process {pid} executes it")
    return LivenessResult(Liveness.DEAD, f"the process that executed it ({', '.join(map(str, seen))}) has ended")


def _check_launcher(instance: dg.DagsterInstance, run: dg.DagsterRun) -> LivenessResult:
    launcher = instance.run_launcher
    if not launcher.supports_check_run_worker_health:
        return LivenessResult(Liveness.UNKNOWN, "its launcher has no health check")
    try:
        health = launcher.check_run_worker_health(run)
    except Exception as error:  # noqa: BLE001 - each launcher has exceptions of its own; a failed check tells nothing
        return LivenessResult(Liveness.UNKNOWN, f"its launcher's health check failed: {error}")
    # By value: the enumeration has no public name.
    known = {"RUNNING": Liveness.ALIVE, "FAILED": Liveness.DEAD, "NOT_FOUND": Liveness.DEAD}
    liveness = Liveness.UNKNOWN if health.transient else known.get(health.status.value, Liveness.UNKNOWN)
    return LivenessResult(liveness, f"its launcher reports {health.status.value} {health.msg or ''}".rstrip())
