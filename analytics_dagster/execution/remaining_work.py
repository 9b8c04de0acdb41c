"""Determines which assets and checks a failed run did not complete, for retries and for `From failure` in the UI.

Dagster resumes a failed run by steps, and the dbt build of a schedule group is one step. A resumed step runs only what
is left of it, and carries over the outputs that the failed run has built, without a second materialization.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.runs import silent_output_metadata
from analytics_dagster.project.graph import Graph

_TYPES = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True)
class RemainingWork:
    """Assets and checks that a run did not complete, and their steps."""

    assets: frozenset[dg.AssetKey] = frozenset()
    checks: frozenset[dg.AssetCheckKey] = frozenset()
    steps: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Return whether anything is left."""
        return bool(self.assets or self.checks)

    def configuration(self, whole: Mapping[str, Any]) -> dict[str, Any]:
        """Return a run's configuration for these steps only: Dagster rejects that of steps that do not run."""
        ops = {name: value for name, value in (whole.get("ops") or {}).items() if name in self.steps}
        others = {name: value for name, value in whole.items() if name != "ops"}
        return {**others, "ops": ops} if ops else others


@dataclass(frozen=True)
class Completed:
    """Assets and checks that need not run again."""

    assets: frozenset[dg.AssetKey] = frozenset()
    checks: frozenset[dg.AssetCheckKey] = frozenset()


@dataclass
class RunProgress:
    """What a run planned, by step, and what it has completed."""

    planned: dict[dg.AssetKey, str] = field(default_factory=dict)
    built: set[dg.AssetKey] = field(default_factory=set)
    planned_checks: dict[dg.AssetCheckKey, str] = field(default_factory=dict)
    evaluated: set[dg.AssetCheckKey] = field(default_factory=set)
    blocked: set[dg.AssetKey] = field(default_factory=set)
    """Assets with a failed blocking check. They must be built again."""

    def remaining_work(self) -> RemainingWork:
        """Return what Dagster's own re-execution from asset failure would run; a test compares the two."""
        completed = self.completed()
        assets = self.planned.keys() - completed.assets
        checks = self.planned_checks.keys() - completed.checks
        found = [*(self.planned[asset] for asset in assets), *(self.planned_checks[check] for check in checks)]
        # The configuration of a step inside a graph is under the graph's name.
        steps = {step.partition(".")[0] for step in found}
        return RemainingWork(frozenset(assets), frozenset(checks), frozenset(steps))

    def completed(self) -> Completed:
        """Return what need not run again."""
        checks = {check for check in self.evaluated if check.asset_key not in self.blocked}
        return Completed(frozenset(self.built - self.blocked), frozenset(checks))


def find_remaining_work(instance: dg.DagsterInstance, run_id: str) -> RemainingWork:
    """Return what a run did not complete. What the run that it resumed had completed counts as completed."""
    return _read_progress(instance, run_id).remaining_work()


def completed_in_parent(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Completed:
    """Return what was completed before a run that resumes a failed run by steps (`From failure` in the UI).

    Such a run plans everything that its steps can make. The result is empty for other runs, if the failed run was
    deleted, and if Dagster cannot carry over outputs.
    """
    if not run.is_resume_retry or run.parent_run_id is None or silent_output_metadata() is None:
        return Completed()
    return _read_progress(instance, run.parent_run_id).completed()


def remaining_in_step(
    completed: Completed, nodes: Mapping[dg.AssetKey, str], tests: Mapping[dg.AssetCheckKey, str], graph: Graph
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the nodes and tests of a step that must run: those not completed, and the nodes that read them.

    If everything was completed and the step failed nevertheless, all of it runs again.
    """
    again = {node for key, node in nodes.items() if key not in completed.assets}
    left = {test for key, test in tests.items() if key not in completed.checks}
    if not again and not left:
        return frozenset(nodes.values()), frozenset(tests.values())
    for node in sorted(nodes.values(), key=graph.position.__getitem__):
        if graph.parents(node) & again:
            again.add(node)
    left |= {test for key, test in tests.items() if nodes.get(key.asset_key) in again}
    return frozenset(again), frozenset(left)


def carry_over(outputs: Iterable[str]) -> Iterator[dg.Output[None]]:
    """Yield the outputs of completed nodes, so that Dagster does not skip the steps that read them.

    Dagster requires them in build order, and before the outputs that are built now.
    """
    for output in outputs:
        yield dg.Output(None, output_name=output, metadata=silent_output_metadata())


def _read_progress(instance: dg.DagsterInstance, run_id: str) -> RunProgress:
    run = instance.get_run_by_id(run_id)
    before = completed_in_parent(instance, run) if run else Completed()
    progress = RunProgress(built=set(before.assets), evaluated=set(before.checks))
    for entry in instance.all_logs(run_id, of_type=_TYPES):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key:
            progress.planned[event.asset_key] = event.step_key or ""
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            progress.built.add(event.asset_key)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            progress.planned_checks[event.asset_check_planned_data.asset_check_key] = event.step_key or ""
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if evaluation.blocking and not evaluation.passed:
                progress.blocked.add(evaluation.asset_key)
            else:
                progress.evaluated.add(evaluation.asset_check_key)
    return progress
