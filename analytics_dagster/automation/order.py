"""In which order the runs of several groups start: what a trigger comes to, and when a due run may start. Pure.

Where a group and one that it reads tick at the same moment, the downstream run is not launched by its schedule, but
noted as due; the sensor of due runs starts it when those upstream have ended. The queue can't do that: it orders what
is queued together and no more, and takes the next run as soon as a slot is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import dagster as dg

from analytics_dagster.automation.notes import Answer, GroupNotes, Note, Trigger, Wait
from analytics_dagster.planning.groups import OnUpstreamFailure

GRACE = timedelta(minutes=2)
"""How long a tick that is expected may be late, and a run that a schedule has asked for: the daemon evaluates the
schedules of one minute one after the other, and may itself have been down."""

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
"""How a run ends."""

# One that is managed outside of Dagster is none of ours.
UNFINISHED = tuple(one for one in dg.DagsterRunStatus if one not in (*ENDED, dg.DagsterRunStatus.MANAGED))
"""The states of a run that is queued, starting or going."""


@dataclass(frozen=True)
class Upstream:
    """What a group sees of one before it when it is triggered itself.

    ``triggers`` are those whose runs are still to come: the same trigger, where it is this group's too, and what is
    due there; ``going`` are ids of its unfinished runs.
    """

    name: str
    triggers: tuple[Trigger, ...] = ()
    going: tuple[str, ...] = ()


def answer_tick(
    trigger: Trigger, own: Sequence[str], upstream: Sequence[Upstream], now: datetime, *, is_due: bool
) -> Note:
    """Return what a group does at a tick.

    ``own`` are ids of its unfinished runs, the oldest first. Two runs of one group never overlap, and a tick is not
    queued up: the run that is going stands for it. So does one that ``is_due`` since an earlier tick: were it replaced,
    and waited for those upstream anew, a group might never run whose upstream takes longer than from tick to tick.
    """
    if own:
        return Note(trigger, Answer.SKIPPED, now, instead=own[0])
    waits = tuple(_waits(upstream))
    if is_due:
        return Note(trigger, Answer.JOINED, now, waits)
    return Note(trigger, Answer.DUE if waits else Answer.LAUNCHED, now, waits)


def answer_ingestion(trigger: Trigger, own: Upstream, upstream: Sequence[Upstream], now: datetime) -> Note | None:
    """Return what a group does when an ingestion has brought new rows; None where a due run will read them anyway.

    A run of the group that is going has perhaps read the table already, so another follows it.
    """
    if own.triggers:
        return None
    waits = tuple(_waits([*upstream, own]))
    return Note(trigger, Answer.DUE if waits else Answer.LAUNCHED, now, waits)


def _waits(upstream: Sequence[Upstream]) -> Iterator[Wait]:
    for one in upstream:
        if one.triggers or one.going:
            yield Wait(one.name, one.triggers, one.going)


@dataclass(frozen=True)
class Fate:
    """What became of a trigger in a group: where its run is to be looked for, or why there is none.

    ``run_of`` is the trigger whose run is the one, ``since`` when it was asked for; ``instead`` is the id of a run
    that stands for it; ``coming`` says why it may still come, ``left_out`` why it never will.
    """

    run_of: Trigger | None = None
    since: datetime | None = None
    instead: str | None = None
    coming: str = ""
    left_out: str = ""


def find_fate(trigger: Trigger, notes: GroupNotes, *, ticks: bool, since: datetime, now: datetime) -> Fate:
    """Return what became of a trigger; ``ticks`` says whether the group's schedule is on.

    ``since`` is when somebody began to wait for it. For a tick that the daemon left out, as it was down, the next one
    stands; for one that joined what was due already, the run that it joined.
    """
    note = next((note for note in notes.like(trigger) if note.trigger.moment >= trigger.moment), None)
    if note is None:
        comes = ticks and not trigger.ingestion and now < max(trigger.moment, since) + GRACE
        return Fate(coming=f"is expected to run at {trigger}" if comes else "")
    if note.answer is Answer.SKIPPED:
        return Fate(instead=note.instead)
    standing = notes.stand_in(note.trigger)
    settled = notes.settlement(standing)
    if settled and settled.left_out:
        return Fate(left_out=settled.left_out)
    if any(due.trigger == standing for due in notes.pending):
        return Fate(coming=f"is due itself since {standing}")
    return Fate(run_of=standing, since=note.noted)


@dataclass(frozen=True)
class RunState:
    """What matters of a run; ``will_retry`` says that it failed and Dagster has not yet started its retry."""

    run_id: str
    status: dg.DagsterRunStatus
    will_retry: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether it is over, however."""
        return self.status in ENDED

    @property
    def has_failed(self) -> bool:
        """Whether it is over without success: failed, or canceled."""
        return self.has_ended and self.status is not dg.DagsterRunStatus.SUCCESS

    def __str__(self) -> str:
        """Return it for people."""
        return f"run {self.run_id} is {self.status.value}"


@dataclass(frozen=True)
class Awaited:
    """One run of a group upstream: ``runs`` are it and its retries, the newest first; none where it never came.

    ``coming`` says why it may still come, ``left_out`` that it was due and left out. ``counts`` says whether its
    outcome matters: that of a run of the same trigger does, that of any other which was going is nothing but in the
    way.
    """

    group: str
    counts: bool = True
    runs: tuple[RunState, ...] = ()
    coming: str = ""
    left_out: str = ""


def await_run(group: str, fate: Fate, runs: Sequence[RunState], *, counts: bool, now: datetime) -> Awaited:
    """Return what is known of a run that is waited for; ``runs`` are those that its fate names, the newest first."""
    is_asked_for = fate.run_of and fate.since and now < fate.since + GRACE
    coming = fate.coming or ("has been asked for a run" if is_asked_for and not runs else "")
    return Awaited(group, counts, tuple(runs), coming, fate.left_out)


class Verdict(Enum):
    """What happens to a due run now."""

    START = "start"
    WAIT = "wait"
    LEAVE_OUT = "leave out"


@dataclass(frozen=True)
class Decision:
    """What happens to a due run now, and why."""

    verdict: Verdict
    reason: str = ""


def decide(policy: OnUpstreamFailure, awaited: Sequence[Awaited], own: RunState | None) -> Decision:
    """Return what happens to a due run; ``own`` is a run of the same group that is going.

    It is left out as soon as that is certain, and started when it waits for nobody any more.
    """
    decisions = [_decide(policy, one) for one in awaited]
    if own:
        decisions.append(Decision(Verdict.WAIT, f"its own {own}"))
    for verdict in (Verdict.LEAVE_OUT, Verdict.WAIT):
        reasons = dict.fromkeys(one.reason for one in decisions if one.verdict is verdict)
        if reasons:
            return Decision(verdict, "; ".join(reasons))
    return Decision(Verdict.START)


def _decide(policy: OnUpstreamFailure, one: Awaited) -> Decision:
    whatever = policy is OnUpstreamFailure.RUN
    if whatever and any(run.has_ended for run in one.runs):
        # One end is enough: its retries are not waited for.
        return Decision(Verdict.START)
    reason = _why_left_out(policy, one) if one.counts and not whatever else ""
    if reason:
        return Decision(Verdict.LEAVE_OUT, reason)
    reason = _why_waiting(one)
    return Decision(Verdict.WAIT if reason else Verdict.START, reason)


def _why_left_out(policy: OnUpstreamFailure, one: Awaited) -> str:
    if one.left_out:
        return f"{one.group} was left out itself ({one.left_out})"
    failed = next((run for run in one.runs if run.has_failed), None)
    hopes = any(run.will_retry or not run.has_failed for run in one.runs)
    return f"{one.group}'s {failed}" if failed and (policy is OnUpstreamFailure.SKIP or not hopes) else ""


def _why_waiting(one: Awaited) -> str:
    going = next((run for run in one.runs if not run.has_ended), None)
    retried = next((run for run in one.runs if run.will_retry), None)
    if going:
        return f"{one.group}'s {going}"
    if retried:
        return f"{one.group}'s {retried} and will be retried"
    return f"{one.group} {one.coming}" if one.coming else ""
