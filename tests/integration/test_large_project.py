"""A random project of 3,000 models with 6,000 tests: its plan is correct and made in seconds."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.files import find_project
from analytics_dagster.project.loading import Project, load_project, prepare_manifest
from analytics_dagster.project.profile import load_target
from analytics_dagster.settings import Settings
from benchmarks.generate import DEFAULT, GROUPS, Drawn, draw, write

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200), pytest.mark.thorough]

MODELS, TESTS = 3000, 6000

# Loads the location like any of its processes, and prints what is in it.
_LOAD = """
import json, time
started = time.process_time()
import dagster, dagster_dbt
imported = time.process_time()
from analytics_dagster.definitions import defs
loaded = time.process_time()
graph = defs.resolve_asset_graph()
resolved = time.process_time()
print(json.dumps({
    "groups": [[key.path, graph.get(key).group_name] for key in graph.get_all_asset_keys()],
    "checks": [[key.asset_key.path, key.name] for key in graph.asset_check_keys],
    "seconds": {"libraries": imported - started, "definitions": loaded - imported, "graph": resolved - loaded},
}))
"""


@dataclass(frozen=True)
class Large:
    """The drawn project, dbt's manifest of it, and its plan."""

    drawn: Drawn
    settings: Settings
    project: Project
    plan: Plan

    def sources_and_nodes(self, names: Iterable[str]) -> set[str]:
        """Return the named sources and nodes, with the parents of ephemeral models in place of these."""
        found: set[str] = set()
        for name in names:
            node = self.drawn.nodes[name]
            found |= self.sources_and_nodes(node.reads) if node.materialized == "ephemeral" else {name}
        return found

    def group_of_test(self, name: str) -> str:
        """Return the group of a test: the last group whose nodes it reads, in the order of `GROUPS`."""
        reads = self.sources_and_nodes(self.drawn.tests[name].reads)
        places = [node.group for node in map(self.drawn.nodes.__getitem__, reads) if node.group is not None]
        if places:
            return GROUPS[max(places)]
        # Only sources: the first group that reads one of them.
        places = [
            node.group
            for node in self.drawn.nodes.values()
            if node.group is not None and self.sources_and_nodes(node.reads) & reads
        ]
        return GROUPS[min(places, default=DEFAULT)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Large:
    """Return the project, parsed by dbt, with its plan."""
    folder = tmp_path_factory.mktemp("large")
    drawn = draw(MODELS, TESTS, seed=1)
    write(drawn, folder)
    settings = Settings(
        dbt_project_dir=folder, schedule_groups_file=folder / "schedule_groups.yaml", data_dir=folder / "data"
    )
    groups = load_groups(settings)
    moments = [_processor_seconds()]
    files = find_project(settings)
    target = load_target(files)
    prepare_manifest(files, target, groups.selections, _print)
    moments.append(_processor_seconds())
    project = load_project(files, target, groups.selections)
    moments.append(_processor_seconds())
    plan = make_plan(groups, project.manifest, project.selected)
    moments.append(_processor_seconds())
    prepared, read, planned = (after - before for before, after in itertools.pairwise(moments))
    _print(f"seconds of processor time: prepared in {prepared:.1f}, read in {read:.2f}, planned in {planned:.2f}")
    return Large(drawn, settings, project, plan)


def test_every_node_is_in_the_group_of_its_tag(large: Large) -> None:
    planned = {node.split(".")[2]: name for node, name in large.plan.group_of.items()}
    assert planned == {node.name: GROUPS[node.group] for node in large.drawn.nodes.values() if node.group is not None}
    assert len(planned) == len(large.plan.group_of)


def test_every_test_is_in_the_last_group_whose_data_it_reads(large: Large) -> None:
    planned = Counter(
        (test.unique_id.split(".")[2], part.group.name) for part in large.plan.groups for test in part.tests
    )
    assert planned == Counter((name, large.group_of_test(name)) for name in large.drawn.tests)
    assert sum(planned.values()) == TESTS


def test_the_groups_are_in_the_expected_order_without_problems(large: Large) -> None:
    assert [part.group.name for part in large.plan.groups] == list(GROUPS)
    assert {(edge.upstream, edge.downstream) for edge in large.plan.edges} == {
        ("hourly", "nightly"),
        ("hourly", "weekly"),
        ("nightly", "weekly"),
    }
    assert (large.plan.problems, large.plan.warnings) == ((), ())


def test_the_location_has_an_asset_for_every_table_and_a_check_for_every_test(large: Large) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOAD],
        env={
            **os.environ,
            "ANALYTICS_DBT_PROJECT_DIR": str(large.settings.project_dir),
            "ANALYTICS_SCHEDULE_GROUPS_FILE": str(large.settings.schedule_groups_file),
            "ANALYTICS_DATA_DIR": str(large.settings.local_data_dir),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    told: dict[str, Any] = json.loads(done.stdout)
    _print("loaded in " + ", ".join(f"{what} {seconds:.1f}" for what, seconds in told["seconds"].items()))
    groups = {"/".join(path): group for path, group in told["groups"]}
    assert len(groups) == len(told["groups"])
    assert groups == {
        f"raw/{node.name}" if node.kind == "source" else node.name: "sources"
        if node.group is None
        else GROUPS[node.group]
        for node in large.drawn.nodes.values()
        if node.materialized != "ephemeral"
    }
    assert Counter(name for _, name in told["checks"]) == Counter(list(large.drawn.tests))


def _processor_seconds() -> float:
    """Return the CPU seconds of this process and its ended children: wall time depends on the machine's load."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _print(figures: str) -> None:
    # Shown by `pytest -s`; no test depends on the figures.
    print(figures)  # noqa: T201
