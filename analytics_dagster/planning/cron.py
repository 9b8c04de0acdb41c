"""When a schedule group's cron ticks, computed as Dagster's own daemon computes it, daylight saving and all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime

# Nothing public iterates over ticks, and another library's reading of a cron would differ from the daemon's where it
# matters: at the change of the clocks. A test fails when the name is gone.
from dagster._utils.schedules import schedule_execution_time_iterator

from analytics_dagster.planning.groups import ScheduleGroup


def next_ticks(group: ScheduleGroup, after: datetime, count: int) -> list[datetime]:
    """Return the next ticks later than a moment, in the group's time zone; none for a group without a cron."""
    found = (tick for tick in _ticks(group, after.timestamp()) if tick.timestamp() > after.timestamp())
    return list(itertools.islice(found, count))


def ticks_at(group: ScheduleGroup, moment: datetime) -> bool:
    """Return whether the group's cron ticks at exactly this moment."""
    first = next(_ticks(group, moment.timestamp()), None)
    return first is not None and first.timestamp() == moment.timestamp()


def _ticks(group: ScheduleGroup, start: float) -> Iterator[datetime]:
    """Yield the ticks from a moment on, none of them earlier; the moment is a timestamp.

    So are all comparisons: of two datetimes in the hour that a zone's clocks repeat, Python says that they differ
    where they are the same moment, and the same where they differ.
    """
    if not group.cron:
        return
    cron = group.cron[0] if len(group.cron) == 1 else list(group.cron)
    yield from schedule_execution_time_iterator(start, cron, group.time_zone)
