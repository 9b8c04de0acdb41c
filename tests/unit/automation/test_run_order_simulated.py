"""Simulates a daemon with random groups, crons, runs, failures, retries, outages and manual runs (hypothesis).

The schedules and the sensor of pending runs are the real ones; Dagster's storage, daemon and runs are simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property
from itertools import pairwise
from random import Random

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.pending_run_store import SCHEDULED_TIME, PendingRunStore, Trigger
from analytics_dagster.automation.pending_runs import check_pending_runs
from analytics_dagster.automation.run_order import AutomatedGroup, AutomatedGroups, RunState
from analytics_dagster.automation.schedules import evaluate_tick
from analytics_dagster.planning.groups import OnUpstreamFailure, ScheduleGroup

pytestmark = pytest.mark.slow

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
STEP = 5  # seconds
SENSOR_INTERVAL = 10  # seconds
MINUTES = 40

SUCCESS, FAILURE, CANCELED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@dataclass
class SimulatedRun:
    """A run of a group, with its duration and its result."""

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
class MemoryStorage:
    """The key-value table."""

    values: dict[str, str] = field(default_factory=dict)

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        """Return the values of those keys that exist."""
        return {key: self.values[key] for key in keys if key in self.values}

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        """Write values."""
        self.values.update(pairs)


class Simulation:
    """A daemon, its storage and its runs; ``random`` draws every random choice."""

    def __init__(
        self, groups: AutomatedGroups, random: Random, durations: tuple[int, ...], outcomes: tuple[int, int, int]
    ) -> None:
        """Take the possible durations in seconds, and the weights of success, failure and cancellation."""
        self.groups = groups
        self.random = random
        self.durations = durations
        self.outcomes = outcomes
        self.storage = MemoryStorage()
        self.runs: list[SimulatedRun] = []
        self.retries: list[tuple[int, SimulatedRun]] = []
        self.ticks: list[tuple[str, int]] = []
        self.now = 0

    @property
    def clock(self) -> datetime:
        """The time of day."""
        return NOON + timedelta(seconds=self.now)

    def unfinished(self, group: str) -> list[SimulatedRun]:
        """Return the unfinished runs of a group."""
        return [run for run in self.runs if run.group == group and self.now < run.ends]

    def start(self, group: str, tick: datetime | None, root: str | None = None) -> SimulatedRun:
        """Start a run, and draw its duration and result."""
        draw = self.random
        outcome = draw.choices((SUCCESS, FAILURE, CANCELED), self.outcomes)[0]
        run_id = f"{group}-{len(self.runs)}"
        retries = self.groups.by_name[group].group.retries if root is None else 0
        seconds = draw.choice(self.durations)
        run = SimulatedRun(
            run_id,
            group,
            tick,
            root or run_id,
            self.now,
            self.now + seconds,
            outcome,
            will_retry=outcome is FAILURE and retries > 0,
        )
        self.runs.append(run)
        if run.will_retry:
            self.retries.append((run.ends + draw.choice((5, 15)), run))
        return run

    def tick(self, group: str, moment: datetime) -> None:
        """Evaluate a schedule, as the daemon does."""
        unfinished = self.unfinished(group)
        self.ticks.append((group, self.now))
        if isinstance(evaluate_tick(group, Trigger(moment), SimulatedSnapshot(self)), dg.RunRequest):
            assert not unfinished, "the schedule launched a second run of its group"
            self.start(group, moment)

    def start_pending(self) -> None:
        """Evaluate the sensor of pending runs, and start the requested runs."""
        for request in check_pending_runs(SimulatedSnapshot(self)).requests:
            group = str(request.job_name)
            assert not self.unfinished(group), "the sensor started a second run of its group"
            self.start(group, datetime.fromisoformat(request.tags[SCHEDULED_TIME]))

    def retry(self) -> None:
        """Start the retries that are due."""
        for at, run in [one for one in self.retries if one[0] <= self.now]:
            self.retries.remove((at, run))
            run.will_retry = False
            self.start(run.group, run.tick, root=run.root)


class SimulatedSnapshot(InstanceSnapshot):
    """A snapshot of the simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self.groups = simulation.groups
        self.now = simulation.clock
        self._simulation = simulation

    @cached_property
    def store(self) -> PendingRunStore:
        """The records."""
        return PendingRunStore(self._simulation.storage, "simulated", self.groups.by_name)

    def occupying_runs(self, name: str) -> list[RunState]:
        """Return the unfinished runs of a group."""
        return self._states(self._simulation.unfinished(name))

    def last_run(self, name: str) -> RunState | None:
        """Return the last run of a group that is no retry, or its retry if that succeeded."""
        last = next(
            (run for run in reversed(self._simulation.runs) if run.group == name and run.root == run.run_id), None
        )
        attempts = self.run_and_retries(last.run_id) if last else []
        return next((one for one in attempts if not one.has_failed), attempts[0] if attempts else None)

    def runs_of(self, name: str, trigger: Trigger) -> list[RunState]:
        """Return the runs of a tick."""
        return self._states([run for run in self._simulation.runs if (run.group, run.tick) == (name, trigger.moment)])

    def run_and_retries(self, run_id: str) -> list[RunState]:
        """Return a run and its retries."""
        root = next(run.root for run in self._simulation.runs if run.run_id == run_id)
        return self._states([run for run in self._simulation.runs if run.root == root])

    def is_on(self, instigator: str, *, default: bool) -> bool:
        """Return the default."""
        return default and bool(instigator)

    def ticks_at(self, name: str, moment: datetime) -> bool:
        """Return whether a group ticks at this moment, without the slow reading of a cron."""
        return moment.minute % minutes_between_ticks(self.groups.by_name[name]) == 0

    def _states(self, runs: list[SimulatedRun]) -> list[RunState]:
        now = self._simulation.now
        return [
            RunState(run.run_id, run.status(now), will_retry=run.will_retry and now >= run.ends)
            for run in sorted(runs, key=lambda run: run.created, reverse=True)
        ]


@st.composite
def automated_groups(draw: st.DrawFn) -> AutomatedGroups:
    count = draw(st.integers(2, 4))
    upstream: list[set[int]] = []
    for place in range(count):
        direct = draw(st.sets(st.integers(0, place - 1), max_size=2)) if place else set()
        upstream.append(direct.union(*(upstream[one] for one in direct)))
    groups = {}
    for place in range(count):
        minutes = draw(st.sampled_from((1, 2, 5, 10)))
        groups[f"g{place}"] = AutomatedGroup(
            group=ScheduleGroup(
                name=f"g{place}",
                select="x",
                cron=(f"*/{minutes} * * * *",),
                time_zone="UTC",
                on_upstream_failure=draw(st.sampled_from(OnUpstreamFailure)),
                retries=draw(st.integers(0, 1)),
            ),
            assets=frozenset(),
            upstream=tuple(f"g{one}" for one in sorted(upstream[place])),
        )
    return AutomatedGroups("simulated", groups, schedules_on=True)


def simulate(
    simulation: Simulation, *, outage: range = range(0), by_hand: float = 0.0, until_idle: bool = True
) -> None:
    """Simulate some minutes with ticks, an outage and manual runs, and then ``until_idle``: no run is pending."""
    random, groups = simulation.random, simulation.groups.by_name
    missed: dict[str, datetime] = {}
    while simulation.now < MINUTES * 60 or (
        until_idle and (simulation.retries or has_pending(simulation)) and simulation.now < MINUTES * 600
    ):
        if simulation.now % 60 == 0 and simulation.now < MINUTES * 60:
            # After an outage the daemon evaluates only the last of the missed ticks.
            missed |= {
                name: simulation.clock
                for name, one in groups.items()
                if simulation.clock.minute % minutes_between_ticks(one) == 0
            }
        simulation.retry()
        if simulation.now not in outage:
            if simulation.now < MINUTES * 60 and random.random() < by_hand:
                simulation.start(random.choice(list(groups)), None)
            for name in random.sample(list(missed), len(missed)):
                # The daemon evaluates a tick some seconds late.
                if random.random() < 0.7:
                    simulation.tick(name, missed.pop(name))
            if simulation.now % SENSOR_INTERVAL == 0:
                simulation.start_pending()
        simulation.now += STEP


def minutes_between_ticks(one: AutomatedGroup) -> int:
    return int(one.group.cron[0].partition(" ")[0].removeprefix("*/"))


def has_pending(simulation: Simulation) -> bool:
    store = PendingRunStore(simulation.storage, "simulated", simulation.groups.by_name)
    return any(store[name].pending for name in simulation.groups.by_name)


@settings(max_examples=60, deadline=None)
@given(automated_groups(), st.integers(0, 2**32))
def test_runs_keep_their_order_and_no_run_is_pending_forever(groups: AutomatedGroups, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - no cryptography
    simulation = Simulation(groups, random, durations=(5, 20, 60, 150, 400), outcomes=(7, 3, 1))
    down = random.randrange(MINUTES * 60)
    simulate(simulation, outage=range(down, down + random.choice((0, 90, 400))), by_hand=0.005)

    # No run is pending forever.
    assert not has_pending(simulation)

    # A tick has at most one run, and its retries.
    roots = [(run.group, run.tick) for run in simulation.runs if run.tick and run.root == run.run_id]
    assert len(roots) == len(set(roots))

    # A run starts after the upstream runs of the same tick, and only if their results satisfy its policy.
    for run in simulation.runs:
        if run.tick is None or run.root != run.run_id:
            continue
        group = groups.by_name[run.group]
        for upstream in group.upstream:
            family = [one for one in simulation.runs if (one.group, one.tick) == (upstream, run.tick)]
            first = [one for one in family if one.root == one.run_id]
            assert all(one.ends <= run.created for one in first), (run, first)
            outcomes = {one.outcome for one in family if one.ends <= run.created}
            if family and group.group.on_upstream_failure is OnUpstreamFailure.SKIP:
                assert outcomes == {SUCCESS}
            if family and group.group.on_upstream_failure is OnUpstreamFailure.WAIT:
                assert SUCCESS in outcomes


@settings(max_examples=40, deadline=None)
@given(automated_groups(), st.integers(0, 2**32))
def test_after_every_tick_a_run_of_the_group_starts_however_busy_it_is(groups: AutomatedGroups, seed: int) -> None:
    run = {"on_upstream_failure": OnUpstreamFailure.RUN}
    always = {name: replace(one, group=one.group.model_copy(update=run)) for name, one in groups.by_name.items()}
    random = Random(seed)  # noqa: S311 - no cryptography
    simulation = Simulation(replace(groups, by_name=always), random, durations=(5, 60, 150, 400), outcomes=(7, 3, 1))
    simulate(simulation, by_hand=0.02)
    for group, evaluated in simulation.ticks:
        later = [run for run in simulation.runs if run.group == group and run.tick and run.created >= evaluated]
        assert later, (group, evaluated)
    # Ticks of a busy group merge: no more than one run waits at a time.
    for name in groups.by_name:
        runs = [run for run in simulation.runs if run.group == name and run.tick and run.root == run.run_id]
        assert len(runs) <= len([one for one in simulation.ticks if one[0] == name])


@settings(max_examples=30, deadline=None)
@given(automated_groups(), st.integers(0, 2**32))
def test_with_depends_on_past_a_run_starts_only_after_the_last_one_succeeded(
    groups: AutomatedGroups, seed: int
) -> None:
    strict = {
        name: replace(one, group=one.group.model_copy(update={"depends_on_past": True}))
        for name, one in groups.by_name.items()
    }
    random = Random(seed)  # noqa: S311 - no cryptography
    simulation = Simulation(replace(groups, by_name=strict), random, durations=(5, 20, 60), outcomes=(20, 2, 1))
    simulate(simulation, until_idle=False)
    for name in strict:
        roots = [run for run in simulation.runs if run.group == name and run.root == run.run_id]
        for earlier, later in pairwise(roots):
            attempts = [run for run in simulation.runs if run.root == earlier.run_id]
            assert any(run.outcome is SUCCESS and run.ends <= later.created for run in attempts), (earlier, later)


@pytest.mark.parametrize("seconds", [20, 50, 55, 60, 65, 90, 130])
def test_a_group_whose_upstream_takes_longer_than_its_interval_runs_regularly(seconds: int) -> None:
    groups = {
        name: AutomatedGroup(
            ScheduleGroup(name=name, select="x", cron=("*/1 * * * *",), time_zone="UTC"),
            frozenset(),
            tuple(f"g{one}" for one in range(place)),
        )
        for place, name in enumerate(("g0", "g1", "g2"))
    }
    random = Random(1)  # noqa: S311 - no cryptography
    automated = AutomatedGroups("simulated", groups, schedules_on=True)
    simulation = Simulation(automated, random, durations=(seconds,), outcomes=(1, 0, 0))
    simulate(simulation)
    for name in groups:
        runs = [run for run in simulation.runs if run.group == name]
        # At worst one chain starts some seconds after the other.
        assert len(runs) >= MINUTES * 60 // (3 * seconds + 3 * 60), name
