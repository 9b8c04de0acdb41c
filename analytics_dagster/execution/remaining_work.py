"""What of a run is still to be done: what it planned and has not brought to an end. What worked is not done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

_TYPES = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True)
class Leftover:
    """Assets and checks that are to be run again, and the steps that they are of."""

    assets: frozenset[dg.AssetKey] = frozenset()
    checks: frozenset[dg.AssetCheckKey] = frozenset()
    steps: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.assets or self.checks)

    def configuration(self, whole: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a run's configuration is of these steps; Dagster refuses that of a step which does not run."""
        ops = {name: value for name, value in (whole.get("ops") or {}).items() if name in self.steps}
        others = {name: value for name, value in whole.items() if name != "ops"}
        return {**others, "ops": ops} if ops else others


@dataclass(frozen=True)
class Done:
    """Assets and checks that are not to be run again."""

    assets: frozenset[dg.AssetKey] = frozenset()
    checks: frozenset[dg.AssetCheckKey] = frozenset()


@dataclass
class Course:
    """What a run planned, and in which steps; and what became of it."""

    planned: dict[dg.AssetKey, str] = field(default_factory=dict)
    built: set[dg.AssetKey] = field(default_factory=set)
    planned_checks: dict[dg.AssetCheckKey, str] = field(default_factory=dict)
    evaluated: set[dg.AssetCheckKey] = field(default_factory=set)
    blocked: set[dg.AssetKey] = field(default_factory=set)
    """The assets of which a blocking check failed: whatever is wrong with them, they must be built again."""

    def leftover(self) -> Leftover:
        """Return what Dagster's own re-execution from asset failure would run; a test compares the two."""
        done = self.done()
        assets = self.planned.keys() - done.assets
        checks = self.planned_checks.keys() - done.checks
        # A step within a graph is named after it, as configuration is.
        found = [*(self.planned[asset] for asset in assets), *(self.planned_checks[check] for check in checks)]
        steps = {step.partition(".")[0] for step in found}
        return Leftover(frozenset(assets), frozenset(checks), frozenset(steps))

    def done(self) -> Done:
        """Return what of it was brought to an end."""
        checks = {check for check in self.evaluated if check.asset_key not in self.blocked}
        return Done(frozenset(self.built - self.blocked), frozenset(checks))


def find_leftover(instance: dg.DagsterInstance, run_id: str) -> Leftover:
    """Return what of a run is still to be done; what it took up from another run, and that one did, is done."""
    return _course(instance, run_id).leftover()


def done_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Done:
    """Return what the failed run has done that a run takes up step by step: what `From failure` in the UI starts.

    It plans all that its steps can make. Nothing was done before a run that takes up none, or one that was deleted.
    """
    if not run.is_resume_retry or run.parent_run_id is None:
        return Done()
    return _course(instance, run.parent_run_id).done()


def _course(instance: dg.DagsterInstance, run_id: str) -> Course:
    run = instance.get_run_by_id(run_id)
    before = done_before(instance, run) if run else Done()
    course = Course(built=set(before.assets), evaluated=set(before.checks))
    for entry in instance.all_logs(run_id, of_type=_TYPES):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key:
            course.planned[event.asset_key] = event.step_key or ""
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            course.built.add(event.asset_key)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            course.planned_checks[event.asset_check_planned_data.asset_check_key] = event.step_key or ""
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            _take(course, event.asset_check_evaluation_data)
    return course


def _take(course: Course, evaluation: dg.AssetCheckEvaluation) -> None:
    if evaluation.blocking and not evaluation.passed:
        course.blocked.add(evaluation.asset_key)
    else:
        course.evaluated.add(evaluation.asset_check_key)
