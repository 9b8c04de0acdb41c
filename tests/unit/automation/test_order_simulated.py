"""Hours of a daemon's work, drawn by hypothesis: random groups, crons, runs, failures, retries, outages, runs by hand.

What schedules and the sensor of due runs answer is the real thing; only Dagster's storage, its daemon and the runs are
played here, by seconds that nobody has to wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from random import Random

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_dagster.automation.due_runs import look
from analytics_dagster.automation.notes import SCHEDULED_TIME, Notebook, Trigger
from analytics_dagster.automation.order import RunState
from analytics_dagster.automation.schedules import answer
from analytics_dagster.automation.situation import Order, OrderedGroup, Situation
from analytics_dagster.planning.groups import OnUpstreamFailure, ScheduleGroup

pytestmark = pytest.mark.slow

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
STEP = 5  # seconds
LOOK = 10  # seconds between two looks of the sensor
MINUTES = 40

SUCCESS, FAILURE, CANCELED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@dataclass
class Run:
    """A run of a group, and how it will go."""

    run_id: str
    group: str
    tick: datetime | None
    root: str
    created: int
    ends: int
    outcome: dg.DagsterRunStatus
    will_retry: bool

    def status(self, now: int) -> dg.DagsterRunStatus:
        """Return its status at a second."""
        if now >= self.ends:
            return self.outcome
        return dg.DagsterRunStatus.QUEUED if now < self.created + 5 else dg.DagsterRunStatus.STARTED


@dataclass
class KeyValues:
    """The table of the notes."""

    values: dict[str, str] = field(default_factory=dict)

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        """Return those that are there."""
        return {key: self.values[key] for key in keys if key in self.values}

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        """Write them."""
        self.values.update(pairs)


class World:
    """A daemon, its storage and the runs that it starts; ``random`` draws all that is left to chance."""

    def __init__(self, order: Order, random: Random, lasts: tuple[int, ...], outcomes: tuple[int, int, int]) -> None:
        """Take the seconds that a run may last, and the weights of success, failure and cancellation."""
        self.order = order
        self.random = random
        self.lasts = lasts
        self.outcomes = outcomes
        self.notes = KeyValues()
        self.runs: list[Run] = []
        self.retries: list[tuple[int, Run]] = []
        self.now = 0

    @property
    def clock(self) -> datetime:
        """The time of day."""
        return NOON + timedelta(seconds=self.now)

    def unfinished(self, group: str) -> list[Run]:
        """Return the runs of a group that are not over."""
        return [run for run in self.runs if run.group == group and self.now < run.ends]

    def start(self, group: str, tick: datetime | None, root: str | None = None) -> Run:
        """Start a run, and draw how it goes: from seconds to more than from tick to tick."""
        draw = self.random
        outcome = draw.choices((SUCCESS, FAILURE, CANCELED), self.outcomes)[0]
        run_id = f"{group}-{len(self.runs)}"
        retries = self.order.groups[group].group.retries if root is None else 0
        lasts = draw.choice(self.lasts)
        run = Run(
            run_id,
            group,
            tick,
            root or run_id,
            self.now,
            self.now + lasts,
            outcome,
            will_retry=outcome is FAILURE and retries > 0,
        )
        self.runs.append(run)
        if run.will_retry:
            self.retries.append((run.ends + draw.choice((5, 15)), run))
        return run

    def tick(self, group: str, moment: datetime) -> None:
        """Let a schedule tick, as the daemon does."""
        going = self.unfinished(group)
        if isinstance(answer(group, Trigger(moment), Played(self)), dg.RunRequest):
            assert not going, "the schedule launched a run beside another of its group"
            self.start(group, moment)

    def look(self) -> None:
        """Let the sensor look, and do what it asks for."""
        for request in look(Played(self)).requests:
            group = str(request.job_name)
            assert not self.unfinished(group), "the sensor started a run beside another of its group"
            self.start(group, datetime.fromisoformat(request.tags[SCHEDULED_TIME]))

    def retry(self) -> None:
        """Start the retries whose time has come."""
        for at, run in [one for one in self.retries if one[0] <= self.now]:
            self.retries.remove((at, run))
            run.will_retry = False
            self.start(run.group, run.tick, root=run.root)


class Played(Situation):
    """What is so in the played world."""

    def __init__(self, world: World) -> None:
        self.order = world.order
        self.now = world.clock
        self._world = world

    @cached_property
    def notebook(self) -> Notebook:
        """The notes."""
        return Notebook(self._world.notes, "played", self.order.groups)

    def unfinished(self, name: str) -> list[RunState]:
        """Return the unfinished runs of a group."""
        return self._states(self._world.unfinished(name))

    def runs_of(self, name: str, trigger: Trigger) -> list[RunState]:
        """Return the runs of a tick."""
        return self._states([run for run in self._world.runs if (run.group, run.tick) == (name, trigger.moment)])

    def family(self, run_id: str) -> list[RunState]:
        """Return a run and its retries."""
        root = next(run.root for run in self._world.runs if run.run_id == run_id)
        return self._states([run for run in self._world.runs if run.root == root])

    def is_on(self, instigator: str, *, default: bool) -> bool:
        """Return how the code starts it."""
        return default and bool(instigator)

    def ticks_too(self, name: str, moment: datetime) -> bool:
        """Return whether a group ticks at this moment: reading crons is what takes the time here."""
        return moment.minute % every(self.order.groups[name]) == 0

    def _states(self, runs: list[Run]) -> list[RunState]:
        now = self._world.now
        return [
            RunState(run.run_id, run.status(now), will_retry=run.will_retry and now >= run.ends)
            for run in sorted(runs, key=lambda run: run.created, reverse=True)
        ]


@st.composite
def orders(draw: st.DrawFn) -> Order:
    count = draw(st.integers(2, 4))
    before: list[set[int]] = []
    for place in range(count):
        direct = draw(st.sets(st.integers(0, place - 1), max_size=2)) if place else set()
        before.append(direct.union(*(before[one] for one in direct)))
    groups = {}
    for place in range(count):
        minutes = draw(st.sampled_from((1, 2, 5, 10)))
        groups[f"g{place}"] = OrderedGroup(
            group=ScheduleGroup(
                name=f"g{place}",
                select="x",
                cron=(f"*/{minutes} * * * *",),
                time_zone="UTC",
                on_upstream_failure=draw(st.sampled_from(OnUpstreamFailure)),
                retries=draw(st.integers(0, 1)),
            ),
            assets=frozenset(),
            before=tuple(f"g{one}" for one in sorted(before[place])),
        )
    return Order("played", groups, running=True)


def play(world: World, *, outage: range = range(0), by_hand: float = 0.0) -> None:
    """Play some minutes with ticks, an outage and runs by hand, then let all that is due come to its end."""
    random, groups = world.random, world.order.groups
    missed: dict[str, datetime] = {}
    while world.now < MINUTES * 60 or ((world.retries or due(world)) and world.now < MINUTES * 600):
        if world.now % 60 == 0 and world.now < MINUTES * 60:
            # Of the ticks during an outage the daemon makes up for the last alone.
            missed |= {name: world.clock for name, one in groups.items() if world.clock.minute % every(one) == 0}
        world.retry()
        if world.now not in outage:
            if world.now < MINUTES * 60 and random.random() < by_hand:
                world.start(random.choice(list(groups)), None)
            for name in random.sample(list(missed), len(missed)):
                # It comes to a tick some seconds late.
                if random.random() < 0.7:
                    world.tick(name, missed.pop(name))
            if world.now % LOOK == 0:
                world.look()
        world.now += STEP


def every(ordered: OrderedGroup) -> int:
    return int(ordered.group.cron[0].partition(" ")[0].removeprefix("*/"))


def due(world: World) -> bool:
    notebook = Notebook(world.notes, "played", world.order.groups)
    return any(notebook[name].pending for name in world.order.groups)


@settings(max_examples=60, deadline=None)
@given(orders(), st.integers(0, 2**32))
def test_whatever_happens_runs_keep_their_order_and_nothing_waits_for_ever(order: Order, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a game
    world = World(order, random, lasts=(5, 20, 60, 150, 400), outcomes=(7, 3, 1))
    down = random.randrange(MINUTES * 60)
    play(world, outage=range(down, down + random.choice((0, 90, 400))), by_hand=0.005)

    # Nothing is due for ever.
    assert not due(world)

    # A tick has one run at most, and its retries.
    roots = [(run.group, run.tick) for run in world.runs if run.tick and run.root == run.run_id]
    assert len(roots) == len(set(roots))

    # A run starts when the runs of the same tick upstream have ended, and if they ended as its group wants them to.
    for run in world.runs:
        if run.tick is None or run.root != run.run_id:
            continue
        group = order.groups[run.group]
        for upstream in group.before:
            family = [one for one in world.runs if (one.group, one.tick) == (upstream, run.tick)]
            first = [one for one in family if one.root == one.run_id]
            assert all(one.ends <= run.created for one in first), (run, first)
            outcomes = {one.outcome for one in family if one.ends <= run.created}
            if family and group.group.on_upstream_failure is OnUpstreamFailure.SKIP:
                assert outcomes == {SUCCESS}
            if family and group.group.on_upstream_failure is OnUpstreamFailure.WAIT:
                assert SUCCESS in outcomes


@pytest.mark.parametrize("seconds", [20, 50, 55, 60, 65, 90, 130])
def test_a_group_whose_upstream_takes_as_long_as_from_tick_to_tick_is_not_starved(seconds: int) -> None:
    groups = {
        name: OrderedGroup(
            ScheduleGroup(name=name, select="x", cron=("*/1 * * * *",), time_zone="UTC"),
            frozenset(),
            tuple(f"g{one}" for one in range(place)),
        )
        for place, name in enumerate(("g0", "g1", "g2"))
    }
    world = World(Order("played", groups, running=True), Random(1), lasts=(seconds,), outcomes=(1, 0, 0))  # noqa: S311
    play(world)
    for name in groups:
        runs = [run for run in world.runs if run.group == name]
        # At worst one chain after the other, and some seconds between.
        assert len(runs) >= MINUTES * 60 // (3 * seconds + 3 * 60), name
