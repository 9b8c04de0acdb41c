"""The replaced functions of Dagster: same results as the originals, and only in versions that were compared."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions import input as inputs
from dagster._core.definitions import output as outputs
from dagster._core.definitions import resolved_asset_deps
from dagster._core.definitions.assets.job import asset_job

from analytics_dagster.dagster_internals import dagster_patches
from analytics_dagster.dagster_internals.dagster_patches import (
    KNOWN,
    TableName,
    build_node_deps,
    resolve_type,
)
from analytics_dagster.dagster_internals.guard import NO_INTERNALS

PLACES: tuple[tuple[Any, str], ...] = (
    (inputs, "resolve_dagster_type"),
    (outputs, "resolve_dagster_type"),
    (resolved_asset_deps, "TableMetadataSet"),
    (asset_job, "build_node_deps"),
)


def found() -> list[object]:
    return [getattr(module, name) for module, name in PLACES]


@pytest.fixture
def originals(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return Dagster's own functions, which are replaced until the test ends."""
    kept: dict[str, Any] = {
        name: dagster_patches._originals.get(name, getattr(module, name)) for module, name in PLACES
    }
    for module, name in PLACES:
        monkeypatch.setattr(module, name, kept[name])
    monkeypatch.setattr(dagster_patches, "_originals", {})
    assert dagster_patches.apply()
    return SimpleNamespace(**kept)


def test_the_installed_version_of_dagster_was_compared() -> None:
    assert dg.__version__ in KNOWN


def test_functions_are_replaced_in_a_known_version_only(originals: SimpleNamespace) -> None:
    assert found() == [resolve_type, resolve_type, TableName, build_node_deps]
    for module, name in PLACES:
        setattr(module, name, getattr(originals, name))
    before = found()
    assert not dagster_patches.apply("1.99.0")
    assert found() == before


def test_without_the_private_names_nothing_is_replaced(
    originals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in PLACES:
        setattr(module, name, getattr(originals, name))
    monkeypatch.setenv(NO_INTERNALS, "1")
    assert not dagster_patches.apply()
    assert found() == [getattr(originals, name) for _, name in PLACES]


def test_applying_the_patches_twice_changes_nothing(originals: SimpleNamespace) -> None:
    assert dagster_patches.apply()
    assert dagster_patches._originals == vars(originals)


@pytest.mark.parametrize("given", [dg.Nothing, dg.In(dg.Nothing).dagster_type, dg.String, str, None, list[int], Any])
def test_a_type_is_resolved_to_the_same_type(originals: SimpleNamespace, given: Any) -> None:
    assert resolve_type(given) == originals.resolve_dagster_type(given)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"dagster/table_name": "shop.orders"},
        {"dagster/table_name": None},
        {"dagster/relation_identifier": "shop.orders"},
        {"dagster/table_name": "new", "dagster/relation_identifier": "old"},
        {"dagster/table_name": dg.MetadataValue.text("shop.orders"), "dagster/uri": "u"},
        {"other/table_name": "x", "no namespace": 1},
    ],
)
def test_the_table_name_of_an_asset_is_the_same(originals: SimpleNamespace, metadata: dict[str, Any]) -> None:
    assert TableName.extract(metadata).table_name == originals.TableMetadataSet.extract(metadata).table_name


def step(name: str, makes: list[str], reads: dict[str, list[str]], checks: list[dg.AssetCheckSpec]) -> Any:
    """Return a multi-asset that can be split; ``reads`` are by asset."""

    @dg.multi_asset(
        name=name,
        specs=[dg.AssetSpec(key, deps=reads.get(key, []), skippable=True) for key in makes],
        check_specs=checks,
        can_subset=True,
        allow_arbitrary_check_specs=True,
    )
    def make() -> Iterator[Any]:
        yield from ()

    return make


@dg.multi_asset_check(specs=[dg.AssetCheckSpec("late", asset="b", additional_deps=["a"], blocking=True)])
def late() -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(passed=True)


def test_steps_depend_on_the_same_outputs(originals: SimpleNamespace) -> None:
    blocking = [
        dg.AssetCheckSpec("whole", asset="a", blocking=True),
        dg.AssetCheckSpec("own", asset="b", additional_deps=["a"], blocking=True),
    ]
    upstream = step("upstream", ["a", "b"], {"b": ["a", "raw"]}, blocking)
    # It checks an asset of upstream, so upstream's check of that asset does not block it.
    downstream = step(
        "downstream", ["c", "d"], {"c": ["a"], "d": ["b", "c"]}, [dg.AssetCheckSpec("again", asset="a", blocking=True)]
    )
    consumer = step("consumer", ["e"], {"e": ["a", "d"]}, [])
    definitions = dg.Definitions(assets=[upstream, downstream, consumer, dg.AssetSpec("raw")], asset_checks=[late])
    graph = definitions.resolve_asset_graph()
    deps, steps = originals.build_node_deps(graph)
    assert build_node_deps(graph) == (deps, steps)
    # The comparison is not of empty results.
    assert {handle.name for handle in steps} == {"upstream", "downstream", "consumer", "late"}
    assert "BlockingAssetChecks" in repr(deps)
