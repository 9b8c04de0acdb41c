"""Builds any dbt project and compares the result with a build by dbt alone and with lists written by hand.

A test file names a project and writes down, group by group, what it expects; the rules are the same for all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from analytics_dagster.assets.keys import DOCS
from analytics_dagster.cli import app
from tests.conftest import ProjectCopy, copy_project

DBT = Path(sys.executable).with_name("dbt")
BUILT = {"model", "seed", "snapshot", "function"}

_HASH = re.compile(r"\.[0-9a-f]{10}$")


def names(text: str) -> frozenset[str]:
    """Return a list written by hand: one word for each node, as `short` names it."""
    words = text.split()
    assert len(words) == len(set(words)), "a name appears twice in a list written by hand"
    return frozenset(words)


@dataclass(frozen=True)
class Expected:
    """The expected nodes and tests of a group's run; ``refreshed`` are nodes of other groups, with their tests."""

    nodes: frozenset[str] = frozenset()
    tests: frozenset[str] = frozenset()
    refreshed: frozenset[str] = frozenset()
    refreshed_tests: frozenset[str] = frozenset()
    unit_tests: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        """Everything that dbt should execute in one run."""
        return self.nodes | self.tests | self.refreshed | self.refreshed_tests | self.unit_tests


@dataclass(frozen=True)
class Run:
    """One run of a group's job: dbt's results and Dagster's events."""

    group: str
    status: dg.DagsterRunStatus
    results: Mapping[str, str]
    materialized: Counter[str]
    checked: Counter[str]
    checked_assets: Mapping[str, dg.AssetKey]
    observations: int


@dataclass(frozen=True)
class Comparison:
    """A project that was built twice: by our command on an empty warehouse, and by `dbt build` in a copy.

    ``expected`` is by group, in the order in which the groups should run; ``plain`` has the statuses of dbt alone;
    ``plan`` is the output of `plan --json`.
    """

    copy: ProjectCopy
    expected: Mapping[str, Expected]
    said: subprocess.CompletedProcess[str]
    plain: Mapping[str, str]
    runs: tuple[Run, ...]
    plan: Mapping[str, Any]

    @property
    def running(self) -> Mapping[str, Expected]:
        """What is expected of the groups that have nodes or tests."""
        return {name: group for name, group in self.expected.items() if group.all}

    def run_of(self, group: str) -> Run:
        """Return the one run of a group."""
        (run,) = [run for run in self.runs if run.group == group]
        return run


def the_plan_lists_what_each_groups_run_executes(comparison: Comparison) -> None:
    def planned(what: str) -> Mapping[str, set[str]]:
        return {
            name: {short(unique_id, comparison.copy) for unique_id in group[what]}
            for name, group in comparison.plan["groups"].items()
        }

    assert planned("nodes") == {name: group.nodes for name, group in comparison.expected.items()}
    assert planned("tests") == {name: group.tests for name, group in comparison.expected.items()}
    assert planned("refreshes") == {name: group.refreshed for name, group in comparison.expected.items()}
    assert planned("refreshed_tests") == {name: group.refreshed_tests for name, group in comparison.expected.items()}
    assert list(comparison.plan["groups"]) == list(comparison.expected)
    assert comparison.plan["problems"] == []


def every_run_of_the_first_build_succeeds(comparison: Comparison) -> None:
    assert {run.status for run in comparison.runs} <= {dg.DagsterRunStatus.SUCCESS}
    assert "not built" not in comparison.said.stdout


def the_groups_together_execute_what_dbt_alone_executes(comparison: Comparison) -> None:
    by_hand = [name for group in comparison.expected.values() for name in [*group.nodes, *group.tests]]
    assert Counter(by_hand) == Counter(name for name in comparison.plain if not name.startswith("unit_test."))


def the_groups_run_upstream_first(comparison: Comparison) -> None:
    assert [run.group for run in comparison.runs] == list(comparison.running)


def each_run_executes_exactly_its_groups_nodes_and_tests(comparison: Comparison) -> None:
    executed = {run.group: sorted(run.results) for run in comparison.runs}
    assert executed == {name: sorted(group.all) for name, group in comparison.running.items()}


def every_node_has_the_same_status_as_with_dbt_alone(comparison: Comparison) -> None:
    differing = [
        (run.group, name, status, comparison.plain[name])
        for run in comparison.runs
        for name, status in run.results.items()
        if status != comparison.plain[name]
    ]
    assert differing == []


def every_node_is_materialized_once_in_each_run_that_builds_it(comparison: Comparison) -> None:
    materialized = {run.group: run.materialized for run in comparison.runs}
    assert materialized == {name: Counter(group.nodes | group.refreshed) for name, group in comparison.running.items()}


def every_test_is_evaluated_once_as_a_check_of_an_asset(comparison: Comparison) -> None:
    checked = {run.group: run.checked for run in comparison.runs}
    assert checked == {
        name: Counter(group.tests | group.refreshed_tests | group.unit_tests)
        for name, group in comparison.running.items()
    }


def no_test_is_only_an_observation(comparison: Comparison) -> None:
    assert {run.observations for run in comparison.runs} <= {0}


RULES: Sequence[Callable[[Comparison], None]] = (
    the_plan_lists_what_each_groups_run_executes,
    every_run_of_the_first_build_succeeds,
    the_groups_together_execute_what_dbt_alone_executes,
    the_groups_run_upstream_first,
    each_run_executes_exactly_its_groups_nodes_and_tests,
    every_node_has_the_same_status_as_with_dbt_alone,
    every_node_is_materialized_once_in_each_run_that_builds_it,
    every_test_is_evaluated_once_as_a_check_of_an_asset,
    no_test_is_only_an_observation,
)
"""The rules that hold for every project."""


def build_both(
    copy: ProjectCopy, expected: Mapping[str, Expected], folder: Path, additions: Mapping[str, str] | None = None
) -> Comparison:
    """Build two copies of a project in parallel: one with dbt alone, one through Dagster.

    ``additions`` are what is to be added to the end of some of its files.
    """
    alone, ours = (copy_project(_below(copy, folder / name)) for name in ("alone", "ours"))
    for path, addition in (additions or {}).items():
        for one in (alone, ours):
            with (one.root / path).open("a") as file:
                file.write(addition)
    with ours.start("build") as building:
        plain = build_with_dbt_alone(alone)
        stdout, stderr = building.communicate(timeout=500)
    said = subprocess.CompletedProcess("build", building.returncode, stdout, stderr)
    assert said.returncode == 0, said.stdout + said.stderr
    return Comparison(ours, expected, said, plain, tuple(runs_of(ours)), plan_of(ours))


def plan_of(copy: ProjectCopy, **others: str) -> Mapping[str, Any]:
    """Return the output of `plan --json` for a project, in this process; ``others`` are more variables."""
    with pytest.MonkeyPatch.context() as patch:
        # Not in a folder that may have a developer's `.env`.
        patch.chdir(copy.folder)
        for name, value in {**copy.environment, **others}.items():
            patch.setenv(name, value)
        planned = CliRunner().invoke(app, ["plan", "--json"])
    document: Mapping[str, Any] = json.loads(planned.stdout)
    return document


def build_with_dbt_alone(copy: ProjectCopy) -> Mapping[str, str]:
    """Run `dbt build` as a developer would, and return the status of each node and test that it executed."""
    where = ["--project-dir", str(copy.project), "--profiles-dir", str(copy.project / copy.profiles)]
    commands = [["deps"]] if (copy.project / "packages.yml").exists() else []
    for command in [*commands, ["build", "--target-path", str(copy.artifacts)]]:
        done = subprocess.run(
            [DBT, *command, *where],
            env={**os.environ, "DO_NOT_TRACK": "1", **copy.variables},
            cwd=copy.project,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return _results(copy.artifacts, copy)


def runs_of(copy: ProjectCopy) -> Iterator[Run]:
    """Yield every run in the copy's Dagster home, oldest first."""
    if not (copy.folder / "home" / "dagster.yaml").exists():
        return
    with dg.DagsterInstance.from_config(str(copy.folder / "home")) as instance:
        for run in reversed(instance.get_runs()):
            # One build for each group that owns nodes of the run: refreshed nodes are built like in their own group.
            folders = sorted((copy.artifacts / "runs").glob(f"{run.run_id}-dbt_*"))
            events = [record.dagster_event for record in instance.all_logs(run.run_id) if record.dagster_event]
            checks = [
                event.asset_check_evaluation_data
                for event in events
                if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
            ]
            yield Run(
                group=run.job_name,
                status=run.status,
                results=_once([item for folder in folders for item in _results(folder, copy).items()]),
                materialized=Counter(
                    _short(event.step_materialization_data.materialization.metadata, copy)
                    for event in events
                    if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and not _is_docs(event)
                ),
                checked=Counter(_short(check.metadata, copy) for check in checks),
                checked_assets={_short(check.metadata, copy): check.asset_key for check in checks},
                observations=sum(event.event_type is dg.DagsterEventType.ASSET_OBSERVATION for event in events),
            )


def _is_docs(event: dg.DagsterEvent) -> bool:
    return event.asset_key is not None and event.asset_key.path[0] == DOCS


def short(unique_id: str, copy: ProjectCopy) -> str:
    """Return `model.orders` for `model.project.orders`, and `model.package:orders` for another package.

    The hash at the end of a generic test goes, and a unit test is named without its model.
    """
    kind, package, name = unique_id.split(".", 2)
    name = _HASH.sub("", name)
    return f"{kind}.{name}" if package.lower() == copy.name.lower() else f"{kind}.{package}:{name}"


def _below(copy: ProjectCopy, folder: Path) -> ProjectCopy:
    return ProjectCopy(folder, copy.name, copy.inside, copy.profiles, copy.target_path, copy.variables)


def _short(metadata: Mapping[str, Any], copy: ProjectCopy) -> str:
    return short(str(metadata["unique_id"].value), copy)


def _results(folder: Path, copy: ProjectCopy) -> Mapping[str, str]:
    path = folder / "run_results.json"
    if not path.exists():
        return {}
    results = json.loads(path.read_text())["results"]
    executed: Iterable[tuple[str, str]] = ((item["unique_id"], item["status"]) for item in results)
    found = [
        (short(name, copy), status) for name, status in executed if name.split(".")[0] in {*BUILT, "test", "unit_test"}
    ]
    return _once(found)


def _once(results: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    twice = [name for name, count in Counter(name for name, _ in results).items() if count > 1]
    assert twice == [], "executed twice"
    return dict(results)
