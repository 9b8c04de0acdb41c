"""Ticks: when a group's cron says that it runs, across the changes of the clocks."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from analytics_dagster.transform.groups import ScheduleGroup
from analytics_dagster.transform.ticks import next_ticks, ticks_at

BERLIN = ZoneInfo("Europe/Berlin")


def group(*cron: str, time_zone: str = "UTC") -> ScheduleGroup:
    return ScheduleGroup(name="a", select="x", cron=cron, time_zone=time_zone)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type] # year, month, day, …


def test_the_next_ticks_are_later_than_the_moment_and_in_order() -> None:
    assert next_ticks(group("0 * * * *"), utc(2026, 3, 1, 12), 3) == [
        utc(2026, 3, 1, 13),
        utc(2026, 3, 1, 14),
        utc(2026, 3, 1, 15),
    ]
    assert next_ticks(group("0 * * * *"), utc(2026, 3, 1, 12) - timedelta(microseconds=1), 1) == [utc(2026, 3, 1, 12)]


def test_several_crons_tick_together_once_where_they_coincide() -> None:
    both = group("0 6 * * *", "0 */3 * * *")
    assert next_ticks(both, utc(2026, 3, 1), 3) == [utc(2026, 3, 1, 3), utc(2026, 3, 1, 6), utc(2026, 3, 1, 9)]


def test_a_group_without_a_cron_never_ticks() -> None:
    assert next_ticks(group(), utc(2026, 3, 1), 3) == []
    assert not ticks_at(group(), utc(2026, 3, 1))


def test_ticks_are_told_in_the_groups_time_zone() -> None:
    (tick,) = next_ticks(group("0 6 * * *", time_zone="Europe/Berlin"), utc(2026, 7, 1), 1)
    assert tick == utc(2026, 7, 1, 4)
    assert tick.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    ("moment", "ticks"),
    [
        (utc(2026, 3, 1, 12), True),
        (utc(2026, 3, 1, 12, 1), False),
        (utc(2026, 3, 1, 12, 0, 1), False),
        (utc(2026, 3, 1, 11, 59, 59), False),
        (datetime(2026, 3, 1, 13, tzinfo=BERLIN), True),
    ],
)
def test_a_group_ticks_at_just_the_moment_of_its_cron(moment: datetime, *, ticks: bool) -> None:
    assert ticks_at(group("0 12 * * *"), moment) is ticks
    assert ticks_at(group("30 1 * * *", "0 12 * * *"), moment) is ticks


@pytest.mark.parametrize("cron", ["30 2 * * *", "0 * * * *", "0 3 * * *", "*/20 2 * * *"])
@pytest.mark.parametrize("day", [(2026, 3, 28), (2026, 10, 24)])
def test_at_a_change_of_the_clocks_a_group_ticks_when_dagsters_own_schedule_does(
    cron: str, day: tuple[int, int, int]
) -> None:
    # The daemon decides; a tick that only one of the two knows would leave a run waiting for nothing.
    start = utc(*day)
    one = group(cron, time_zone="Europe/Berlin")
    schedule = dg.ScheduleDefinition(job_name="any", cron_schedule=cron, execution_timezone="Europe/Berlin")
    daemons = schedule.execution_time_iterator(start.timestamp())
    expected = [next(daemons) for _ in range(60)]
    assert next_ticks(one, start - timedelta(seconds=1), 60) == expected
    assert all(ticks_at(one, tick) for tick in expected)
    hours = [start + timedelta(minutes=minutes) for minutes in range(0, 48 * 60, 10)]
    assert [hour for hour in hours if ticks_at(one, hour)] == [hour for hour in hours if hour in expected]
