"""What is left of a run that failed, as what Dagster executes: `analytics-dagster retry`."""

from __future__ import annotations

import dagster as dg

from analytics_dagster.automation.jobs import INGESTION, PROJECT_TAG
from analytics_dagster.automation.retrying import PARENT
from analytics_dagster.errors import HomeError
from analytics_dagster.failures.leftover import Leftover, find_leftover
from analytics_dagster.headless.execution import Work

_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_MOST_LOOKED_AT = 50


def retried_work(
    instance: dg.DagsterInstance, project: str, run_id: str | None
) -> tuple[dg.DagsterRun, Work | None, Leftover]:
    """Return the run to retry, what of it is left to do, and that as a work; None where nothing is left.

    Without an id it is the last run of the project that failed, or was canceled, and was not run again since. Raises
    `HomeError` where there is none, or it goes on.
    """
    run = _named(instance, run_id) if run_id else _last(instance, project)
    leftover = find_leftover(instance, run.run_id)
    if not leftover:
        return run, None, leftover
    work = Work(run.job_name, leftover.assets, leftover.checks, configuration=run.run_config, parent=run)
    return run, work, leftover


def _named(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise HomeError(
            f"There is no run {run_id} in this Dagster home.", remedy="Name one by its whole id, or none for the last."
        )
    if not run.is_finished:
        raise HomeError(f"The run {run_id} goes on.", remedy="Wait for its end, or cancel it.")
    return run


def _last(instance: dg.DagsterInstance, project: str) -> dg.DagsterRun:
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_FAILED), limit=_MOST_LOOKED_AT):
        ours = run.tags.get(PROJECT_TAG) == project or run.job_name == INGESTION
        if ours and not instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run.run_id}), limit=1):
            return run
    raise HomeError("No run has failed that was not run again since.", remedy="Name a run by its id, if one is meant.")
