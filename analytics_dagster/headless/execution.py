"""One job after the other, executed by Dagster in this process."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.headless.home import PROCESS_TAG
from analytics_dagster.headless.narration import narration

_QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class JobResult:
    """What came of a job: its run and whether it succeeded; no run where it was not started, with the reason."""

    job: str
    run_id: str | None
    succeeded: bool
    reason: str = ""


def execute_jobs(
    definitions: dg.Definitions,
    jobs: Sequence[str],
    *,
    instance: dg.DagsterInstance,
    process: str,
    configuration: Mapping[str, Mapping[str, Any]],
) -> list[JobResult]:
    """Execute the jobs in order; those after a failed one are not started, since they read what it builds.

    ``process`` names the lock that this process holds; ``configuration`` is each job's run configuration.
    """
    results: list[JobResult] = []
    for job in jobs:
        failed = next((result.job for result in results if not result.succeeded), None)
        if failed is not None:
            results.append(JobResult(job, None, succeeded=False, reason=f"not started: {failed} failed"))
            continue
        run_id = str(uuid.uuid4())
        with narration(instance, job, run_id):
            outcome = definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                run_config={**_QUIET, **configuration.get(job, {})},
                tags={PROCESS_TAG: process},
            )
        results.append(JobResult(job, run_id, succeeded=outcome.success))
    return results
