"""The ticks of a group's cron, including changes of daylight saving time."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from dagster._core.remote_representation.external import RemoteSchedule
from dagster._utils.schedules import schedule_execution_time_iterator

from analytics_dagster.planning.cron import next_ticks, ticks_at
from analytics_dagster.planning.groups import ScheduleGroup

BERLIN = ZoneInfo("Europe/Berlin")


def group(*cron: str, time_zone: str = "UTC") -> ScheduleGroup:
    return ScheduleGroup(name="a", select="x", cron=cron, time_zone=time_zone)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type] # year, month, day, …


def test_next_ticks_are_after_the_moment_and_in_order() -> None:
    assert next_ticks(group("0 * * * *"), utc(2026, 3, 1, 12), 3) == [
        utc(2026, 3, 1, 13),
        utc(2026, 3, 1, 14),
        utc(2026, 3, 1, 15),
    ]
    assert next_ticks(group("0 * * * *"), utc(2026, 3, 1, 12) - timedelta(microseconds=1), 1) == [utc(2026, 3, 1, 12)]


def test_crons_that_tick_at_the_same_moment_tick_once() -> None:
    both = group("0 6 * * *", "0 */3 * * *")
    assert next_ticks(both, utc(2026, 3, 1), 3) == [utc(2026, 3, 1, 3), utc(2026, 3, 1, 6), utc(2026, 3, 1, 9)]


def test_a_group_without_a_cron_never_ticks() -> None:
    assert next_ticks(group(), utc(2026, 3, 1), 3) == []
    assert not ticks_at(group(), utc(2026, 3, 1))


def test_ticks_are_in_the_groups_time_zone() -> None:
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
def test_a_group_ticks_at_exactly_the_moments_of_its_cron(moment: datetime, *, ticks: bool) -> None:
    assert ticks_at(group("0 12 * * *"), moment) is ticks
    assert ticks_at(group("30 1 * * *", "0 12 * * *"), moment) is ticks


SPRING, AUTUMN = utc(2026, 3, 28, 12), utc(2026, 10, 24, 12)
"""Noon before Berlin's clocks skip an hour (at 1:00 UTC) and repeat one (0:00 to 2:00 UTC is 2:00 to 3:00 twice)."""


@pytest.mark.parametrize(
    ("noon", "cron", "ticks"),
    [
        (SPRING, "30 2 * * *", ["01:00"]),
        (SPRING, "0 3 * * *", ["01:00"]),
        (SPRING, "*/20 2 * * *", ["01:00"]),
        (SPRING, "0 1-4 * * *", ["00:00", "01:00", "02:00"]),
        (AUTUMN, "30 2 * * *", ["01:30"]),
        (AUTUMN, "0 3 * * *", ["02:00"]),
        (AUTUMN, "0 * * * *", [f"{hour % 24:02}:00" for hour in range(12, 36)]),
    ],
)
def test_daily_and_hourly_crons_tick_correctly_when_clocks_change(noon: datetime, cron: str, ticks: list[str]) -> None:
    one = group(cron, time_zone="Europe/Berlin")
    # In UTC, since Python never considers a datetime in the repeated hour equal to one in another zone.
    found = [tick.astimezone(timezone.utc) for tick in next_ticks(one, noon - timedelta(seconds=1), 30)]
    found = [tick for tick in found if tick < noon + timedelta(days=1)]
    assert [tick.strftime("%H:%M") for tick in found] == ticks
    for zone in (timezone.utc, BERLIN):
        moments = [(noon + timedelta(minutes=minutes)).astimezone(zone) for minutes in range(0, 24 * 60, 10)]
        assert [moment.astimezone(timezone.utc) for moment in moments if ticks_at(one, moment)] == found


def test_next_ticks_in_the_repeated_hour_are_after_the_moment() -> None:
    half_past = utc(2026, 10, 25, 0, 30).astimezone(BERLIN)
    assert half_past.strftime("%H:%M") == "02:30"
    found = next_ticks(group("0 * * * *", time_zone="Europe/Berlin"), half_past, 2)
    assert [tick.astimezone(timezone.utc) for tick in found] == [utc(2026, 10, 25, 1), utc(2026, 10, 25, 2)]


@pytest.mark.parametrize("time_zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("moment", [SPRING, AUTUMN, utc(2026, 10, 25, 0, 30), utc(2028, 2, 28)])
@pytest.mark.parametrize(
    "cron",
    [
        ("0 * * * *",),
        ("30 2 * * *",),
        ("*/20 2 * * *", "0 1-4 * * *"),
        ("0 6 * * mon-fri",),
        ("0 0 L * *",),
        ("0 0 29 2 *",),
        ("@daily", "30 2 * * *"),
    ],
)
def test_ticks_are_those_of_the_daemon(cron: tuple[str, ...], moment: datetime, time_zone: str) -> None:
    # The daemon uses this private function; the ticks come from a public class of Dagster.
    ticks = schedule_execution_time_iterator(moment.timestamp(), list(cron), time_zone)
    expected = list(itertools.islice((tick for tick in ticks if tick.timestamp() > moment.timestamp()), 3))
    found = next_ticks(group(*cron, time_zone=time_zone), moment, 3)
    assert [tick.timestamp() for tick in found] == [tick.timestamp() for tick in expected]
    assert [tick.utcoffset() for tick in found] == [tick.utcoffset() for tick in expected]


def test_the_daemon_uses_the_function_that_ticks_are_compared_with() -> None:
    assert RemoteSchedule.execution_time_iterator.__globals__["schedule_execution_time_iterator"] is (
        schedule_execution_time_iterator
    )
    assert "schedule_execution_time_iterator" in RemoteSchedule.execution_time_iterator.__code__.co_names
