"""What a trigger does, which run covers it, and when a pending run starts or is skipped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from analytics_dagster.automation.pending_run_store import (
    GroupRecords,
    Outcome,
    Resolution,
    Trigger,
    TriggerRecord,
    Wait,
)
from analytics_dagster.automation.run_order import (
    GRACE,
    Action,
    RunState,
    UpstreamGroup,
    UpstreamStatus,
    decide_pending_run,
    decide_trigger,
)
from analytics_dagster.planning.groups import OnUpstreamFailure

SIX = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
EARLIER = Trigger(SIX - HOUR)
TICK = Trigger(SIX)
LATER = Trigger(SIX + HOUR)
INGESTED = Trigger(SIX + timedelta(minutes=3), ingestion="i")

RUN, SKIP, WAIT = OnUpstreamFailure.RUN, OnUpstreamFailure.SKIP, OnUpstreamFailure.WAIT
START, WAITS, SKIPPED = Action.START, Action.WAIT, Action.SKIP

# --- triggers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_busy", "upstream", "outcome", "waits"),
    [
        (False, [], Outcome.LAUNCHED, ()),
        (False, [Wait("hourly")], Outcome.LAUNCHED, ()),
        (False, [Wait("hourly", (TICK,))], Outcome.PENDING, (Wait("hourly", (TICK,)),)),
        (False, [Wait("hourly", runs=("a",))], Outcome.PENDING, (Wait("hourly", runs=("a",)),)),
        (False, [Wait("hourly", (INGESTED,))], Outcome.PENDING, (Wait("hourly", (INGESTED,)),)),
        (
            False,
            [Wait("hourly", (TICK,), ("a",)), Wait("daily"), Wait("weekly", (TICK,))],
            Outcome.PENDING,
            (Wait("hourly", (TICK,), ("a",)), Wait("weekly", (TICK,))),
        ),
        (True, [], Outcome.PENDING, ()),
        (True, [Wait("hourly", (TICK,))], Outcome.PENDING, (Wait("hourly", (TICK,)),)),
    ],
)
@pytest.mark.parametrize("trigger", [TICK, INGESTED])
def test_a_trigger_launches_a_run_unless_the_group_is_busy_or_upstream_has_work(
    trigger: Trigger, upstream: list[Wait], outcome: Outcome, waits: tuple[Wait, ...], *, is_busy: bool
) -> None:
    expected = TriggerRecord(trigger, outcome, SIX, waits)
    assert decide_trigger(trigger, upstream, SIX, is_busy=is_busy, is_pending=False) == expected


@pytest.mark.parametrize(("upstream", "waits"), [([], ()), ([Wait("hourly", (LATER,))], (Wait("hourly", (LATER,)),))])
@pytest.mark.parametrize("is_busy", [False, True])
def test_a_trigger_joins_a_pending_run_and_does_not_replace_it(
    upstream: list[Wait], waits: tuple[Wait, ...], *, is_busy: bool
) -> None:
    found = decide_trigger(LATER, upstream, SIX, is_busy=is_busy, is_pending=True)
    assert found == TriggerRecord(LATER, Outcome.JOINED, SIX, waits)


# --- the run that covers a trigger --------------------------------------------------------------------------


@dataclass
class FakeLookup:
    """Has a run for each trigger, whose id names the trigger, unless ``has_runs`` is False."""

    has_runs: bool = True

    def runs_of(self, name: str, trigger: Trigger) -> list[RunState]:
        """Return a queued run."""
        return [RunState(f"{name} {trigger}", dg.DagsterRunStatus.QUEUED)] if self.has_runs else []


def launched(trigger: Trigger) -> TriggerRecord:
    return TriggerRecord(trigger, Outcome.LAUNCHED, trigger.moment)


def pending(trigger: Trigger) -> TriggerRecord:
    return TriggerRecord(trigger, Outcome.PENDING, trigger.moment, (Wait("other", (trigger,)),))


def joined(trigger: Trigger) -> TriggerRecord:
    return TriggerRecord(trigger, Outcome.JOINED, trigger.moment)


def ran(trigger: Trigger) -> UpstreamStatus:
    return UpstreamStatus("a", runs=tuple(FakeLookup().runs_of("a", trigger)))


def expected(reason: str) -> UpstreamStatus:
    return UpstreamStatus("a", expected=reason)


def status(
    trigger: Trigger,
    records: GroupRecords,
    now: datetime,
    *,
    on: bool = True,
    since: datetime = SIX,
    has_runs: bool = True,
) -> UpstreamStatus:
    """Return the status of group a's run for a trigger, for which another group's run waits since a moment."""
    waiting = TriggerRecord(trigger, Outcome.PENDING, since)
    return UpstreamGroup("a", records, on, FakeLookup(has_runs)).status(trigger, waiting, now)


PENDING_SINCE_SIX = expected("has a pending run since the tick of 2026-01-01 06:00 UTC")
PENDING_SINCE_FIVE = expected("has a pending run since the tick of 2026-01-01 05:00 UTC")


@pytest.mark.parametrize(
    ("records", "resolved", "found"),
    [
        ([launched(TICK)], [], ran(TICK)),
        ([launched(TICK), launched(LATER)], [], ran(TICK)),
        ([pending(TICK)], [], PENDING_SINCE_SIX),
        ([pending(TICK)], [Resolution(TICK)], ran(TICK)),
        ([pending(TICK), launched(LATER)], [Resolution(TICK)], ran(TICK)),
        ([pending(TICK)], [Resolution(TICK, skipped="why")], UpstreamStatus("a", skipped="why")),
        # Its run exists, which the sensor finds next.
        ([pending(TICK), launched(LATER)], [], PENDING_SINCE_SIX),
        ([pending(TICK), pending(LATER)], [Resolution(TICK)], ran(TICK)),
        # It joined a pending run.
        ([pending(EARLIER), joined(TICK)], [], PENDING_SINCE_FIVE),
        ([pending(EARLIER), joined(TICK)], [Resolution(EARLIER)], ran(EARLIER)),
        ([pending(EARLIER), joined(TICK), launched(LATER)], [Resolution(EARLIER)], ran(EARLIER)),
        # The run that it joined was skipped: it becomes pending.
        ([pending(EARLIER), joined(TICK)], [Resolution(EARLIER, skipped="why")], PENDING_SINCE_SIX),
        ([pending(EARLIER), joined(TICK)], [Resolution(EARLIER, skipped="why"), Resolution(TICK)], ran(TICK)),
        # Of several ticks that joined, only the last is kept. It replaces the others.
        ([pending(EARLIER), joined(LATER)], [Resolution(EARLIER)], ran(EARLIER)),
        # The daemon was down, and evaluated only the last of the missed ticks.
        ([launched(LATER)], [], ran(LATER)),
    ],
)
def test_the_run_that_covers_a_tick_is_found(
    records: list[TriggerRecord], resolved: list[Resolution], found: UpstreamStatus
) -> None:
    earlier = [launched(Trigger(SIX - 2 * HOUR))]
    known = GroupRecords(ticks=(*earlier, *records), resolutions=tuple(resolved))
    assert status(TICK, known, SIX + 5 * HOUR) == found


@pytest.mark.parametrize(
    ("on", "since", "now", "is_expected"),
    [
        (True, SIX, SIX, True),
        (True, SIX, SIX + GRACE - timedelta(seconds=1), True),
        (True, SIX, SIX + GRACE, False),
        # A run that waits since later gives it the same time: the daemon was down, and evaluates the tick late.
        (True, SIX + HOUR, SIX + HOUR + timedelta(seconds=9), True),
        (False, SIX, SIX, False),
    ],
)
def test_a_tick_without_a_record_is_expected_for_a_while_if_the_schedule_is_on(
    *, on: bool, since: datetime, now: datetime, is_expected: bool
) -> None:
    earlier = GroupRecords(ticks=(launched(Trigger(SIX - HOUR)),))
    reason = "is expected to run at the tick of 2026-01-01 06:00 UTC" if is_expected else ""
    assert status(TICK, earlier, now, on=on, since=since) == expected(reason)


def test_records_of_ticks_and_of_ingestions_are_separate() -> None:
    records = GroupRecords(ticks=(launched(LATER),), ingestions=(pending(INGESTED),))
    assert status(INGESTED, records, SIX) == expected("has a pending run since ingestion run i")
    assert status(TICK, records, SIX) == ran(LATER)
    assert status(INGESTED, GroupRecords(), SIX) == UpstreamStatus("a")


@pytest.mark.parametrize(
    ("records", "has_runs", "now", "is_expected"),
    [
        ([launched(TICK)], False, SIX + timedelta(seconds=9), True),
        ([launched(TICK)], False, SIX + GRACE, False),  # it was deleted, or never created
        ([launched(TICK)], True, SIX, False),
        # The time counts from the record of the tick, also if an earlier run covers it.
        ([pending(EARLIER), joined(TICK)], False, SIX + timedelta(seconds=9), True),
        ([pending(EARLIER), joined(LATER)], False, SIX + HOUR + timedelta(seconds=9), True),
    ],
)
def test_a_requested_run_is_expected_for_a_while(
    records: list[TriggerRecord], now: datetime, *, has_runs: bool, is_expected: bool
) -> None:
    known = GroupRecords(ticks=tuple(records), resolutions=(Resolution(EARLIER),))
    found = status(TICK, known, now, on=False, has_runs=has_runs)
    assert found.expected == ("has requested a run" if is_expected else "")
    assert bool(found.runs) is has_runs


def test_the_result_counts_only_of_a_run_with_the_same_trigger() -> None:
    waiting = pending(LATER)
    found = UpstreamGroup("a", GroupRecords(ticks=(launched(TICK),)), True, FakeLookup()).status(TICK, waiting, SIX)  # noqa: FBT003
    assert not found.counts
    assert found.runs == ran(TICK).runs


# --- the decision -------------------------------------------------------------------------------------------

QUEUED = RunState("q", dg.DagsterRunStatus.QUEUED)
GOING = RunState("g", dg.DagsterRunStatus.STARTED)
CANCELING = RunState("c", dg.DagsterRunStatus.CANCELING)
SUCCEEDED = RunState("s", dg.DagsterRunStatus.SUCCESS)
FAILED = RunState("f", dg.DagsterRunStatus.FAILURE)
CANCELED = RunState("c", dg.DagsterRunStatus.CANCELED)
RETRYING = RunState("r", dg.DagsterRunStatus.FAILURE, will_retry=True)
BUSY = "the group's own run g is STARTED"


@pytest.mark.parametrize(
    ("status", "run", "skip", "wait"),
    [
        # There is no run, and none is expected.
        (UpstreamStatus("a"), START, START, START),
        (UpstreamStatus("a", expected="is expected"), WAITS, WAITS, WAITS),
        (UpstreamStatus("a", runs=(QUEUED,)), WAITS, WAITS, WAITS),
        (UpstreamStatus("a", runs=(GOING,)), WAITS, WAITS, WAITS),
        (UpstreamStatus("a", runs=(CANCELING,)), WAITS, WAITS, WAITS),
        (UpstreamStatus("a", runs=(SUCCEEDED,)), START, START, START),
        (UpstreamStatus("a", runs=(FAILED,)), START, SKIPPED, SKIPPED),
        (UpstreamStatus("a", runs=(CANCELED,)), START, SKIPPED, SKIPPED),
        # Failed, with a retry to come.
        (UpstreamStatus("a", runs=(RETRYING,)), START, SKIPPED, WAITS),
        (UpstreamStatus("a", runs=(QUEUED, FAILED)), START, SKIPPED, WAITS),
        (UpstreamStatus("a", runs=(GOING, FAILED)), START, SKIPPED, WAITS),
        (UpstreamStatus("a", runs=(RETRYING, FAILED)), START, SKIPPED, WAITS),
        (UpstreamStatus("a", runs=(FAILED, FAILED)), START, SKIPPED, SKIPPED),
        (UpstreamStatus("a", runs=(SUCCEEDED, FAILED)), START, SKIPPED, START),
        (UpstreamStatus("a", runs=(CANCELED, FAILED)), START, SKIPPED, SKIPPED),
        # It was pending, and skipped.
        (UpstreamStatus("a", skipped="why"), START, SKIPPED, SKIPPED),
        # The run of another trigger is waited for, and its result is ignored.
        (UpstreamStatus("a", counts=False, runs=(GOING,)), WAITS, WAITS, WAITS),
        (UpstreamStatus("a", counts=False, runs=(FAILED,)), START, START, START),
        (UpstreamStatus("a", counts=False, runs=(CANCELED,)), START, START, START),
        (UpstreamStatus("a", counts=False, runs=(RETRYING,)), START, WAITS, WAITS),
        (UpstreamStatus("a", counts=False, skipped="why"), START, START, START),
    ],
)
def test_a_pending_run_waits_starts_or_is_skipped_by_its_groups_policy(
    status: UpstreamStatus, run: Action, skip: Action, wait: Action
) -> None:
    assert [decide_pending_run(policy, [status], []).action for policy in (RUN, SKIP, WAIT)] == [run, skip, wait]


@pytest.mark.parametrize(
    ("policy", "statuses", "own", "action", "reason"),
    [
        (WAIT, [], [], START, ""),
        (WAIT, [], [BUSY], WAITS, BUSY),
        (SKIP, [], [BUSY, "its last run x is FAILURE"], WAITS, f"{BUSY}; its last run x is FAILURE"),
        (
            WAIT,
            [UpstreamStatus("a", runs=(SUCCEEDED,)), UpstreamStatus("b", runs=(QUEUED,))],
            [],
            WAITS,
            "b's run q is QUEUED",
        ),
        (
            WAIT,
            [UpstreamStatus("a", runs=(RETRYING,)), UpstreamStatus("b", expected="is expected")],
            [],
            WAITS,
            "a's run r is FAILURE and will be retried; b is expected",
        ),
        # As soon as it is certain, although other runs are unfinished.
        (
            WAIT,
            [UpstreamStatus("a", runs=(FAILED,)), UpstreamStatus("b", runs=(GOING,))],
            [BUSY],
            SKIPPED,
            "a's run f is FAILURE",
        ),
        (
            RUN,
            [UpstreamStatus("a", runs=(FAILED,)), UpstreamStatus("b", runs=(GOING,))],
            [],
            WAITS,
            "b's run g is STARTED",
        ),
        (RUN, [UpstreamStatus("a", runs=(FAILED,)), UpstreamStatus("b", runs=(CANCELED,))], [], START, ""),
        (SKIP, [UpstreamStatus("a", skipped="why")], [], SKIPPED, "a was skipped (why)"),
    ],
)
def test_the_decision_considers_every_upstream_run_and_the_reason_names_them(
    policy: OnUpstreamFailure, statuses: list[UpstreamStatus], own: list[str], action: Action, reason: str
) -> None:
    decision = decide_pending_run(policy, statuses, own)
    assert (decision.action, decision.reason) == (action, reason)


def test_a_pending_run_waits_for_every_unfinished_status() -> None:
    for status in dg.DagsterRunStatus:
        ended = status.value in {"SUCCESS", "FAILURE", "CANCELED"}
        action = decide_pending_run(RUN, [UpstreamStatus("a", runs=(RunState("x", status),))], []).action
        assert action is (START if ended else WAITS), status
