"""Three groups, each after the one before it, with their real schedules and sensors on a real Dagster instance.

What the daemon would do with what a schedule or the sensor asks for, `launch` does: it makes the run, with the tags
that the daemon gives it; what a run worker would report, `end` reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property

import dagster as dg
from dagster._core.events import DagsterEvent  # a run's end, as a run worker reports it
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (  # what the UI writes when somebody turns a schedule on or off
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)

from analytics_dagster.automation.due_runs import build_due_runs_sensor
from analytics_dagster.automation.jobs import build_group_job
from analytics_dagster.automation.notes import Trigger
from analytics_dagster.automation.schedules import answer, build_schedule
from analytics_dagster.automation.situation import Order, OrderedGroup, Situation
from analytics_dagster.planning.groups import OnUpstreamFailure, ScheduleGroup

SIX = datetime(2026, 2, 1, 6, tzinfo=timezone.utc)
"""When all three tick."""

NAMES = ("hourly", "nightly", "monthly")


@dg.asset
def hourly_table() -> None: ...


@dg.asset
def nightly_table() -> None: ...


@dg.asset
def monthly_table() -> None: ...


ASSETS = (hourly_table, nightly_table, monthly_table)
ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")


def ordered_groups(
    policy: OnUpstreamFailure = OnUpstreamFailure.WAIT, *, retries: int = 0, running: bool = True
) -> Order:
    """Return the order of the three groups."""
    crons = ("0 * * * *", "0 6 * * *", "0 6 1 * *")
    return Order(
        "shop",
        {
            name: OrderedGroup(
                group=ScheduleGroup(
                    name=name,
                    select=f"tag:{name}",
                    cron=(cron,),
                    time_zone="UTC",
                    on_upstream_failure=policy,
                    retries=retries,
                ),
                assets=frozenset({asset.key}),
                before=NAMES[:place],
            )
            for place, (name, cron, asset) in enumerate(zip(NAMES, crons, ASSETS, strict=True))
        },
        running=running,
    )


@dataclass(frozen=True)
class Shop:
    """The three groups in an instance."""

    instance: dg.DagsterInstance
    order: Order

    @cached_property
    def definitions(self) -> dg.Definitions:
        """Their jobs, schedules and the sensor of due runs."""
        jobs = {
            name: build_group_job(ordered.group, project="shop", nodes=list(ordered.assets), checks=[], consumers=[])
            for name, ordered in self.order.groups.items()
        }
        schedules = [build_schedule(name, job, self.order) for name, job in jobs.items()]
        return dg.Definitions(
            assets=ASSETS,
            jobs=list(jobs.values()),
            schedules=[one for one in schedules if one],
            sensors=[build_due_runs_sensor(list(jobs.values()), self.order)],
        )

    @cached_property
    def _repository(self) -> dg.RepositoryDefinition:
        return self.definitions.get_repository_def()

    def tick(self, name: str, moment: datetime = SIX) -> str:
        """Let a group's schedule tick; return the id of the run that it launched, or why it launched none."""
        found = answer(name, Trigger(moment), Situation(self.instance, self.order))
        if isinstance(found, dg.SkipReason):
            return str(found.skip_message)
        scheduled = {".dagster/scheduled_execution_time": moment.astimezone(timezone.utc).isoformat()}
        return self.launch(name, {**found.tags, **scheduled})

    def requests(self) -> tuple[list[dg.RunRequest], str]:
        """Let the sensor of due runs look; return what it asks for, and else why it asks for nothing."""
        context = dg.build_sensor_context(
            instance=self.instance, repository_def=self._repository, sensor_name="due_runs_sensor"
        )
        found = self._repository.get_sensor_def("due_runs_sensor").evaluate_tick(context)
        return list(found.run_requests or []), found.skip_message or ""

    def look(self) -> dict[str, str]:
        """Let the sensor look, and launch what it asks for; return the run ids by group."""
        requests, _ = self.requests()
        return {str(request.job_name): self.launch(str(request.job_name), request.tags) for request in requests}

    def why(self) -> str:
        """Return why the sensor starts nothing."""
        requests, why = self.requests()
        assert not requests
        return why

    def launch(
        self,
        name: str,
        tags: Mapping[str, str] | None = None,
        status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
        root: str | None = None,
    ) -> str:
        """Make a run of a group's job, or a retry of one, as the daemon makes it; return its id."""
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

    def end(self, run_id: str, end: str = "SUCCESS") -> None:
        """Let a run end: SUCCESS, FAILURE or CANCELED."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        event = DagsterEvent(event_type_value=f"PIPELINE_{end}", job_name=run.job_name)
        self.instance.report_dagster_event(event, run_id=run_id)
        ended = self.instance.get_run_by_id(run_id)
        assert ended is not None
        assert ended.status.value == end

    def turn(self, name: str, status: str, location: str = "here") -> None:
        """Turn a schedule RUNNING or STOPPED, as the UI does."""
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
        state = InstigatorState(
            RemoteInstigatorOrigin(repository, name),
            InstigatorType.SCHEDULE,
            InstigatorStatus[status],
            ScheduleInstigatorData("0 * * * *", 0.0),
        )
        self.instance.add_instigator_state(state)
