"""Asset checks of dbt tests; each test is a check of one asset. Unit tests are checks if runs execute them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.assets.keys import project_key
from analytics_dagster.assets.steps import Steps
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph


@dataclass(frozen=True)
class _CheckedTest:
    """A test of the manifest, the asset that it checks, and all assets that it reads."""

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
    """Return the check of every planned data test, and of unit tests if ``unit_tests`` is set, by dbt unique id.

    ``keys`` are the asset keys of nodes and sources by unique id. A test that reads neither checks the project.
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


_NAMINGS: tuple[Callable[[Mapping[str, Any]], str], ...] = (
    lambda test: str(test["name"]),
    lambda test: f"{test['package_name']}_{test['name']}",
    lambda test: re.sub(r"[^A-Za-z0-9_]", "_", test["unique_id"]),
)


def check_names(tests: Iterable[tuple[Mapping[str, Any], dg.AssetKey]]) -> Mapping[str, str]:
    """Return the name of each test's check by unique id, given the tests and the assets that they check.

    It is the name of the test. If that is not unique for the asset, it has the package as a prefix; if that is not
    unique either, it is dbt's unique id.
    """
    names: dict[str, str] = {}
    taken: set[tuple[dg.AssetKey, str]] = set()
    pending = list(tests)
    for naming in _NAMINGS:
        wanted = Counter((asset, naming(test)) for test, asset in pending)
        free = {name for name, times in wanted.items() if times == 1} - taken
        names |= {test["unique_id"]: naming(test) for test, asset in pending if (asset, naming(test)) in free}
        taken |= free
        pending = [(test, asset) for test, asset in pending if test["unique_id"] not in names]
    return names


def _data_tests(
    plan: Plan, graph: Graph, manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey]
) -> Iterator[_CheckedTest]:
    steps = Steps(plan, graph)
    for test in plan.tests.values():
        yield _CheckedTest(
            node=graph.nodes[test.unique_id],
            asset=project_key(manifest) if test.node is None else keys[test.node],
            reads=frozenset(keys[read] for read in test.reads),
            blocking=steps.blocks(test),
        )


def _unit_tests(
    plan: Plan, graph: Graph, manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey]
) -> Iterator[_CheckedTest]:
    for group in plan.groups:
        last = max(group.nodes, key=graph.position.__getitem__, default=None)
        for unique_id in group.unit_tests:
            node = manifest["unit_tests"][unique_id]
            # An ephemeral model is no asset: its unit test checks the same asset as a data test of it.
            checked = graph.checked(unique_id) or last
            yield _CheckedTest(
                node,
                asset=project_key(manifest) if checked is None else keys[checked],
                reads=frozenset(keys[read] for read in graph.reads(unique_id)),
                # dbt does not build a model whose unit test failed.
                blocking=checked in node["depends_on"]["nodes"],
            )
