"""The schedules of the groups: cron, time zone, default status, previews and ticks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from analytics_dagster.automation.jobs import build_group_job
from analytics_dagster.automation.pending_run_store import Outcome, PendingRunStore, Trigger
from analytics_dagster.automation.run_order import AutomatedGroup, AutomatedGroups
from analytics_dagster.automation.schedules import build_schedule
from analytics_dagster.planning.groups import ScheduleGroup
from tests.unit.automation.three_groups import NAMES, SIX, ThreeGroups, three_groups

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[ThreeGroups]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield ThreeGroups(instance, three_groups())


def schedule_of(**group: object) -> dg.ScheduleDefinition | None:
    one = ScheduleGroup.model_validate({"name": "some", "select": "x", "time_zone": "Europe/Berlin", **group})
    groups = AutomatedGroups("shop", {"some": AutomatedGroup(one, frozenset(), ())}, schedules_on=False)
    job = build_group_job(one, project="shop", nodes=[dg.AssetKey("a")], checks=[], consumers=[])
    return build_schedule("some", job, groups)


@pytest.mark.parametrize(
    ("cron", "expected"), [("0 6 * * *", "0 6 * * *"), (["0 6 * * *", "0 18 * * *"], ["0 6 * * *", "0 18 * * *"])]
)
def test_a_schedule_has_the_crons_and_the_time_zone_of_its_group(cron: object, expected: object) -> None:
    schedule = schedule_of(cron=cron)
    assert schedule is not None
    assert schedule.cron_schedule == expected
    assert schedule.execution_timezone == "Europe/Berlin"
    assert schedule.name == "some_schedule"


def test_a_group_without_a_cron_has_no_schedule() -> None:
    assert schedule_of() is None


def evaluate(groups: ThreeGroups, name: str, context: dg.ScheduleEvaluationContext) -> dg.RunRequest | str:
    found = groups.definitions.resolve_schedule_def(f"{name}_schedule").evaluate_tick(context)
    return found.run_requests[0] if found.run_requests else str(found.skip_message)


def test_a_preview_returns_what_the_tick_would_and_stores_nothing(groups: ThreeGroups) -> None:
    def preview(name: str) -> dg.RunRequest | str:
        # The context of a code server for a preview; an integration test previews through a real code server.
        with dg.ScheduleEvaluationContext(
            groups.instance.get_ref(), SIX, repository_name="__repository__", schedule_name=f"{name}_schedule"
        ) as context:
            return evaluate(groups, name, context)

    assert isinstance(preview("hourly"), dg.RunRequest)
    assert "waits for hourly" in str(preview("nightly"))
    store = PendingRunStore(groups.instance.daemon_cursor_storage, "shop", NAMES)
    assert not any(store[name].ticks for name in NAMES)


def test_a_tick_is_recorded_in_utc_whatever_the_time_zone(groups: ThreeGroups) -> None:
    moment = datetime(2026, 2, 1, 7, tzinfo=BERLIN)
    assert moment == SIX
    for name in ("hourly", "nightly"):
        with dg.build_schedule_context(instance=groups.instance, scheduled_execution_time=moment) as context:
            evaluate(groups, name, context)
    store = PendingRunStore(groups.instance.daemon_cursor_storage, "shop", NAMES)
    outcomes = {name: record.outcome for name in NAMES if (record := store[name].find(Trigger(SIX)))}
    assert outcomes == {"hourly": Outcome.LAUNCHED, "nightly": Outcome.PENDING}


@pytest.mark.parametrize(
    ("day", "hour", "minute"),
    [
        # On the day of the change to summer time there is no 02:30: it ticks at 03:00, with the hourly group.
        (29, 3, 0),
        (28, 2, 30),
    ],
)
def test_shared_ticks_follow_the_daemon_at_the_change_to_summer_time(
    tmp_path: Path, day: int, hour: int, minute: int
) -> None:
    crons = {"hourly": "0 * * * *", "nightly": "30 2 * * *"}
    groups = {
        name: AutomatedGroup(
            ScheduleGroup(name=name, select="x", cron=(cron,), time_zone="Europe/Berlin"),
            frozenset(),
            ("hourly",) if name == "nightly" else (),
        )
        for name, cron in crons.items()
    }
    job = build_group_job(groups["nightly"].group, project="p", nodes=[dg.AssetKey("a")], checks=[], consumers=[])
    schedule = build_schedule("nightly", job, AutomatedGroups("p", groups, schedules_on=True))
    assert schedule is not None
    moment = datetime(2026, 3, day, hour, minute, tzinfo=BERLIN)
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dg.build_schedule_context(instance=instance, scheduled_execution_time=moment) as context,
    ):
        found = schedule.evaluate_tick(context)
    assert bool(found.skip_message) is (day == 29)
