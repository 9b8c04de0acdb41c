"""Any dbt project, run for real and held against two independent accounts: what dbt alone builds, and lists by hand.

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
    """Return a list written by hand: words, one for each node, as `short` names them."""
    words = text.split()
    assert len(words) == len(set(words)), "a list written by hand names something twice"
    return frozenset(words)


@dataclass(frozen=True)
class Expected:
    """What a group's run executes, by hand; ``refreshed`` are nodes of other groups, with the tests of these."""

    nodes: frozenset[str] = frozenset()
    tests: frozenset[str] = frozenset()
    refreshed: frozenset[str] = frozenset()
    refreshed_tests: frozenset[str] = frozenset()
    unit_tests: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        """All that dbt is to execute in one run."""
        return self.nodes | self.tests | self.refreshed | self.refreshed_tests | self.unit_tests


@dataclass(frozen=True)
class Run:
    """One run of a group's job: what dbt recorded of it, and which events Dagster did."""

    group: str
    status: dg.DagsterRunStatus
    results: Mapping[str, str]
    materialized: Counter[str]
    checked: Counter[str]
    checked_assets: Mapping[str, dg.AssetKey]
    observations: int


@dataclass(frozen=True)
class Account:
    """What was done with a project: our command, run on an empty warehouse, and dbt's own `dbt build` elsewhere.

    ``expected`` is by group, in the order in which the groups are to run; ``plain`` is the status of all that dbt alone
    executed; ``plan`` is what `plan --json` prints.
    """

    copy: ProjectCopy
    expected: Mapping[str, Expected]
    said: subprocess.CompletedProcess[str]
    plain: Mapping[str, str]
    runs: tuple[Run, ...]
    plan: Mapping[str, Any]

    @property
    def running(self) -> Mapping[str, Expected]:
        """What is expected of the groups that have anything to run."""
        return {name: group for name, group in self.expected.items() if group.all}

    def run_of(self, group: str) -> Run:
        """Return the one run of a group."""
        (run,) = [run for run in self.runs if run.group == group]
        return run


def the_plan_names_for_each_group_what_its_runs_execute(account: Account) -> None:
    def planned(what: str) -> Mapping[str, set[str]]:
        return {
            name: {short(unique_id, account.copy) for unique_id in group[what]}
            for name, group in account.plan["groups"].items()
        }

    assert planned("nodes") == {name: group.nodes for name, group in account.expected.items()}
    assert planned("tests") == {name: group.tests for name, group in account.expected.items()}
    assert planned("refreshes") == {name: group.refreshed for name, group in account.expected.items()}
    assert planned("refreshed_tests") == {name: group.refreshed_tests for name, group in account.expected.items()}
    assert list(account.plan["groups"]) == list(account.expected)
    assert account.plan["problems"] == []


def every_run_of_the_first_build_succeeds(account: Account) -> None:
    assert {run.status for run in account.runs} <= {dg.DagsterRunStatus.SUCCESS}
    assert "not built" not in account.said.stdout


def the_groups_together_have_all_that_dbt_alone_builds_and_tests(account: Account) -> None:
    by_hand = [name for group in account.expected.values() for name in [*group.nodes, *group.tests]]
    assert Counter(by_hand) == Counter(name for name in account.plain if not name.startswith("unit_test."))


def the_groups_run_upstream_first(account: Account) -> None:
    assert [run.group for run in account.runs] == list(account.running)


def dbt_executes_in_each_run_what_is_the_groups_and_nothing_else(account: Account) -> None:
    executed = {run.group: sorted(run.results) for run in account.runs}
    assert executed == {name: sorted(group.all) for name, group in account.running.items()}


def every_node_comes_out_as_it_does_with_dbt_alone(account: Account) -> None:
    differing = [
        (run.group, name, status, account.plain[name])
        for run in account.runs
        for name, status in run.results.items()
        if status != account.plain[name]
    ]
    assert differing == []


def every_node_is_materialized_once_in_each_run_that_builds_it(account: Account) -> None:
    materialized = {run.group: run.materialized for run in account.runs}
    assert materialized == {name: Counter(group.nodes | group.refreshed) for name, group in account.running.items()}


def every_test_is_evaluated_once_as_a_check_of_an_asset(account: Account) -> None:
    checked = {run.group: run.checked for run in account.runs}
    assert checked == {
        name: Counter(group.tests | group.refreshed_tests | group.unit_tests) for name, group in account.running.items()
    }


def nothing_is_a_bare_observation(account: Account) -> None:
    assert {run.observations for run in account.runs} <= {0}


RULES: Sequence[Callable[[Account], None]] = (
    the_plan_names_for_each_group_what_its_runs_execute,
    every_run_of_the_first_build_succeeds,
    the_groups_together_have_all_that_dbt_alone_builds_and_tests,
    the_groups_run_upstream_first,
    dbt_executes_in_each_run_what_is_the_groups_and_nothing_else,
    every_node_comes_out_as_it_does_with_dbt_alone,
    every_node_is_materialized_once_in_each_run_that_builds_it,
    every_test_is_evaluated_once_as_a_check_of_an_asset,
    nothing_is_a_bare_observation,
)
"""What holds for every project."""


def give_account(
    copy: ProjectCopy, expected: Mapping[str, Expected], folder: Path, additions: Mapping[str, str] | None = None
) -> Account:
    """Build two copies of a project at once: one with dbt alone, one through Dagster.

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
    return Account(ours, expected, said, plain, tuple(runs_of(ours)), plan_of(ours))


def plan_of(copy: ProjectCopy, **others: str) -> Mapping[str, Any]:
    """Return what `plan --json` prints of a project, without a process of its own; ``others`` are more variables."""
    with pytest.MonkeyPatch.context() as patch:
        # Away from a developer's `.env`.
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
    """Yield every run that the copy's Dagster home knows, oldest first."""
    if not (copy.folder / "home" / "dagster.yaml").exists():
        return
    with dg.DagsterInstance.from_config(str(copy.folder / "home")) as instance:
        for run in reversed(instance.get_runs()):
            # One build for each group whose nodes the run has: others' nodes are refreshed as these would build them.
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
    """Return `model.orders` for `model.project.orders`, `model.package:orders` for another package's.

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
