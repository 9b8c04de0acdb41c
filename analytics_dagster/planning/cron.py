"""The ticks of a schedule group's cron, as Dagster's daemon computes them, daylight saving time included."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg

from analytics_dagster.planning.groups import ScheduleGroup


def next_ticks(group: ScheduleGroup, after: datetime, count: int) -> list[datetime]:
    """Return the next ticks after a moment, in the group's time zone; none for a group without a cron."""
    ticks = (tick for tick in _ticks(group, after.timestamp()) if tick.timestamp() > after.timestamp())
    return list(itertools.islice(ticks, count))


def ticks_at(group: ScheduleGroup, moment: datetime) -> bool:
    """Return whether the group's cron ticks at exactly this moment."""
    first = next(_ticks(group, moment.timestamp()), None)
    return first is not None and first.timestamp() == moment.timestamp()


def _ticks(group: ScheduleGroup, start: float) -> Iterator[datetime]:
    """Yield the ticks at and after a timestamp, those at the same moment once.

    Timestamps are compared, not datetimes: Python's comparison of datetimes is wrong in the hour that clocks repeat.
    """
    ticks = heapq.merge(*(_ticks_of(cron, group.time_zone or "UTC", start) for cron in group.cron), key=_timestamp)
    for _, same in itertools.groupby(ticks, key=_timestamp):
        yield next(same)


def _ticks_of(cron: str, time_zone: str, start: float) -> Iterator[datetime]:
    # Dagster's windows begin at ticks, and are computed by the daemon's own function, which is private. Another
    # library would differ from the daemon when clocks change.
    windows = dg.TimeWindowPartitionsDefinition(
        cron_schedule=cron,
        timezone=time_zone,
        start=datetime.fromtimestamp(start, ZoneInfo(time_zone)),
        fmt="%Y-%m-%dT%H:%M:%S%z",
    )
    utc = ZoneInfo("UTC")
    while window := windows.get_next_partition_window(datetime.fromtimestamp(start, utc), respect_bounds=False):
        yield window.start
        start = window.start.timestamp() + 1


def _timestamp(tick: datetime) -> float:
    return tick.timestamp()
