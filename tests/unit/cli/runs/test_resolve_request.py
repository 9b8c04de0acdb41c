"""What is to run for what was asked: decided on small graphs made by hand."""

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


class World:
    """A manifest whose nodes are named with what they read, and schedule groups whose selections name them."""

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
            group.selection: frozenset(f"m.{name}" for name in groups[group.name].split()) for group in file.groups
        }
        self.plan: Plan = make_plan(file, manifest, selected).require()
        self.graph = Graph(manifest)

    @staticmethod
    def _node(kind: str, reads: str) -> dict[str, Any]:
        nodes = [f"{'s' if name.isupper() else 'm'}.{name}" for name in reads.split()]
        return {"resource_type": kind, "config": {}, "depends_on": {"nodes": nodes}}

    def choose(self, groups: str = "", selected: str | None = None, **asked: bool) -> ResolvedRequest:
        """Ask for groups, or ids of these groups; all groups without."""
        names = tuple(groups.split() or self.plan.by_name)
        ids = None if selected is None else frozenset(selected.split())
        return resolve_request(self.plan, self.graph, Scope(names, ids, **asked))


def shown(parts: Iterable[GroupRun]) -> list[str]:
    """Return each part as a line: its group, `!` where it is the whole job, and what runs."""
    return [
        f"{part.group}{'!' if part.whole else ''}: {' '.join(sorted([*part.nodes, *part.tests]))}" for part in parts
    ]


def after(choice: ResolvedRequest) -> dict[str, list[str]]:
    return {part.group: sorted(part.after) for part in choice.runs}


SHOP = World(
    {"stg": "RAW", "orders": "stg", "customers": "RAW2", "ltv": "orders customers", "other": ""},
    {"hourly": "stg orders", "nightly": "ltv customers", "weekly": "other"},
    tests={"stg": "stg", "orders": "orders", "both": "orders customers", "ltv": "ltv", "raw": "RAW"},
    unit_tests={"ltv": "ltv"},
)


# --- groups -------------------------------------------------------------------------------------------------


def test_without_a_word_every_group_runs_whole_in_the_plans_order() -> None:
    choice = SHOP.choose()
    assert shown(choice.runs) == [
        "hourly!: m.orders m.stg t.orders t.raw t.stg",
        "nightly!: m.customers m.ltv t.both t.ltv",
        "weekly!: m.other",
    ]
    assert all(part.last for part in choice.runs)
    assert choice.sources == {"s.RAW", "s.RAW2"}


def test_a_named_group_runs_whole_and_alone() -> None:
    assert shown(SHOP.choose("nightly").runs) == ["nightly!: m.customers m.ltv t.both t.ltv"]


def test_unit_tests_are_chosen_where_runs_execute_them() -> None:
    assert shown(SHOP.choose("nightly", unit_tests=True).runs) == ["nightly!: m.customers m.ltv t.both t.ltv u.ltv"]
    assert shown(SHOP.choose(selected="m.ltv u.ltv").runs) == ["nightly: m.ltv"]
    assert shown(SHOP.choose(selected="m.ltv u.ltv", unit_tests=True).runs) == ["nightly: m.ltv u.ltv"]


# --- what keeps a group from being started ------------------------------------------------------------------


def test_a_failed_group_keeps_those_from_starting_that_read_it_and_no_others() -> None:
    assert after(SHOP.choose()) == {"hourly": [], "nightly": ["hourly"], "weekly": []}


def test_a_test_that_reads_another_group_makes_its_own_wait_for_it() -> None:
    world = World({"a": "", "b": ""}, {"one": "a", "two": "b"}, tests={"both": "a b"})
    assert after(world.choose()) == {"one": [], "two": ["one"]}


def test_a_group_that_is_to_run_all_the_same_waits_for_none() -> None:
    nodes, groups = {"a": "", "b": "a"}, {"one": "a", "two": "b"}
    assert after(World(nodes, groups, two={"on_upstream_failure": "run"}).choose())["two"] == []
    assert after(World(nodes, groups, two={"on_upstream_failure": "skip"}).choose())["two"] == ["one"]


def test_what_is_read_as_the_last_run_left_it_keeps_nothing_from_starting() -> None:
    world = World({"a": "", "b": "a"}, {"one": "a", "two": "b"}, two={"reads_previous": ["one"]})
    assert after(world.choose())["two"] == []


# --- groups that read each other ----------------------------------------------------------------------------


def test_groups_that_read_each_other_run_in_stages_so_that_an_empty_warehouse_will_do() -> None:
    world = World(
        {"a": "", "b": "a", "c": "b"},
        {"one": "a c", "two": "b"},
        tests={"c": "c", "a": "a"},
        unit_tests={"a": "a", "b": "b", "c": "c"},
        one={"reads_previous": ["two"]},
    )
    assert shown(world.choose(unit_tests=True).runs) == ["one: m.a t.a u.a", "two!: m.b u.b", "one: m.c t.c u.c"]
    choice = world.choose()
    assert shown(choice.runs) == ["one: m.a t.a", "two!: m.b", "one: m.c t.c"]
    assert [part.last for part in choice.runs] == [False, True, True], "what starts with a group, starts with its last"
    assert choice.runs[2].after == {"one"}, "a group that failed does not go on"
    assert shown(world.choose("one").runs) == ["one!: m.a m.c t.a t.c"], "alone it is one run"


# --- selections ---------------------------------------------------------------------------------------------


def test_selected_nodes_and_tests_run_in_their_groups_jobs_in_order() -> None:
    choice = SHOP.choose(selected="m.ltv m.orders t.orders t.both x.other")
    assert shown(choice.runs) == ["hourly: m.orders t.orders", "nightly: m.ltv t.both"]
    assert not any(part.last for part in choice.runs), "what starts with a whole group does not start"
    assert after(choice) == {"hourly": [], "nightly": ["hourly"]}


def test_selected_parts_that_do_not_read_each_other_wait_for_none() -> None:
    assert after(SHOP.choose(selected="m.orders m.customers")) == {"hourly": [], "nightly": []}


def test_of_a_named_group_only_what_is_selected_runs() -> None:
    assert shown(SHOP.choose("nightly", "m.ltv m.orders t.both").runs) == ["nightly: m.ltv t.both"]
    assert shown(SHOP.choose("weekly", "m.ltv").runs) == []


# --- upstream -----------------------------------------------------------------------------------------------


def test_upstream_brings_all_that_is_read_with_its_tests_and_the_sources() -> None:
    choice = SHOP.choose(selected="m.orders t.orders", upstream=True)
    assert shown(choice.runs) == ["hourly: m.orders m.stg t.orders t.raw t.stg"]
    assert choice.sources == {"s.RAW"}


def test_upstream_of_a_group_leaves_the_group_whole() -> None:
    choice = SHOP.choose("nightly", upstream=True)
    assert shown(choice.runs) == [
        "hourly: m.orders m.stg t.orders t.raw t.stg",
        "nightly!: m.customers m.ltv t.both t.ltv",
    ]
    assert after(choice)["nightly"] == ["hourly"]
    assert [part.last for part in choice.runs] == [False, True]


def test_upstream_of_a_group_brings_what_only_its_tests_read() -> None:
    world = World({"a": "RAW", "b": ""}, {"one": "a", "two": "b"}, tests={"both": "a b", "a": "a"})
    choice = world.choose("two", upstream=True)
    assert shown(choice.runs) == ["one: m.a t.a", "two!: m.b t.both"]
    assert choice.sources == {"s.RAW"}


def test_a_test_selected_along_that_reads_more_than_what_is_built_is_left_out_and_told() -> None:
    choice = SHOP.choose(selected="m.orders t.orders t.both", upstream=True)
    assert shown(choice.runs) == ["hourly: m.orders m.stg t.orders t.raw t.stg"]
    assert choice.excluded == {
        "t.both": "it also reads m.customers, which is neither selected nor upstream of the selection"
    }
    assert SHOP.choose(selected="m.orders t.both").excluded == {}, "on a full warehouse it can be run"


def test_a_test_that_was_selected_alone_brings_all_that_it_reads() -> None:
    choice = SHOP.choose(selected="t.both", upstream=True)
    assert shown(choice.runs) == ["hourly: m.orders m.stg t.orders t.raw t.stg", "nightly: m.customers t.both"]


def test_a_test_of_more_than_what_is_built_is_not_brought_along() -> None:
    assert shown(SHOP.choose(selected="m.customers", upstream=True).runs) == ["nightly: m.customers"]


def test_a_test_of_a_source_that_is_the_table_of_a_node_comes_with_the_node() -> None:
    world = World({"seed": "", "a": "seed"}, {"one": "seed a"}, tests={"raw": "RAW"}, same={"RAW": "seed"})
    assert shown(world.choose(selected="m.a", upstream=True).runs) == ["one: m.a m.seed t.raw"]


# --- nodes that several groups build ------------------------------------------------------------------------

SHARED = World(
    {"x": "", "y": "x", "z": "y x"},
    {"one": "x y", "two": "x z"},
    tests={"x": "x", "z": "z"},
    on_overlap="all",
)


def test_what_two_named_groups_build_is_in_both_runs() -> None:
    assert shown(SHARED.choose().runs) == ["one!: m.x m.y t.x", "two!: m.z t.z"], "the whole job refreshes it too"


def test_a_group_named_alone_builds_what_it_refreshes() -> None:
    assert shown(SHARED.choose("two").runs) == ["two!: m.x m.z t.x t.z"]
    assert shown(SHARED.choose("two", "m.x m.y").runs) == ["two: m.x"]


def test_what_a_group_refreshes_is_built_by_its_own_group_first_where_that_is_needed_on_the_way() -> None:
    choice = SHARED.choose("two", upstream=True)
    assert shown(choice.runs) == ["one: m.x m.y", "two!: m.z t.x t.z"], "the test looks at what is left in the end"


# --- full refresh -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "refused"), [("", ["two"]), ("one", []), ("two", ["two"]), ("one two", ["two"])])
def test_a_full_refresh_of_a_group_that_never_has_one_is_refused(asked: str, refused: Sequence[str]) -> None:
    world = World({"a": "", "b": ""}, {"one": "a", "two": "b"}, two={"full_refresh": "never"})
    parts = world.choose(asked).runs
    if not refused:
        require_full_refresh(world.plan, parts)
        return
    with pytest.raises(ScheduleGroupError, match=r"`full_refresh: never` for two\."):
        require_full_refresh(world.plan, parts)
