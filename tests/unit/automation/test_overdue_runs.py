"""Runs of schedule groups that wait for longer than a limit are found with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.overdue_runs import OverdueRun, find_overdue
from tests.unit.automation.three_groups import SIX, ThreeGroups, three_groups

LIMIT = timedelta(hours=3)


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[ThreeGroups]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield ThreeGroups(instance, three_groups())


def found(groups: ThreeGroups, hours: float) -> list[OverdueRun]:
    """Find the overdue runs some hours from now."""
    now = datetime.now(timezone.utc) + timedelta(hours=hours)
    return find_overdue(InstanceSnapshot(groups.instance, groups.groups, now=now), LIMIT)


def test_a_pending_run_is_overdue_after_the_limit_with_what_it_waits_for(groups: ThreeGroups) -> None:
    hourly = groups.tick("hourly")
    groups.tick("nightly")
    groups.tick("hourly", SIX + timedelta(hours=1))
    assert found(groups, 2.9) == []
    assert {(one.group, one.reason) for one in found(groups, 3.1)} == {
        ("hourly", f"the group's own run {hourly} is STARTED"),
        ("nightly", f"hourly's run {hourly} is STARTED"),
    }


def test_a_pending_run_that_could_start_shows_that_the_sensor_does_not_run(groups: ThreeGroups) -> None:
    groups.end(groups.tick("hourly"))
    groups.tick("nightly")
    [one] = found(groups, 3.1)
    assert one.reason.startswith("due_runs_sensor does not start it")
    # Its run exists.
    groups.start_pending()
    assert found(groups, 3.1) == []


@pytest.mark.parametrize(
    ("status", "is_overdue"),
    [("QUEUED", True), ("NOT_STARTED", True), ("STARTING", True), ("STARTED", False), ("CANCELING", False)],
)
def test_a_run_that_does_not_leave_dagsters_queue_is_overdue(
    groups: ThreeGroups, status: str, *, is_overdue: bool
) -> None:
    run = groups.launch("hourly", status=dg.DagsterRunStatus[status])
    assert found(groups, 2.9) == []
    reasons = [one.reason for one in found(groups, 3.1)]
    assert reasons == ([f"its run {run} is {status} in Dagster's queue"] if is_overdue else [])
