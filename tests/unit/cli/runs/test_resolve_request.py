"""The runs for a request, decided on small graphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from analytics_dagster.cli.runs.resolve_request import GroupRun, ResolvedRequest, Scope, resolve_request
from analytics_dagster.cli.runs.run_requests import require_full_refresh
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph


class Project:
    """A manifest of named nodes and what they read, and schedule groups that select them."""

    def __init__(
        self,
        nodes: Mapping[str, str],
        groups: Mapping[str, str],
        *,
        tests: Mapping[str, str] | None = None,
        unit_tests: Mapping[str, str] | None = None,
        on_overlap: str = "error",
        same: Mapping[str, str] | None = None,
        **rules: Mapping[str, Any],
    ) -> None:
        """Make it: ``nodes`` and ``tests`` read what their text lists, ``groups`` select what theirs does.

        A name in capitals is a source; ``same`` are sources that are the table of a node; ``rules`` are more keys of
        a group.
        """
        content = {f"m.{name}": self._node("model", reads) for name, reads in nodes.items()}
        content |= {f"t.{name}": self._node("test", reads) for name, reads in (tests or {}).items()}
        read = {name for reads in [*nodes.values(), *(tests or {}).values()] for name in reads.split()}
        manifest = {
            "nodes": content,
            "sources": {f"s.{name}": {"source_name": "raw", "name": name} for name in read if name.isupper()},
            "unit_tests": {f"u.{name}": self._node("unit_test", on) for name, on in (unit_tests or {}).items()},
        }
        for source, node in (same or {}).items():
            manifest["sources"][f"s.{source}"]["relation_name"] = content[f"m.{node}"]["relation_name"] = node
        file = ScheduleGroups.model_validate(
            {
                "on_overlap": on_overlap,
                "groups": [{"name": name, "select": name, **rules.get(name, {})} for name in groups],
            }
        )
        selected = {
            group.selection: frozenset(f"m.{name}" for name in groups[group.name].split())
            for group in file.groups
            if group.selection
        }
        self.plan: Plan = make_plan(file, manifest, selected).require()
        self.graph = Graph(manifest)

    @staticmethod
    def _node(kind: str, reads: str) -> dict[str, Any]:
        nodes = [f"{'s' if name.isupper() else 'm'}.{name}" for name in reads.split()]
        return {"resource_type": kind, "config": {}, "depends_on": {"nodes": nodes}}

    def choose(self, groups: str = "", selected: str | None = None, **asked: bool) -> ResolvedRequest:
        """Return the runs for groups, all by default, or for ids in these groups."""
        names = tuple(groups.split() or self.plan.by_name)
        ids = None if selected is None else frozenset(selected.split())
        return resolve_request(self.plan, self.graph, Scope(names, ids, **asked))


def shown(parts: Iterable[GroupRun]) -> list[str]:
    """Return each run as a line: its group, `!` for the whole job, and what runs."""
    return [
        f"{part.group}{'!' if part.whole else ''}: {' '.join(sorted([*part.nodes, *part.tests]))}" for part in parts
    ]


def after(choice: ResolvedRequest) -> dict[str, list[str]]:
    return {part.group: sorted(part.after) for part in choice.runs}


SHOP = Project(
    {"stg": "RAW", "orders": "stg", "customers": "RAW2", "ltv": "orders customers", "other": ""},
    {"hourly": "stg orders", "nightly": "ltv customers", "weekly": "other"},
    tests={"stg": "stg", "orders": "orders", "both": "orders customers", "ltv": "ltv", "raw": "RAW"},
    unit_tests={"ltv": "ltv"},
)


# --- groups -------------------------------------------------------------------------------------------------


def test_by_default_every_group_runs_whole_in_plan_order() -> None:
    choice = SHOP.choose()
    assert shown(choice.runs) == [
        "hourly!: m.orders m.stg t.orders t.raw t.stg",
        "nightly!: m.customers m.ltv t.both t.ltv",
        "weekly!: m.other",
    ]
    assert all(part.last for part in choice.runs)
    assert choice.sources == {"s.RAW", "s.RAW2"}


def test_a_named_group_runs_alone_and_whole() -> None:
    assert shown(SHOP.choose("nightly").runs) == ["nightly!: m.customers m.ltv t.both t.ltv"]


def test_unit_tests_run_only_if_the_setting_says_so() -> None:
    assert shown(SHOP.choose("nightly", unit_tests=True).runs) == ["nightly!: m.customers m.ltv t.both t.ltv u.ltv"]
    assert shown(SHOP.choose(selected="m.ltv u.ltv").runs) == ["nightly: m.ltv"]
    assert shown(SHOP.choose(selected="m.ltv u.ltv", unit_tests=True).runs) == ["nightly: m.ltv u.ltv"]


# --- blocked groups ------------------------------------------------------------------


def test_a_failed_group_blocks_only_the_groups_that_read_it() -> None:
    assert after(SHOP.choose()) == {"hourly": [], "nightly": ["hourly"], "weekly": []}


def test_a_test_that_reads_another_group_makes_its_group_wait() -> None:
    project = Project({"a": "", "b": ""}, {"one": "a", "two": "b"}, tests={"both": "a b"})
    assert after(project.choose()) == {"one": [], "two": ["one"]}


def test_a_group_that_runs_despite_failures_waits_for_none() -> None:
    nodes, groups = {"a": "", "b": "a"}, {"one": "a", "two": "b"}
    assert after(Project(nodes, groups, two={"on_upstream_failure": "run"}).choose())["two"] == []
    assert after(Project(nodes, groups, two={"on_upstream_failure": "skip"}).choose())["two"] == ["one"]


def test_reading_a_previous_run_blocks_nothing() -> None:
    project = Project({"a": "", "b": "a"}, {"one": "a", "two": "b"}, two={"reads_previous": ["one"]})
    assert after(project.choose())["two"] == []


# --- groups that read each other ----------------------------------------------------------------------------


def test_groups_that_read_each_other_run_in_stages() -> None:
    project = Project(
        {"a": "", "b": "a", "c": "b"},
        {"one": "a c", "two": "b"},
        tests={"c": "c", "a": "a"},
        unit_tests={"a": "a", "b": "b", "c": "c"},
        one={"reads_previous": ["two"]},
    )
    assert shown(project.choose(unit_tests=True).runs) == ["one: m.a t.a u.a", "two!: m.b u.b", "one: m.c t.c u.c"]
    choice = project.choose()
    assert shown(choice.runs) == ["one: m.a t.a", "two!: m.b", "one: m.c t.c"]
    assert [part.last for part in choice.runs] == [False, True, True], "what starts with a group, starts with its last"
    assert choice.runs[2].after == {"one"}, "a group that failed does not go on"
    assert shown(project.choose("one").runs) == ["one!: m.a m.c t.a t.c"], "alone it is one run"


# --- selections ---------------------------------------------------------------------------------------------


def test_selected_nodes_and_tests_run_in_their_groups_jobs_in_order() -> None:
    choice = SHOP.choose(selected="m.ltv m.orders t.orders t.both x.other")
    assert shown(choice.runs) == ["hourly: m.orders t.orders", "nightly: m.ltv t.both"]
    assert not any(part.last for part in choice.runs), "what starts with a whole group does not start"
    assert after(choice) == {"hourly": [], "nightly": ["hourly"]}


def test_selected_parts_without_an_edge_do_not_wait() -> None:
    assert after(SHOP.choose(selected="m.orders m.customers")) == {"hourly": [], "nightly": []}


def test_only_selected_nodes_of_a_named_group_run() -> None:
    assert shown(SHOP.choose("nightly", "m.ltv m.orders t.both").runs) == ["nightly: m.ltv t.both"]
    assert shown(SHOP.choose("weekly", "m.ltv").runs) == []


# --- upstream -----------------------------------------------------------------------------------------------


def test_upstream_adds_nodes_tests_and_sources() -> None:
    choice = SHOP.choose(selected="m.orders t.orders", upstream=True)
    assert shown(choice.runs) == ["hourly: m.orders m.stg t.orders t.raw t.stg"]
    assert choice.sources == {"s.RAW"}


def test_upstream_of_a_group_keeps_the_group_whole() -> None:
    choice = SHOP.choose("nightly", upstream=True)
    assert shown(choice.runs) == [
        "hourly: m.orders m.stg t.orders t.raw t.stg",
        "nightly!: m.customers m.ltv t.both t.ltv",
    ]
    assert after(choice)["nightly"] == ["hourly"]
    assert [part.last for part in choice.runs] == [False, True]


def test_upstream_of_a_group_adds_what_only_its_tests_read() -> None:
    project = Project({"a": "RAW", "b": ""}, {"one": "a", "two": "b"}, tests={"both": "a b", "a": "a"})
    choice = project.choose("two", upstream=True)
    assert shown(choice.runs) == ["one: m.a t.a", "two!: m.b t.both"]
    assert choice.sources == {"s.RAW"}


def test_a_test_that_reads_unselected_nodes_is_excluded_with_a_reason() -> None:
    choice = SHOP.choose(selected="m.orders t.orders t.both", upstream=True)
    assert shown(choice.runs) == ["hourly: m.orders m.stg t.orders t.raw t.stg"]
    assert choice.excluded == {
        "t.both": "it also reads m.customers, which is neither selected nor upstream of the selection"
    }
    assert SHOP.choose(selected="m.orders t.both").excluded == {}, "on a full warehouse it can be run"


def test_a_test_selected_alone_adds_everything_that_it_reads() -> None:
    choice = SHOP.choose(selected="t.both", upstream=True)
    assert shown(choice.runs) == ["hourly: m.orders m.stg t.orders t.raw t.stg", "nightly: m.customers t.both"]


def test_upstream_does_not_add_a_test_of_other_nodes() -> None:
    assert shown(SHOP.choose(selected="m.customers", upstream=True).runs) == ["nightly: m.customers"]


def test_a_test_of_a_source_runs_with_the_node_of_its_table() -> None:
    project = Project({"seed": "", "a": "seed"}, {"one": "seed a"}, tests={"raw": "RAW"}, same={"RAW": "seed"})
    assert shown(project.choose(selected="m.a", upstream=True).runs) == ["one: m.a m.seed t.raw"]


# --- nodes that several groups build ------------------------------------------------------------------------

SHARED = Project(
    {"x": "", "y": "x", "z": "y x"},
    {"one": "x y", "two": "x z"},
    tests={"x": "x", "z": "z"},
    on_overlap="all",
)


def test_a_node_in_two_groups_is_built_by_both_whole_jobs() -> None:
    assert shown(SHARED.choose().runs) == ["one!: m.x m.y t.x", "two!: m.z t.z"], "the whole job refreshes it too"


def test_a_group_named_alone_builds_what_it_refreshes() -> None:
    assert shown(SHARED.choose("two").runs) == ["two!: m.x m.z t.x t.z"]
    assert shown(SHARED.choose("two", "m.x m.y").runs) == ["two: m.x"]


def test_a_refreshed_node_is_built_by_its_own_group_first_if_needed() -> None:
    choice = SHARED.choose("two", upstream=True)
    assert shown(choice.runs) == ["one: m.x m.y", "two!: m.z t.x t.z"], "the test looks at what is left in the end"


# --- full refresh -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "refused"), [("", ["two"]), ("one", []), ("two", ["two"]), ("one two", ["two"])])
def test_a_full_refresh_is_refused_for_a_group_that_forbids_it(asked: str, refused: Sequence[str]) -> None:
    project = Project({"a": "", "b": ""}, {"one": "a", "two": "b"}, two={"full_refresh": "never"})
    parts = project.choose(asked).runs
    if not refused:
        require_full_refresh(project.plan, parts)
        return
    with pytest.raises(ScheduleGroupError, match=r"`full_refresh: never` for two\."):
        require_full_refresh(project.plan, parts)
