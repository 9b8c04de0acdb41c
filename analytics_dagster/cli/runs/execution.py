"""Jobs executed by Dagster in this process, one after the other, through the executor that the UI's runs have too."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

# What `dg.execute_job` does by public names it does with neither a run id of ours nor a selection of checks.
# `tests/unit/execution/test_run.py` fails when one of these is called otherwise.
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run
from dagster._core.snap import snapshot_from_execution_plan
from dagster._utils.interrupts import capture_interrupts

from analytics_dagster.automation.retry_decision import NUMBER, PARENT, ROOT, kept_tags
from analytics_dagster.cli.runs.live_display import live_display
from analytics_dagster.process_identity import process_tags

_QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class JobRequest:
    """What of one job is to be run.

    ``assets`` is None for the whole job; ``checks`` goes with ``assets``, and is None for all checks of these.
    ``after`` names the jobs whose failure keeps this one from being started. ``parent`` is the run that it retries, and
    ``number`` counts the retries that were made without being asked for.
    """

    job: str
    assets: frozenset[dg.AssetKey] | None = None
    checks: frozenset[dg.AssetCheckKey] | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    after: frozenset[str] = frozenset()
    parent: dg.DagsterRun | None = None
    number: int = 0


Retrier = Callable[[JobRequest, str], JobRequest | None]
"""Says what is to be run again of a work whose run has failed, when it is time; None where nothing is."""


@dataclass(frozen=True)
class JobResult:
    """What came of a job: its run and whether it succeeded; no run where it was not started, with the reason.

    ``earlier`` are the runs that had failed before it, the first first, and of which it has run again what was left.
    """

    job: str
    run_id: str | None
    succeeded: bool
    reason: str = ""
    earlier: tuple[str, ...] = ()


def execute_jobs(
    definitions: dg.Definitions,
    works: Sequence[JobRequest],
    *,
    instance: dg.DagsterInstance,
    retrier: Retrier | None = None,
) -> list[JobResult]:
    """Execute the jobs in order, and return what came of each; ``again`` is asked whenever one has failed.

    One that failed, or was not started, keeps those from being started that name it in ``after``; the others go
    on. Ctrl-C cancels the run that goes on, or the wait for the next, and no other is started.
    """
    results: list[JobResult] = []
    interrupted = False
    for work in works:
        obstacle = "interrupted" if interrupted else _obstacle(work, results)
        if obstacle:
            results.append(JobResult(work.job, None, succeeded=False, reason=f"not started: {obstacle}"))
            continue
        left: JobRequest | None = work
        earlier: list[str] = []
        while left is not None:
            run_id = str(uuid.uuid4())
            with live_display(instance, work.job, run_id):
                status = _execute(definitions, left, instance, run_id)
            interrupted = status is dg.DagsterRunStatus.CANCELED
            failed, left = left, None
            if retrier is not None and status is dg.DagsterRunStatus.FAILURE:
                try:
                    left = retrier(failed, run_id)
                except KeyboardInterrupt:
                    interrupted = True
            earlier += [run_id]
        succeeded = status is dg.DagsterRunStatus.SUCCESS
        reason = "canceled" if interrupted else ""
        results.append(JobResult(work.job, earlier[-1], succeeded, reason=reason, earlier=tuple(earlier[:-1])))
    return results


def _obstacle(work: JobRequest, results: Collection[JobResult]) -> str:
    """Return why a job can't be started, or nothing."""
    for result in results:
        if result.job in work.after and not result.succeeded:
            return f"{result.job} {'failed' if result.run_id else 'was not started'}"
    return ""


def _execute(
    definitions: dg.Definitions, work: JobRequest, instance: dg.DagsterInstance, run_id: str
) -> dg.DagsterRunStatus:
    whole = definitions.resolve_job_def(work.job)
    job = whole.get_subset(asset_selection=work.assets, asset_check_selection=work.checks)
    configuration = {**_QUIET, **work.configuration}
    root = (work.parent.root_run_id or work.parent.run_id) if work.parent else None
    family = {**kept_tags(work.parent), PARENT: work.parent.run_id, ROOT: str(root)} if work.parent else {}
    family |= {NUMBER: str(work.number)} if work.number else {}
    tags = {**job.run_tags, **family, **process_tags(run_id)}
    plan = create_execution_plan(
        job,
        run_config=configuration,
        instance_ref=instance.get_ref() if instance.is_persistent else None,
        tags=tags,
    )
    # From here on until the run has ended a Ctrl-C waits until Dagster asks for it, which it does in every step.
    with capture_interrupts():
        run = instance.create_run(
            job_name=job.name,
            run_id=run_id,
            run_config=configuration,
            status=None,
            tags=tags,
            root_run_id=root,
            parent_run_id=work.parent.run_id if work.parent else None,
            step_keys_to_execute=plan.step_keys_to_execute,
            execution_plan_snapshot=snapshot_from_execution_plan(plan, job.get_job_snapshot_id()),
            job_snapshot=job.get_job_snapshot(),
            parent_job_snapshot=job.get_parent_job_snapshot(),
            asset_selection=work.assets,
            asset_check_selection=work.checks,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=None,
            job_code_origin=None,
            asset_graph=job.asset_layer.asset_graph,
        )
        return execute_run(InMemoryJob(whole), run, instance).dagster_run.status
