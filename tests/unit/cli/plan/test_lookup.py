"""Nodes and groups are found by the name that a user types."""

from __future__ import annotations

import pytest

from analytics_dagster.cli.plan.lookup import find_group, find_node, names_of
from analytics_dagster.errors import ProjectError, ScheduleGroupError

NAMES = {
    "model.shop.orders": "orders",
    "model.shop.stg_orders": "stg_orders",
    "model.shop.customers.v1": "customers.v1",
    "model.shop.customers.v2": "customers.v2",
    "model.calendar_package.calendar": "calendar",
    "model.shop.calendar": "calendar",
    "source.shop.raw.orders": "raw.orders",
    "source.shop.raw.click stream": "raw.click stream",
    "test.shop.unique_orders_id.4a1b": "unique_orders_id",
    "exposure.shop.stg_orders": "stg_orders",
}


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("model.shop.orders", "model.shop.orders"),
        ("orders", "model.shop.orders"),
        ("raw.orders", "source.shop.raw.orders"),
        ("shop.raw.orders", "source.shop.raw.orders"),
        ("customers.v2", "model.shop.customers.v2"),
        ("v1", "model.shop.customers.v1"),
        ("unique_orders_id", "test.shop.unique_orders_id.4a1b"),
        ("4a1b", "test.shop.unique_orders_id.4a1b"),
        ("orders_id", "test.shop.unique_orders_id.4a1b"),
        ("shop.calendar", "model.shop.calendar"),
        ("_package.calendar", "model.calendar_package.calendar"),
        ("click stream", "source.shop.raw.click stream"),
        # A built node comes first, as in dbt's own selection.
        ("stg_orders", "model.shop.stg_orders"),
    ],
)
def test_a_node_is_found_by_id_name_or_an_end_of_either(wanted: str, meant: str) -> None:
    assert find_node(wanted, NAMES) == meant


@pytest.mark.parametrize(
    ("wanted", "listed"),
    [
        ("calendar", ["model.calendar_package.calendar", "model.shop.calendar"]),
        ("ers", ["model.shop.orders", "model.shop.stg_orders"]),
    ],
)
def test_an_ambiguous_name_lists_the_candidates(wanted: str, listed: list[str]) -> None:
    with pytest.raises(ProjectError, match="matches several") as caught:
        find_node(wanted, NAMES)
    assert all(f"\n    {unique_id}\n" in str(caught.value) for unique_id in listed)


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("ordres", "model.shop.orders"),
        ("model.shop.order", "model.shop.orders"),
        ("customer.v2", "model.shop.customers.v2"),
        ("unique_order_id", "test.shop.unique_orders_id.4a1b"),
    ],
)
def test_an_unknown_name_lists_similar_ones(wanted: str, near: str) -> None:
    with pytest.raises(ProjectError, match="has no node") as caught:
        find_node(wanted, NAMES)
    assert near in caught.value.problem


@pytest.mark.parametrize("wanted", ["", "zzzzzzzz"])
def test_an_unknown_name_without_similar_ones_is_an_error(wanted: str) -> None:
    with pytest.raises(ProjectError, match=f"has no node '{wanted}'"):
        find_node(wanted, NAMES)


def test_a_long_list_of_candidates_is_shortened() -> None:
    names = {f"model.package_{number}.orders": "orders" for number in range(30)}
    with pytest.raises(ProjectError) as caught:
        find_node("orders", names)
    assert caught.value.problem.count("model.") == 12
    assert "and 18 more" in caught.value.problem


def test_everything_in_a_manifest_has_a_name_even_if_disabled() -> None:
    manifest = {
        "nodes": {"model.p.a": {"name": "a"}},
        "sources": {"source.p.s.t": {"name": "t"}},
        "functions": {"function.p.f": {"name": "f"}},
        "exposures": {"exposure.p.e": {"name": "e"}},
        "unit_tests": {"unit_test.p.a.u": {"name": "u"}},
        "disabled": {"model.p.off": [{"name": "off"}], "model.p.a": [{"name": "another a"}], "model.p.none": []},
    }
    assert names_of(manifest, lambda unique_id: unique_id.upper()) == {
        "model.p.a": "MODEL.P.A",
        "source.p.s.t": "SOURCE.P.S.T",
        "function.p.f": "FUNCTION.P.F",
        "exposure.p.e": "e",
        "unit_test.p.a.u": "u",
        "model.p.off": "off",
    }


def test_an_unknown_group_lists_the_groups_and_the_most_similar() -> None:
    assert find_group("hourly", ["hourly", "nightly"]) == "hourly"
    with pytest.raises(ScheduleGroupError) as caught:
        find_group("hourl", ["hourly", "nightly"])
    assert caught.value.problem == "There is no schedule group hourl. Did you mean hourly?"
    assert caught.value.remedy == "Name one of: hourly, nightly."
    with pytest.raises(ScheduleGroupError, match=r"There is no schedule group x\.\n  -> Name one of: hourly\."):
        find_group("x", ["hourly"])
