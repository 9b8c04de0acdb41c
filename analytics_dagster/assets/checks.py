"""Every dbt test as a check of one asset; unit tests too, where runs are to execute them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.assets.keys import project_key
from analytics_dagster.assets.steps import Steps
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph


@dataclass(frozen=True)
class _Test:
    """A test of the manifest, the asset that it checks, and what else it reads."""

    node: Mapping[str, Any]
    asset: dg.AssetKey
    reads: frozenset[dg.AssetKey]
    blocking: bool

    @property
    def unique_id(self) -> str:
        return str(self.node["unique_id"])


def build_check_specs(
    plan: Plan, graph: Graph, manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey], *, unit_tests: bool
) -> Mapping[str, dg.AssetCheckSpec]:
    """Return the check of every planned test, by dbt unique id; of the unit tests too, if they are wanted.

    ``keys`` are the asset keys of nodes and sources by unique id. A test that reads neither checks the project itself.
    """
    tests = list(_data_tests(plan, graph, manifest, keys))
    if unit_tests:
        tests += _unit_tests(plan, graph, manifest, keys)
    names = check_names((test.node, test.asset) for test in tests)
    return {
        test.unique_id: dg.AssetCheckSpec(
            name=names[test.unique_id],
            asset=test.asset,
            description=test.node.get("description") or None,
            additional_deps=sorted(test.reads - {test.asset}),
            blocking=test.blocking,
            metadata={"dagster_dbt/unique_id": test.unique_id},
        )
        for test in tests
    }


def check_names(tests: Iterable[tuple[Mapping[str, Any], dg.AssetKey]]) -> Mapping[str, str]:
    """Return the name of each test's check by the test's unique id, given each test and the asset that it checks.

    It is the test's own. Tests of one name on one asset (of two packages, for example) have their package in front,
    or, where that is the same too, are named by dbt's unique id.
    """
    names: dict[str, str] = {}
    taken: set[tuple[dg.AssetKey, str]] = set()
    pending = list(tests)
    for naming in (_own_name, _name_with_package, _unique_name):
        asked = Counter((asset, naming(test)) for test, asset in pending)
        free = {name for name, times in asked.items() if times == 1} - taken
        names |= {test["unique_id"]: naming(test) for test, asset in pending if (asset, naming(test)) in free}
        taken |= free
        pending = [(test, asset) for test, asset in pending if test["unique_id"] not in names]
    return names


def _data_tests(
    plan: Plan, graph: Graph, manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey]
) -> Iterator[_Test]:
    steps = Steps(plan, graph)
    for test in plan.tests.values():
        yield _Test(
            node=graph.nodes[test.unique_id],
            asset=project_key(manifest) if test.node is None else keys[test.node],
            reads=frozenset(keys[read] for read in test.reads),
            blocking=steps.blocks(test),
        )


def _unit_tests(
    plan: Plan, graph: Graph, manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey]
) -> Iterator[_Test]:
    for group in plan.groups:
        last = max(group.nodes, key=graph.position.__getitem__, default=None)
        for unique_id in group.unit_tests:
            node = manifest["unit_tests"][unique_id]
            # An ephemeral model is no asset: its unit test is shown where a data test of it would be.
            checked = graph.checked(unique_id) or last
            yield _Test(
                node,
                asset=project_key(manifest) if checked is None else keys[checked],
                reads=frozenset(keys[read] for read in graph.reads(unique_id)),
                # dbt does not build a model whose unit test has failed.
                blocking=checked in node["depends_on"]["nodes"],
            )


def _own_name(test: Mapping[str, Any]) -> str:
    return str(test["name"])


def _name_with_package(test: Mapping[str, Any]) -> str:
    return f"{test['package_name']}_{test['name']}"


def _unique_name(test: Mapping[str, Any]) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", test["unique_id"])
