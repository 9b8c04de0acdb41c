"""The groups' jobs of any project together execute what one `dbt build` executes, once and in a valid order.

The projects are random (`drawn_project`). The expected values are dbt's own: `dbt ls` lists what the groups select,
and a plain `dbt build` of a copy what has to be executed. The actual values are each run's `run_results.json` and
Dagster's events. `PROPERTY_EXAMPLES=50 pytest -m thorough` on this file draws fifty more projects.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.location import Location, build_location, prepare_location
from tests.conftest import ProjectCopy
from tests.integration.drawn_project import NAME, Drawn, draw_project

pytestmark = pytest.mark.integration

MORE = int(os.environ.get("PROPERTY_EXAMPLES", "1"))
BUILT = ("model", "seed", "snapshot")


# --- dbt alone --------------------------------------------------------------------------------------------------

_TRUTH = """
import json, sys
from dbt.cli.main import dbtRunner
selections = json.loads(sys.argv[1])
manifest = dbtRunner().invoke(["parse", "--quiet"]).result
runner = dbtRunner(manifest=manifest)
listed = {}
for name, arguments in selections.items():
    lines = runner.invoke(["ls", "--quiet", *arguments, "--output", "json", "--output-keys", "unique_id"]).result
    listed[name] = [json.loads(line)["unique_id"] for line in lines or []]
built = runner.invoke(["build", "--quiet"])
with open("expected.json", "w") as file:
    json.dump({"listed": listed, "success": built.success}, file)
"""


@dataclass(frozen=True)
class DbtAlone:
    """The results of dbt alone: the nodes of each selection, and the status of everything that it executed."""

    drawn: Drawn
    selected: Mapping[str, frozenset[str]]
    statuses: Mapping[str, str]
    manifest: Mapping[str, Any]

    @cached_property
    def built(self) -> frozenset[str]:
        """All nodes that were built."""
        return frozenset(one for one in self.statuses if one.startswith(BUILT))

    @cached_property
    def tests(self) -> frozenset[str]:
        """All data tests and unit tests."""
        return frozenset(self.statuses) - self.built

    def selecting(self, node: str) -> list[str]:
        """Return the groups that select a node."""
        return [name for name in self.drawn.groups if node in self.selected[name]]

    def owner(self, node: str) -> str:
        """Return the group that a node belongs to; the last group in the file is the default."""
        return [*self.selecting(node), *list(self.drawn.groups)[-1:]][0]

    def builds(self, group: str) -> set[str]:
        """Return what a run of a group builds."""
        everyone = self.drawn.on_overlap == "all"
        return {
            node for node in self.built if self.owner(node) == group or (everyone and group in self.selecting(node))
        }

    def parents(self, one: str) -> set[str]:
        """Return the nodes that a node or test reads, through ephemeral models."""
        entry = self.manifest["unit_tests"].get(one) or self.manifest["nodes"][one]
        found = set()
        for read in entry["depends_on"].get("nodes") or []:
            if read in self.built:
                found.add(read)
            elif read in self.manifest["nodes"]:
                found |= self.parents(read)
        return found

    def has_cycle(self) -> bool:
        """Return whether groups read each other."""
        left = {
            group: {
                self.owner(parent) for node in self.builds(group) for parent in self.parents(node) - self.builds(group)
            }
            for group in self.drawn.groups
        }
        while free := [group for group, others in left.items() if not others & left.keys()]:
            for group in free:
                del left[group]
        return bool(left)


def start_dbt_alone(drawn: Drawn, folder: Path) -> subprocess.Popen[str]:
    """Start a process in which dbt alone lists what the groups select and builds everything."""
    selections = {name: _arguments(selection) for name, selection in drawn.groups.items()}
    return subprocess.Popen(
        [sys.executable, "-c", _TRUTH, json.dumps(selections)],
        cwd=drawn.write(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _arguments(selection: str) -> list[str]:
    option, value = shlex.split(selection)
    return [f"--{option.rstrip(':')}", value]


def read_dbt_alone(drawn: Drawn, folder: Path) -> DbtAlone:
    told = json.loads((folder / NAME / "expected.json").read_text())
    assert told["success"]
    target = folder / NAME / "target"
    results = json.loads((target / "run_results.json").read_text())["results"]
    return DbtAlone(
        drawn,
        {name: frozenset(listed) for name, listed in told["listed"].items()},
        {item["unique_id"]: item["status"] for item in results},
        json.loads((target / "manifest.json").read_text()),
    )


# --- our runs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A run of a group's job: dbt's results (status, start, end) and Dagster's events."""

    group: str
    succeeded: bool
    results: Mapping[str, tuple[str, str, str]]
    materialized: Counter[str]
    checked: Counter[str]
    observations: int


def run_all(location: Location, copy: ProjectCopy) -> list[Run]:
    """Run every group's job on an empty warehouse, in the plan's order."""
    with dg.DagsterInstance.ephemeral() as instance:
        for group in location.plan.groups:
            if not group.is_empty:
                job = location.definitions.resolve_job_def(group.group.name)
                job.execute_in_process(instance=instance, raise_on_error=False)
        return list(_runs(instance, copy))


def run_in_stages(copy: ProjectCopy) -> list[Run]:
    """Run our command, which can build groups that read each other even without previous runs."""
    done = copy.run("build", ANALYTICS_UNIT_TESTS="true")
    assert done.returncode == 0, done.stdout + done.stderr
    with dg.DagsterInstance.from_config(str(copy.folder / "home")) as instance:
        return list(_runs(instance, copy))


def _runs(instance: dg.DagsterInstance, copy: ProjectCopy) -> Iterator[Run]:
    for run in reversed(instance.get_runs()):
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
        kinds = Counter(one.event_type for one in events)
        yield Run(
            group=run.job_name,
            succeeded=run.status is dg.DagsterRunStatus.SUCCESS,
            results=dict(_results(sorted((copy.artifacts / "runs").glob(f"{run.run_id}-*/run_results.json")))),
            materialized=Counter(
                str(one.step_materialization_data.materialization.metadata["unique_id"].value)
                for one in events
                if one.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION
            ),
            checked=Counter(
                str(one.asset_check_evaluation_data.metadata["unique_id"].value)
                for one in events
                if one.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
            ),
            observations=kinds[dg.DagsterEventType.ASSET_OBSERVATION],
        )


def _results(paths: Sequence[Path]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    seen = set()
    for path in paths:
        for item in json.loads(path.read_text())["results"]:
            assert item["unique_id"] not in seen, f"{item['unique_id']} is executed twice in one run"
            seen.add(item["unique_id"])
            times = [time for step in item["timing"] for time in (step["started_at"], step["completed_at"])]
            yield item["unique_id"], (item["status"], min(times), max(times))


# --- the property -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(222, id="groups apart, one of them a YAML selector", marks=pytest.mark.thorough),
        pytest.param(96, id="nodes that two groups refresh", marks=pytest.mark.thorough),
        pytest.param(61, id="groups that read each other"),
        pytest.param(310, id="an overlap that is an error", marks=pytest.mark.thorough),
        pytest.param(82, id="three groups of which the first has what several select", marks=pytest.mark.thorough),
    ],
)
def test_the_groups_jobs_execute_once_what_dbt_build_executes(seed: int, tmp_path: Path) -> None:
    compare_with_dbt(draw_project(seed), tmp_path)


@pytest.mark.thorough
@settings(
    deadline=None,
    max_examples=MORE,
    # No shrinking: each try takes half a minute, and the seed reproduces the project.
    phases=[Phase.generate],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_projects_are_executed_like_by_dbt_build(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    compare_with_dbt(draw_project(seed), tmp_path_factory.mktemp(f"seed_{seed}_"))


def compare_with_dbt(drawn: Drawn, folder: Path) -> None:
    """Build a project with dbt alone and with our jobs, and compare the results."""
    copy = ProjectCopy(folder / "ours", NAME)
    drawn.write(copy.folder)
    with start_dbt_alone(drawn, folder / "expected") as process:
        (copy.root / "schedule_groups.yaml").write_text(drawn.groups_file({}))
        prepare_location(copy.settings(), lambda _: None)
        said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    expected = read_dbt_alone(drawn, folder / "expected")
    location = load(drawn, copy, expected)
    in_stages = expected.has_cycle()
    runs = run_in_stages(copy) if in_stages else run_all(location, copy)
    every_run_succeeds_and_every_status_is_dbts_own(expected, runs)
    everything_is_executed_as_often_as_expected(expected, runs, in_stages=in_stages)
    each_group_builds_its_selection(expected, runs)
    dagsters_events_match_dbts_results(expected, runs)
    everything_came_after_its_parents(expected, runs)


def load(drawn: Drawn, copy: ProjectCopy, expected: DbtAlone) -> Location:
    """Return the code location; its problems are compared with dbt's results and resolved by their remedies."""
    previous: dict[str, set[str]] = {}
    for _ in range(3):
        (copy.root / "schedule_groups.yaml").write_text(drawn.groups_file(previous))
        try:
            return build_location(copy.settings(unit_tests=True))
        except ScheduleGroupError as error:
            said = str(error)
        if "selected by more than one" in said:
            told = set(re.findall(r"^    (\S+) \(", said.partition("wait for each other")[0], re.MULTILINE))
            assert told == {node for node in expected.built if len(expected.selecting(node)) > 1}
            drawn.on_overlap = "first"
        else:
            assert "wait for each other" in said
            assert expected.has_cycle()
            for upstream, downstream in re.findall(r"`reads_previous: \[(\w+)\]` at (\w+)\.", said):
                previous.setdefault(downstream, set()).add(upstream)
    raise AssertionError(said)


def every_run_succeeds_and_every_status_is_dbts_own(expected: DbtAlone, runs: Sequence[Run]) -> None:
    assert all(run.succeeded for run in runs)
    for run in runs:
        assert {one: status for one, (status, _, _) in run.results.items()} == {
            one: expected.statuses[one] for one in run.results
        }


def everything_is_executed_as_often_as_expected(expected: DbtAlone, runs: Sequence[Run], *, in_stages: bool) -> None:
    executed = Counter(one for run in runs for one in run.results)
    assert executed.keys() == expected.statuses.keys(), "nothing is lost and nothing else is executed"
    if expected.drawn.on_overlap != "all":
        assert set(executed.values()) == {1}
    elif not in_stages:
        nodes = Counter(node for group in expected.drawn.groups for node in expected.builds(group))
        assert {one: count for one, count in executed.items() if one in expected.built} == nodes
        by_group = {run.group: run for run in runs}
        for group, run in by_group.items():
            builds = expected.builds(group)
            refreshes = {node for node in builds if expected.owner(node) != group}
            for test in expected.tests:
                parents = expected.parents(test)
                if parents & refreshes and parents <= builds and not test.startswith("unit_test."):
                    assert test in run.results, f"{group} refreshes {parents}, and does not test it"


def each_group_builds_its_selection(expected: DbtAlone, runs: Sequence[Run]) -> None:
    by_group: dict[str, set[str]] = {}
    for run in runs:
        by_group.setdefault(run.group, set()).update(run.results)
    for node in expected.built:
        assert node in by_group[expected.owner(node)]


def dagsters_events_match_dbts_results(expected: DbtAlone, runs: Sequence[Run]) -> None:
    for run in runs:
        assert run.materialized == dict.fromkeys(expected.built & run.results.keys(), 1)
        assert run.checked == dict.fromkeys(expected.tests & run.results.keys(), 1)
        assert run.observations == 0


def everything_came_after_its_parents(expected: DbtAlone, runs: Sequence[Run]) -> None:
    first: dict[str, tuple[str, str]] = {}
    for run in runs:
        for one, (_, start, end) in run.results.items():
            first.setdefault(one, (start, end))
    for one, (start, _) in first.items():
        if not one.startswith("unit_test."):
            late = {parent for parent in expected.parents(one) if first[parent][1] > start}
            assert not late, f"{one} came before {late}"
