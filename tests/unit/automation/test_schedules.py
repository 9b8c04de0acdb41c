"""The schedules as Dagster sees them: cron, zone, how they start; and a preview that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from analytics_dagster.automation.jobs import build_group_job
from analytics_dagster.automation.notes import Answer, Notebook, Trigger
from analytics_dagster.automation.schedules import build_schedule
from analytics_dagster.automation.situation import Order, OrderedGroup
from analytics_dagster.planning.groups import ScheduleGroup
from tests.unit.automation.ordered import NAMES, SIX, Shop, ordered_groups

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield Shop(instance, ordered_groups())


def schedule_of(**group: object) -> dg.ScheduleDefinition | None:
    one = ScheduleGroup.model_validate({"name": "some", "select": "x", "time_zone": "Europe/Berlin", **group})
    order = Order("shop", {"some": OrderedGroup(one, frozenset(), ())}, running=False)
    job = build_group_job(one, project="shop", nodes=[dg.AssetKey("a")], checks=[], consumers=[])
    return build_schedule("some", job, order)


@pytest.mark.parametrize(
    ("cron", "expected"), [("0 6 * * *", "0 6 * * *"), (["0 6 * * *", "0 18 * * *"], ["0 6 * * *", "0 18 * * *"])]
)
def test_a_schedule_ticks_by_the_crons_of_its_group_in_its_zone(cron: object, expected: object) -> None:
    schedule = schedule_of(cron=cron)
    assert schedule is not None
    assert schedule.cron_schedule == expected
    assert schedule.execution_timezone == "Europe/Berlin"
    assert schedule.name == "some_schedule"


def test_a_group_without_a_cron_has_no_schedule() -> None:
    assert schedule_of() is None


def evaluate(shop: Shop, name: str, context: dg.ScheduleEvaluationContext) -> dg.RunRequest | str:
    found = shop.definitions.resolve_schedule_def(f"{name}_schedule").evaluate_tick(context)
    return found.run_requests[0] if found.run_requests else str(found.skip_message)


def test_a_preview_answers_as_the_tick_would_and_notes_nothing(shop: Shop) -> None:
    def preview(name: str) -> dg.RunRequest | str:
        # As a code server makes the context when no tick of the daemon asks; see also the test with a real one.
        with dg.ScheduleEvaluationContext(
            shop.instance.get_ref(), SIX, repository_name="__repository__", schedule_name=f"{name}_schedule"
        ) as context:
            return evaluate(shop, name, context)

    assert isinstance(preview("hourly"), dg.RunRequest)
    assert "waits for hourly" in str(preview("nightly"))
    notebook = Notebook(shop.instance.daemon_cursor_storage, "shop", NAMES)
    assert not any(notebook[name].ticks for name in NAMES)


def test_a_tick_is_noted_under_its_moment_whatever_the_zone(shop: Shop) -> None:
    moment = datetime(2026, 2, 1, 7, tzinfo=BERLIN)
    assert moment == SIX
    for name in ("hourly", "nightly"):
        with dg.build_schedule_context(instance=shop.instance, scheduled_execution_time=moment) as context:
            evaluate(shop, name, context)
    notebook = Notebook(shop.instance.daemon_cursor_storage, "shop", NAMES)
    answers = {name: note.answer for name in NAMES if (note := notebook[name].of(Trigger(SIX)))}
    assert answers == {"hourly": Answer.LAUNCHED, "nightly": Answer.DUE}


@pytest.mark.parametrize(
    ("day", "hour", "minute"),
    [
        # At the change to summer time 02:30 is not there, and ticks at 03:00, with the hourly one.
        (29, 3, 0),
        (28, 2, 30),
    ],
)
def test_ticks_coincide_as_the_daemon_computes_them_at_the_change_of_the_clocks(
    tmp_path: Path, day: int, hour: int, minute: int
) -> None:
    crons = {"hourly": "0 * * * *", "nightly": "30 2 * * *"}
    groups = {
        name: OrderedGroup(
            ScheduleGroup(name=name, select="x", cron=(cron,), time_zone="Europe/Berlin"),
            frozenset(),
            ("hourly",) if name == "nightly" else (),
        )
        for name, cron in crons.items()
    }
    job = build_group_job(groups["nightly"].group, project="p", nodes=[dg.AssetKey("a")], checks=[], consumers=[])
    schedule = build_schedule("nightly", job, Order("p", groups, running=True))
    assert schedule is not None
    moment = datetime(2026, 3, day, hour, minute, tzinfo=BERLIN)
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dg.build_schedule_context(instance=instance, scheduled_execution_time=moment) as context,
    ):
        found = schedule.evaluate_tick(context)
    assert bool(found.skip_message) is (day == 29)
