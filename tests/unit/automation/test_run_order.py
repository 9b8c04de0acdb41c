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
    decide_ingestion,
    decide_pending_run,
    decide_tick,
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
    ("own", "upstream", "outcome", "waits"),
    [
        ([], [], Outcome.LAUNCHED, ()),
        ([], [Wait("hourly")], Outcome.LAUNCHED, ()),
        ([], [Wait("hourly", (TICK,))], Outcome.PENDING, (Wait("hourly", (TICK,)),)),
        ([], [Wait("hourly", runs=("a",))], Outcome.PENDING, (Wait("hourly", runs=("a",)),)),
        ([], [Wait("hourly", (INGESTED,))], Outcome.PENDING, (Wait("hourly", (INGESTED,)),)),
        (
            [],
            [Wait("hourly", (TICK,), ("a",)), Wait("daily"), Wait("weekly", (TICK,))],
            Outcome.PENDING,
            (Wait("hourly", (TICK,), ("a",)), Wait("weekly", (TICK,))),
        ),
        (["x"], [], Outcome.SKIPPED, ()),
        (["x"], [Wait("hourly", (TICK,))], Outcome.SKIPPED, ()),
    ],
)
def test_a_tick_launches_a_run_unless_one_is_unfinished_or_upstream_has_work(
    own: list[str], upstream: list[Wait], outcome: Outcome, waits: tuple[Wait, ...]
) -> None:
    covered_by = own[0] if own else None
    expected = TriggerRecord(TICK, outcome, SIX, waits, covered_by)
    assert decide_tick(TICK, own, upstream, SIX, is_pending=False) == expected


@pytest.mark.parametrize(("upstream", "waits"), [([], ()), ([Wait("hourly", (LATER,))], (Wait("hourly", (LATER,)),))])
def test_a_tick_joins_a_pending_run_and_does_not_replace_it(upstream: list[Wait], waits: tuple[Wait, ...]) -> None:
    assert decide_tick(LATER, [], upstream, SIX, is_pending=True) == TriggerRecord(LATER, Outcome.JOINED, SIX, waits)
    assert decide_tick(LATER, ["x"], upstream, SIX, is_pending=True).covered_by == "x"


@pytest.mark.parametrize(
    ("own", "upstream", "expected"),
    [
        (Wait("b"), [], TriggerRecord(INGESTED, Outcome.LAUNCHED, SIX)),
        (Wait("b", runs=("x",)), [], TriggerRecord(INGESTED, Outcome.PENDING, SIX, (Wait("b", runs=("x",)),))),
        (Wait("b"), [Wait("a", (INGESTED,))], TriggerRecord(INGESTED, Outcome.PENDING, SIX, (Wait("a", (INGESTED,)),))),
        (Wait("b", (TICK,)), [Wait("a", (INGESTED,))], None),
    ],
)
def test_after_an_ingestion_a_run_starts_or_waits_unless_one_is_pending(
    own: Wait, upstream: list[Wait], expected: TriggerRecord | None
) -> None:
    assert decide_ingestion(INGESTED, own, upstream, SIX) == expected


# --- the run that covers a trigger --------------------------------------------------------------------------


@dataclass
class FakeLookup:
    """Has a run for each trigger, whose id names the trigger, unless ``has_runs`` is False."""

    has_runs: bool = True

    def runs_of(self, name: str, trigger: Trigger) -> list[RunState]:
        """Return a queued run."""
        return [RunState(f"{name} {trigger}", dg.DagsterRunStatus.QUEUED)] if self.has_runs else []

    def run_and_retries(self, run_id: str) -> list[RunState]:
        """Return a started run."""
        return [RunState(run_id, dg.DagsterRunStatus.STARTED)]


def launched(trigger: Trigger) -> TriggerRecord:
    return TriggerRecord(trigger, Outcome.LAUNCHED, trigger.moment)


def pending(trigger: Trigger) -> TriggerRecord:
    return TriggerRecord(trigger, Outcome.PENDING, trigger.moment, (Wait("other", (trigger,)),))


def skipped(trigger: Trigger) -> TriggerRecord:
    return TriggerRecord(trigger, Outcome.SKIPPED, trigger.moment, covered_by="x")


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


COVERED_BY_X = UpstreamStatus("a", runs=(RunState("x", dg.DagsterRunStatus.STARTED),))
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
        ([skipped(TICK)], [], COVERED_BY_X),
        ([skipped(TICK), launched(LATER)], [], COVERED_BY_X),
        ([pending(TICK), skipped(LATER)], [], PENDING_SINCE_SIX),
        # Started, and not resolved by the sensor yet.
        ([pending(TICK), launched(LATER)], [], ran(TICK)),
        # It joined a pending run.
        ([pending(EARLIER), joined(TICK)], [], PENDING_SINCE_FIVE),
        ([pending(EARLIER), joined(TICK)], [Resolution(EARLIER)], ran(EARLIER)),
        ([pending(EARLIER), joined(TICK), launched(LATER)], [Resolution(EARLIER)], ran(EARLIER)),
        ([pending(EARLIER), skipped(TICK), joined(LATER)], [], COVERED_BY_X),
        # The run that it joined was skipped: it becomes pending.
        ([pending(EARLIER), joined(TICK)], [Resolution(EARLIER, skipped="why")], PENDING_SINCE_SIX),
        ([pending(EARLIER), joined(TICK)], [Resolution(EARLIER, skipped="why"), Resolution(TICK)], ran(TICK)),
        # Of several ticks that joined, only the last is kept. It replaces the others.
        ([pending(EARLIER), joined(LATER)], [Resolution(EARLIER)], ran(EARLIER)),
        # The daemon was down, and evaluated only the last of the missed ticks.
        ([launched(LATER)], [], ran(LATER)),
        ([skipped(LATER)], [], COVERED_BY_X),
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
    assert [decide_pending_run(policy, [status], None).action for policy in (RUN, SKIP, WAIT)] == [run, skip, wait]


@pytest.mark.parametrize(
    ("policy", "statuses", "own", "action", "reason"),
    [
        (WAIT, [], None, START, ""),
        (WAIT, [], GOING, WAITS, "the group's own run g is STARTED"),
        (
            WAIT,
            [UpstreamStatus("a", runs=(SUCCEEDED,)), UpstreamStatus("b", runs=(QUEUED,))],
            None,
            WAITS,
            "b's run q is QUEUED",
        ),
        (
            WAIT,
            [UpstreamStatus("a", runs=(RETRYING,)), UpstreamStatus("b", expected="is expected")],
            None,
            WAITS,
            "a's run r is FAILURE and will be retried; b is expected",
        ),
        # As soon as it is certain, although other runs are unfinished.
        (
            WAIT,
            [UpstreamStatus("a", runs=(FAILED,)), UpstreamStatus("b", runs=(GOING,))],
            GOING,
            SKIPPED,
            "a's run f is FAILURE",
        ),
        (
            RUN,
            [UpstreamStatus("a", runs=(FAILED,)), UpstreamStatus("b", runs=(GOING,))],
            None,
            WAITS,
            "b's run g is STARTED",
        ),
        (RUN, [UpstreamStatus("a", runs=(FAILED,)), UpstreamStatus("b", runs=(CANCELED,))], None, START, ""),
        (SKIP, [UpstreamStatus("a", skipped="why")], None, SKIPPED, "a was skipped (why)"),
    ],
)
def test_the_decision_considers_every_upstream_run_and_the_reason_names_them(
    policy: OnUpstreamFailure, statuses: list[UpstreamStatus], own: RunState | None, action: Action, reason: str
) -> None:
    decision = decide_pending_run(policy, statuses, own)
    assert (decision.action, decision.reason) == (action, reason)


def test_a_pending_run_waits_for_every_unfinished_status() -> None:
    for status in dg.DagsterRunStatus:
        ended = status.value in {"SUCCESS", "FAILURE", "CANCELED"}
        action = decide_pending_run(RUN, [UpstreamStatus("a", runs=(RunState("x", status),))], None).action
        assert action is (START if ended else WAITS), status
