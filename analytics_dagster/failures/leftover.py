"""What of a run is still to be done: what it planned and has not brought to an end. What worked is not done again."""

from __future__ import annotations

from dataclasses import dataclass, field

import dagster as dg

_TYPES = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True)
class Leftover:
    """Assets and checks that are to be run again."""

    assets: frozenset[dg.AssetKey] = frozenset()
    checks: frozenset[dg.AssetCheckKey] = frozenset()

    def __bool__(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.assets or self.checks)


@dataclass
class Course:
    """What a run planned, and what became of it."""

    planned: set[dg.AssetKey] = field(default_factory=set)
    built: set[dg.AssetKey] = field(default_factory=set)
    planned_checks: set[dg.AssetCheckKey] = field(default_factory=set)
    evaluated: set[dg.AssetCheckKey] = field(default_factory=set)
    blocked: set[dg.AssetKey] = field(default_factory=set)
    """The assets of which a blocking check failed: whatever is wrong with them, they must be built again."""

    def leftover(self) -> Leftover:
        """Return what Dagster's own re-execution from asset failure would run; a test compares the two."""
        assets = {asset for asset in self.planned if asset not in self.built or asset in self.blocked}
        checks = {
            check for check in self.planned_checks if check not in self.evaluated or check.asset_key in self.blocked
        }
        return Leftover(frozenset(assets), frozenset(checks))


def find_leftover(instance: dg.DagsterInstance, run_id: str) -> Leftover:
    """Return what of a run is still to be done."""
    course = Course()
    for entry in instance.all_logs(run_id, of_type=_TYPES):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key:
            course.planned.add(event.asset_key)
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            course.built.add(event.asset_key)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            course.planned_checks.add(event.asset_check_planned_data.asset_check_key)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            _take(course, event.asset_check_evaluation_data)
    return course.leftover()


def _take(course: Course, evaluation: dg.AssetCheckEvaluation) -> None:
    if evaluation.blocking and not evaluation.passed:
        course.blocked.add(evaluation.asset_key)
    else:
        course.evaluated.add(evaluation.asset_check_key)
