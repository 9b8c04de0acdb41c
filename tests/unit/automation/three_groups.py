"""Three groups, each downstream of the one before it, with their schedules and sensors on a real Dagster instance.

`launch` replaces the daemon: it creates the requested run, with the daemon's tags. `end` replaces the run worker: it
reports the end of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property

import dagster as dg
from dagster._core.events import DagsterEvent  # a run worker reports the end of a run with it
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (  # the UI stores them when somebody turns a schedule on or off
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.jobs import build_group_job
from analytics_dagster.automation.pending_run_store import Trigger
from analytics_dagster.automation.pending_runs import build_pending_runs_sensor
from analytics_dagster.automation.run_order import AutomatedGroup, AutomatedGroups
from analytics_dagster.automation.schedules import build_schedule, evaluate_tick
from analytics_dagster.planning.groups import OnUpstreamFailure, ScheduleGroup

SIX = datetime(2026, 2, 1, 6, tzinfo=timezone.utc)
"""A moment at which all three groups tick."""

NAMES = ("hourly", "nightly", "monthly")


@dg.asset
def hourly_table() -> None: ...


@dg.asset
def hourly_part() -> None: ...


@dg.asset
def nightly_table() -> None: ...


@dg.asset
def monthly_table() -> None: ...


ASSETS = (hourly_table, nightly_table, monthly_table)
ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")


def three_groups(
    policy: OnUpstreamFailure = OnUpstreamFailure.WAIT, *, retries: int = 0, schedules_on: bool = True
) -> AutomatedGroups:
    """Return the three groups, upstream first."""
    crons = ("0 * * * *", "0 6 * * *", "0 6 1 * *")
    return AutomatedGroups(
        "shop",
        {
            name: AutomatedGroup(
                group=ScheduleGroup(
                    name=name,
                    select=f"tag:{name}",
                    cron=(cron,),
                    time_zone="UTC",
                    on_upstream_failure=policy,
                    retries=retries,
                ),
                assets=frozenset({asset.key, *([hourly_part.key] if asset is hourly_table else [])}),
                upstream=NAMES[:place],
            )
            for place, (name, cron, asset) in enumerate(zip(NAMES, crons, ASSETS, strict=True))
        },
        schedules_on=schedules_on,
    )


@dataclass(frozen=True)
class ThreeGroups:
    """The three groups on an instance."""

    instance: dg.DagsterInstance
    groups: AutomatedGroups

    @cached_property
    def definitions(self) -> dg.Definitions:
        """Their jobs and schedules, and the sensor of pending runs."""
        jobs = {
            name: build_group_job(one.group, project="shop", nodes=list(one.assets), checks=[], consumers=[])
            for name, one in self.groups.by_name.items()
        }
        schedules = [build_schedule(name, job, self.groups) for name, job in jobs.items()]
        return dg.Definitions(
            assets=[*ASSETS, hourly_part],
            jobs=list(jobs.values()),
            schedules=[one for one in schedules if one],
            sensors=[build_pending_runs_sensor(list(jobs.values()), self.groups)],
        )

    @cached_property
    def _repository(self) -> dg.RepositoryDefinition:
        return self.definitions.get_repository_def()

    def tick(self, name: str, moment: datetime = SIX) -> str:
        """Evaluate a group's schedule; return the id of the run that it launched, or the skip reason."""
        found = evaluate_tick(name, Trigger(moment), InstanceSnapshot(self.instance, self.groups))
        if isinstance(found, dg.SkipReason):
            return str(found.skip_message)
        scheduled = {".dagster/scheduled_execution_time": moment.astimezone(timezone.utc).isoformat()}
        return self.launch(name, {**found.tags, **scheduled})

    def evaluate_sensor(self) -> tuple[list[dg.RunRequest], str]:
        """Evaluate the sensor of pending runs; return its run requests and its skip reason."""
        context = dg.build_sensor_context(
            instance=self.instance, repository_def=self._repository, sensor_name="due_runs_sensor"
        )
        found = self._repository.get_sensor_def("due_runs_sensor").evaluate_tick(context)
        return list(found.run_requests or []), found.skip_message or ""

    def start_pending(self) -> dict[str, str]:
        """Evaluate the sensor of pending runs, and launch the requested runs; return their ids by group."""
        requests, _ = self.evaluate_sensor()
        return {str(request.job_name): self.launch(str(request.job_name), request.tags) for request in requests}

    def skip_reason(self) -> str:
        """Evaluate the sensor of pending runs, which requests no run; return its skip reason."""
        requests, reason = self.evaluate_sensor()
        assert not requests
        return reason

    def launch(
        self,
        name: str,
        tags: Mapping[str, str] | None = None,
        status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
        root: str | None = None,
    ) -> str:
        """Create a run of a group's job, or a retry of ``root``, as the daemon does; return its id."""
        job = self._repository.get_job(name)
        family = {"dagster/root_run_id": root, "dagster/parent_run_id": root} if root else {}
        run = self.instance.create_run_for_job(
            job,
            tags={**job.run_tags, **(tags or {}), **family},
            status=status,
            root_run_id=root,
            parent_run_id=root,
            remote_job_origin=ORIGIN.get_job_origin(name),
        )
        return run.run_id

    def launch_part(self) -> str:
        """Create a run of the hourly group's job with one of its two assets, as the UI does; return its id."""
        part = frozenset({hourly_part.key})
        job = self._repository.get_job("hourly").get_subset(asset_selection=part)
        return self.instance.create_run_for_job(job, tags=job.run_tags, asset_selection=part).run_id

    def end(self, run_id: str, end: str = "SUCCESS") -> None:
        """Report the end of a run: SUCCESS, FAILURE or CANCELED."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        event = DagsterEvent(event_type_value=f"PIPELINE_{end}", job_name=run.job_name)
        self.instance.report_dagster_event(event, run_id=run_id)
        ended = self.instance.get_run_by_id(run_id)
        assert ended is not None
        assert ended.status.value == end

    def turn(self, name: str, status: str, location: str = "here") -> None:
        """Set a schedule to RUNNING or STOPPED, as the UI does."""
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
        state = InstigatorState(
            RemoteInstigatorOrigin(repository, name),
            InstigatorType.SCHEDULE,
            InstigatorStatus[status],
            ScheduleInstigatorData("0 * * * *", 0.0),
        )
        self.instance.add_instigator_state(state)
