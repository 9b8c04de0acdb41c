"""What Dagster's instance holds that the order of runs depends on: notes, runs, and which schedules are turned on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property

import dagster as dg

from analytics_dagster.automation.jobs import AD_HOC, GROUP_TAG, PROJECT_TAG
from analytics_dagster.automation.notes import Note, Notebook, Trigger
from analytics_dagster.automation.order import (
    UNFINISHED,
    Awaited,
    Decision,
    Fate,
    RunState,
    Upstream,
    Verdict,
    await_run,
    decide,
    find_fate,
)
from analytics_dagster.automation.retrying import AD_HOC_SENSOR, ROOT, may_be_retried
from analytics_dagster.automation.retrying import SENSOR as RETRIES_SENSOR
from analytics_dagster.planning.cron import ticks_at
from analytics_dagster.planning.groups import ScheduleGroup


@dataclass(frozen=True)
class OrderedGroup:
    """A schedule group that has a job; ``assets`` are its own nodes, ``before`` the groups that run before it."""

    group: ScheduleGroup
    assets: frozenset[dg.AssetKey]
    before: tuple[str, ...]

    @property
    def schedule_name(self) -> str:
        """The name of the group's schedule."""
        return f"{self.group.name}_schedule"


@dataclass(frozen=True)
class Order:
    """The schedule groups of a dbt project, upstream first; ``running`` says whether schedules start turned on."""

    project: str
    groups: Mapping[str, OrderedGroup]
    running: bool


@dataclass(frozen=True)
class Switch:
    """Whether somebody turned a schedule or a sensor on or off; None where the code says how it starts."""

    location: str
    is_on: bool | None


class Situation:
    """What is so at one evaluation of a schedule or a sensor; each thing is read once, when it is first asked for."""

    def __init__(
        self, instance: dg.DagsterInstance, order: Order, *, location: str | None = None, now: datetime | None = None
    ) -> None:
        """Take the name of the code location where it is known: a schedule does not know its own."""
        self.order = order
        self.now = now or datetime.now(timezone.utc)
        self._instance = instance
        self._location = location

    @cached_property
    def notebook(self) -> Notebook:
        """The notes of all groups."""
        return Notebook(self._instance.daemon_cursor_storage, self.order.project, self.order.groups)

    def unfinished(self, name: str) -> list[RunState]:
        """Return the unfinished runs of a group, the oldest first.

        These are the runs of its job, wherever they were started, and all others that materialize its assets: what
        "Materialize" in the UI starts is no job of ours.
        """
        return [self._state(run) for run in self._unfinished if self._is_of(run, name)]

    def runs_of(self, name: str, trigger: Trigger) -> list[RunState]:
        """Return a group's run of a trigger and its retries, which have its tags."""
        found = self._instance.get_runs(filters=dg.RunsFilter(tags={GROUP_TAG: name, **trigger.tags}))
        return [self._state(run) for run in found if self._is_of(run, name)]

    def family(self, run_id: str) -> list[RunState]:
        """Return a run and its retries; none where it was deleted."""
        run = self._instance.get_run_by_id(run_id)
        if run is None:
            return []
        # A retry that a sensor has requested knows its first run by its tags alone.
        root = run.root_run_id or run.tags.get(ROOT, run_id)
        if not self._instance.has_run(root):
            return [self._state(run)]
        group = self._instance.get_run_group(root)
        return [self._state(one) for one in group[1]] if group else []

    def is_on(self, instigator: str, *, default: bool) -> bool:
        """Return whether a schedule or sensor is turned on; ``default`` says how the code starts it.

        Where several locations have one of this name, and ours is not known, one that is on will do: who waits for
        it in vain is told so by the sensor, which does know.
        """
        switches = [one for one in self._switches.get(instigator, []) if self._location in (None, one.location)]
        return any(default if one.is_on is None else one.is_on for one in switches) if switches else default

    def ticks_too(self, name: str, moment: datetime) -> bool:
        """Return whether a group's schedule, being on, ticks at this moment."""
        ordered = self.order.groups[name]
        return self.is_on(ordered.schedule_name, default=self.order.running) and ticks_at(ordered.group, moment)

    def upstream(self, name: str, shared: Callable[[str], Trigger | None]) -> list[Upstream]:
        """Return what a group sees of those before it; ``shared`` gives the trigger that it has with one of them."""
        return [self.see(other, shared(other)) for other in self.order.groups[name].before]

    def see(self, name: str, shared: Trigger | None = None) -> Upstream:
        """Return what is to come of a group, and what is going; ``shared`` is a trigger of the one who looks too."""
        due = [note.trigger for note in self.notebook[name].pending]
        triggers = dict.fromkeys([*([shared] if shared else []), *due])
        return Upstream(name, tuple(triggers), tuple(run.run_id for run in self.unfinished(name)))

    def decide(self, name: str, note: Note) -> Decision | None:
        """Return what happens to a due run of a group, or None where it has been started."""
        runs = self.runs_of(name, note.trigger)
        if any(run.status is not dg.DagsterRunStatus.NOT_STARTED for run in runs):
            return None
        if runs:
            # The daemon stopped between making the run and queueing it: asked for again, it queues the same run.
            return Decision(Verdict.START)
        own = next(iter(self.unfinished(name)), None)
        return decide(self.order.groups[name].group.on_upstream_failure, list(self._awaited(note)), own)

    def _awaited(self, note: Note) -> Iterator[Awaited]:
        for wait in note.waits:
            ordered = self.order.groups.get(wait.group)
            ticks = ordered is not None and self.is_on(ordered.schedule_name, default=self.order.running)
            counted = set[str]()
            for trigger in wait.triggers:
                fate = find_fate(trigger, self.notebook[wait.group], ticks=ticks, since=note.noted, now=self.now)
                runs = self._runs(wait.group, fate)
                counted |= {run.run_id for run in runs}
                yield await_run(wait.group, fate, runs, counts=trigger == note.trigger, now=self.now)
            for run_id in wait.runs:
                if run_id not in counted:
                    yield Awaited(wait.group, counts=False, runs=tuple(self.family(run_id)))

    def _runs(self, group: str, fate: Fate) -> list[RunState]:
        if fate.run_of:
            return self.runs_of(group, fate.run_of)
        return self.family(fate.instead) if fate.instead else []

    @cached_property
    def _unfinished(self) -> list[dg.DagsterRun]:
        return list(reversed(self._instance.get_runs(filters=dg.RunsFilter(statuses=list(UNFINISHED)))))

    @cached_property
    def _switches(self) -> Mapping[str, list[Switch]]:
        found: dict[str, list[Switch]] = {}
        for state in self._instance.all_instigator_state():
            location = state.origin.repository_origin.code_location_origin.location_name
            # The two that a person sets; the third says that the code decides.
            is_on = {"RUNNING": True, "STOPPED": False}.get(state.status.name)
            found.setdefault(state.instigator_name, []).append(Switch(location, is_on))
        return found

    def _is_of(self, run: dg.DagsterRun, name: str) -> bool:
        if GROUP_TAG in run.tags:
            # Another location may have a group of the same name.
            same_project = run.tags.get(PROJECT_TAG, self.order.project) == self.order.project
            return run.tags[GROUP_TAG] == name and same_project
        return not self.order.groups[name].assets.isdisjoint(run.asset_selection or ())

    def _state(self, run: dg.DagsterRun) -> RunState:
        sensor = AD_HOC_SENSOR if run.job_name == AD_HOC else RETRIES_SENSOR
        will_retry = may_be_retried(run, sensor_is_on=self.is_on(sensor, default=True))
        return RunState(run.run_id, run.status, will_retry=will_retry)
