"""Who waits for whom: what a tick comes to, and when a run that is due starts or is left out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from analytics_dagster.automation.notes import Answer, GroupNotes, Note, Settlement, Trigger, Wait
from analytics_dagster.automation.order import (
    GRACE,
    Awaited,
    Fate,
    RunState,
    Upstream,
    Verdict,
    answer_ingestion,
    answer_tick,
    await_run,
    decide,
    find_fate,
)
from analytics_dagster.planning.groups import OnUpstreamFailure

SIX = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
EARLIER = Trigger(SIX - HOUR)
TICK = Trigger(SIX)
LATER = Trigger(SIX + HOUR)
LATEST = Trigger(SIX + 2 * HOUR)
INGESTED = Trigger(SIX + timedelta(minutes=3), ingestion="i")

RUN, SKIP, WAIT = OnUpstreamFailure.RUN, OnUpstreamFailure.SKIP, OnUpstreamFailure.WAIT
START, WAITS, LEFT_OUT = Verdict.START, Verdict.WAIT, Verdict.LEAVE_OUT

# --- a trigger ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "upstream", "answer", "waits"),
    [
        ([], [], Answer.LAUNCHED, ()),
        ([], [Upstream("hourly")], Answer.LAUNCHED, ()),
        ([], [Upstream("hourly", (TICK,))], Answer.DUE, (Wait("hourly", (TICK,)),)),
        ([], [Upstream("hourly", going=("a",))], Answer.DUE, (Wait("hourly", runs=("a",)),)),
        ([], [Upstream("hourly", (INGESTED,))], Answer.DUE, (Wait("hourly", (INGESTED,)),)),
        (
            [],
            [Upstream("hourly", (TICK,), ("a",)), Upstream("daily"), Upstream("weekly", (TICK,))],
            Answer.DUE,
            (Wait("hourly", (TICK,), ("a",)), Wait("weekly", (TICK,))),
        ),
        (["x"], [], Answer.SKIPPED, ()),
        (["x"], [Upstream("hourly", (TICK,))], Answer.SKIPPED, ()),
    ],
)
def test_a_tick_launches_its_run_unless_somebody_is_to_be_waited_for_or_the_last_run_goes_on(
    own: list[str], upstream: list[Upstream], answer: Answer, waits: tuple[Wait, ...]
) -> None:
    instead = own[0] if own else None
    assert answer_tick(TICK, own, upstream, SIX, is_due=False) == Note(TICK, answer, SIX, waits, instead)


@pytest.mark.parametrize(
    ("upstream", "waits"), [([], ()), ([Upstream("hourly", (LATER,))], (Wait("hourly", (LATER,)),))]
)
def test_a_tick_joins_what_is_due_already_and_replaces_nothing(
    upstream: list[Upstream], waits: tuple[Wait, ...]
) -> None:
    assert answer_tick(LATER, [], upstream, SIX, is_due=True) == Note(LATER, Answer.JOINED, SIX, waits)
    assert answer_tick(LATER, ["x"], upstream, SIX, is_due=True).instead == "x"


@pytest.mark.parametrize(
    ("own", "upstream", "expected"),
    [
        (Upstream("b"), [], Note(INGESTED, Answer.LAUNCHED, SIX)),
        (Upstream("b", going=("x",)), [], Note(INGESTED, Answer.DUE, SIX, (Wait("b", runs=("x",)),))),
        (Upstream("b"), [Upstream("a", (INGESTED,))], Note(INGESTED, Answer.DUE, SIX, (Wait("a", (INGESTED,)),))),
        (Upstream("b", (TICK,)), [Upstream("a", (INGESTED,))], None),
    ],
)
def test_an_ingestion_is_not_left_out_for_a_run_that_goes_on_but_for_one_that_is_due(
    own: Upstream, upstream: list[Upstream], expected: Note | None
) -> None:
    assert answer_ingestion(INGESTED, own, upstream, SIX) == expected


# --- what became of a trigger -------------------------------------------------------------------------------


def launched(trigger: Trigger) -> Note:
    return Note(trigger, Answer.LAUNCHED, trigger.moment)


def due(trigger: Trigger) -> Note:
    return Note(trigger, Answer.DUE, trigger.moment, (Wait("other", (trigger,)),))


def skipped(trigger: Trigger) -> Note:
    return Note(trigger, Answer.SKIPPED, trigger.moment, instead="x")


def joined(trigger: Trigger) -> Note:
    return Note(trigger, Answer.JOINED, trigger.moment)


def ran(trigger: Trigger) -> Fate:
    return Fate(run_of=trigger, since=trigger.moment)


@pytest.mark.parametrize(
    ("notes", "settled", "fate"),
    [
        ([launched(TICK)], [], ran(TICK)),
        ([launched(TICK), launched(LATER)], [], ran(TICK)),
        ([due(TICK)], [], Fate(coming="is due itself since the tick of 2026-01-01 06:00 UTC")),
        ([due(TICK)], [Settlement(TICK)], ran(TICK)),
        ([due(TICK), launched(LATER)], [Settlement(TICK)], ran(TICK)),
        ([due(TICK)], [Settlement(TICK, left_out="why")], Fate(left_out="why")),
        ([skipped(TICK)], [], Fate(instead="x")),
        ([skipped(TICK), launched(LATER)], [], Fate(instead="x")),
        ([due(TICK), skipped(LATER)], [], Fate(coming="is due itself since the tick of 2026-01-01 06:00 UTC")),
        # Started, and the sensor has not settled it yet.
        ([due(TICK), launched(LATER)], [], ran(TICK)),
        # It joined what was due already.
        ([due(EARLIER), joined(TICK)], [], Fate(coming="is due itself since the tick of 2026-01-01 05:00 UTC")),
        ([due(EARLIER), joined(TICK)], [Settlement(EARLIER)], Fate(run_of=EARLIER, since=SIX)),
        ([due(EARLIER), joined(TICK), launched(LATER)], [Settlement(EARLIER)], Fate(run_of=EARLIER, since=SIX)),
        ([due(EARLIER), skipped(TICK), joined(LATER)], [], Fate(instead="x")),
        # What it joined was left out: it is due itself.
        (
            [due(EARLIER), joined(TICK)],
            [Settlement(EARLIER, left_out="why")],
            Fate(coming="is due itself since the tick of 2026-01-01 06:00 UTC"),
        ),
        ([due(EARLIER), joined(TICK)], [Settlement(EARLIER, left_out="why"), Settlement(TICK)], ran(TICK)),
        # Of several that joined, the last is kept, and stands for the others.
        ([due(EARLIER), joined(LATER)], [Settlement(EARLIER)], Fate(run_of=EARLIER, since=LATER.moment)),
        # The daemon was down, and made up for the last of the ticks alone.
        ([launched(LATER)], [], ran(LATER)),
        ([skipped(LATER)], [], Fate(instead="x")),
    ],
)
def test_the_run_that_stands_for_a_tick_is_found(notes: list[Note], settled: list[Settlement], fate: Fate) -> None:
    earlier = [launched(Trigger(SIX - 2 * HOUR))]
    known = GroupNotes(ticks=(*earlier, *notes), settled=tuple(settled))
    assert find_fate(TICK, known, ticks=True, since=SIX, now=SIX + 5 * HOUR) == fate


@pytest.mark.parametrize(
    ("ticks", "since", "now", "comes"),
    [
        (True, SIX, SIX, True),
        (True, SIX, SIX + GRACE - timedelta(seconds=1), True),
        (True, SIX, SIX + GRACE, False),
        # Somebody who began to wait late gives it the same time: the daemon was down, and comes to it.
        (True, SIX + HOUR, SIX + HOUR + timedelta(seconds=9), True),
        (False, SIX, SIX, False),  # turned off
    ],
)
def test_a_tick_without_a_note_is_waited_for_a_while_and_only_while_its_schedule_is_on(
    *, ticks: bool, since: datetime, now: datetime, comes: bool
) -> None:
    earlier = GroupNotes(ticks=(launched(Trigger(SIX - HOUR)),))
    fate = find_fate(TICK, earlier, ticks=ticks, since=since, now=now)
    assert fate == (Fate(coming="is expected to run at the tick of 2026-01-01 06:00 UTC") if comes else Fate())


def test_ticks_and_ingestions_are_not_mistaken_for_each_other() -> None:
    notes = GroupNotes(ticks=(launched(LATER),), ingestions=(due(INGESTED),))
    assert find_fate(INGESTED, notes, ticks=True, since=SIX, now=SIX).coming == "is due itself since ingestion run i"
    assert find_fate(TICK, notes, ticks=True, since=SIX, now=SIX) == ran(LATER)
    assert find_fate(INGESTED, GroupNotes(), ticks=True, since=SIX, now=SIX) == Fate()


@pytest.mark.parametrize(
    ("fate", "runs", "now", "coming"),
    [
        (ran(TICK), [], SIX + timedelta(seconds=9), True),
        (ran(TICK), [], SIX + GRACE, False),  # it was deleted, or never made
        (ran(TICK), [RunState("a", dg.DagsterRunStatus.QUEUED)], SIX, False),
        (Fate(), [], SIX, False),
        (Fate(coming="x"), [], SIX, True),
    ],
)
def test_a_run_that_was_asked_for_is_given_time_to_appear(
    fate: Fate, runs: list[RunState], now: datetime, *, coming: bool
) -> None:
    awaited = await_run("hourly", fate, runs, counts=True, now=now)
    assert bool(awaited.coming) == coming
    assert awaited.runs == tuple(runs)


# --- the decision -------------------------------------------------------------------------------------------

QUEUED = RunState("q", dg.DagsterRunStatus.QUEUED)
GOING = RunState("g", dg.DagsterRunStatus.STARTED)
CANCELING = RunState("c", dg.DagsterRunStatus.CANCELING)
SUCCEEDED = RunState("s", dg.DagsterRunStatus.SUCCESS)
FAILED = RunState("f", dg.DagsterRunStatus.FAILURE)
CANCELED = RunState("c", dg.DagsterRunStatus.CANCELED)
RETRYING = RunState("r", dg.DagsterRunStatus.FAILURE, will_retry=True)


@pytest.mark.parametrize(
    ("awaited", "run", "skip", "wait"),
    [
        # None came, and none will.
        (Awaited("a"), START, START, START),
        (Awaited("a", coming="is expected"), WAITS, WAITS, WAITS),
        (Awaited("a", runs=(QUEUED,)), WAITS, WAITS, WAITS),
        (Awaited("a", runs=(GOING,)), WAITS, WAITS, WAITS),
        (Awaited("a", runs=(CANCELING,)), WAITS, WAITS, WAITS),
        (Awaited("a", runs=(SUCCEEDED,)), START, START, START),
        (Awaited("a", runs=(FAILED,)), START, LEFT_OUT, LEFT_OUT),
        (Awaited("a", runs=(CANCELED,)), START, LEFT_OUT, LEFT_OUT),
        # Failed, and Dagster will retry it.
        (Awaited("a", runs=(RETRYING,)), START, LEFT_OUT, WAITS),
        (Awaited("a", runs=(QUEUED, FAILED)), START, LEFT_OUT, WAITS),
        (Awaited("a", runs=(GOING, FAILED)), START, LEFT_OUT, WAITS),
        (Awaited("a", runs=(RETRYING, FAILED)), START, LEFT_OUT, WAITS),
        (Awaited("a", runs=(FAILED, FAILED)), START, LEFT_OUT, LEFT_OUT),
        (Awaited("a", runs=(SUCCEEDED, FAILED)), START, LEFT_OUT, START),
        (Awaited("a", runs=(CANCELED, FAILED)), START, LEFT_OUT, LEFT_OUT),
        # It was due itself, and left out.
        (Awaited("a", left_out="why"), START, LEFT_OUT, LEFT_OUT),
        # A run of another trigger is only in the way: its outcome is its own matter.
        (Awaited("a", counts=False, runs=(GOING,)), WAITS, WAITS, WAITS),
        (Awaited("a", counts=False, runs=(FAILED,)), START, START, START),
        (Awaited("a", counts=False, runs=(CANCELED,)), START, START, START),
        (Awaited("a", counts=False, runs=(RETRYING,)), START, WAITS, WAITS),
        (Awaited("a", counts=False, left_out="why"), START, START, START),
    ],
)
def test_a_due_run_waits_starts_or_is_left_out_as_its_group_says(
    awaited: Awaited, run: Verdict, skip: Verdict, wait: Verdict
) -> None:
    assert [decide(policy, [awaited], None).verdict for policy in (RUN, SKIP, WAIT)] == [run, skip, wait]


@pytest.mark.parametrize(
    ("policy", "awaited", "own", "verdict", "reason"),
    [
        (WAIT, [], None, START, ""),
        (WAIT, [], GOING, WAITS, "its own run g is STARTED"),
        (WAIT, [Awaited("a", runs=(SUCCEEDED,)), Awaited("b", runs=(QUEUED,))], None, WAITS, "b's run q is QUEUED"),
        (
            WAIT,
            [Awaited("a", runs=(RETRYING,)), Awaited("b", coming="is expected")],
            None,
            WAITS,
            "a's run r is FAILURE and will be retried; b is expected",
        ),
        # As soon as it is certain, though others go on.
        (WAIT, [Awaited("a", runs=(FAILED,)), Awaited("b", runs=(GOING,))], GOING, LEFT_OUT, "a's run f is FAILURE"),
        (RUN, [Awaited("a", runs=(FAILED,)), Awaited("b", runs=(GOING,))], None, WAITS, "b's run g is STARTED"),
        (RUN, [Awaited("a", runs=(FAILED,)), Awaited("b", runs=(CANCELED,))], None, START, ""),
        (SKIP, [Awaited("a", left_out="why")], None, LEFT_OUT, "a was left out itself (why)"),
    ],
)
def test_all_that_are_waited_for_are_looked_at_and_the_reason_names_them(
    policy: OnUpstreamFailure, awaited: list[Awaited], own: RunState | None, verdict: Verdict, reason: str
) -> None:
    decision = decide(policy, awaited, own)
    assert (decision.verdict, decision.reason) == (verdict, reason)


def test_a_state_that_is_no_end_holds_back() -> None:
    for status in dg.DagsterRunStatus:
        ended = status.value in {"SUCCESS", "FAILURE", "CANCELED"}
        verdict = decide(RUN, [Awaited("a", runs=(RunState("x", status),))], None).verdict
        assert verdict is (START if ended else WAITS), status
