"""Replaces three functions of Dagster that take most of the time of loading a large location.

Reason: their results are the same in less time; `docs/upstream.md` has the change that Dagster would need.
Cost of the public alternative (the originals): loading 10,000 models takes 11 instead of 7 CPU seconds.
They are replaced only in the versions of Dagster for which a test compares each with its original. The setting
`dagster_shortcuts` turns them off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.guard import available, require_member

KNOWN = frozenset({"1.13.27"})
"""The versions of Dagster for which the tests have compared the results."""

_TABLE_NAME = "dagster/table_name"
_EARLIER_TABLE_NAME = "dagster/relation_identifier"


def apply(version: str = dg.__version__) -> bool:
    """Replace the three functions for the rest of the process; return whether that was done."""
    modules = available(
        "dagster._core.definitions.assets.job.asset_job.build_node_deps and two more",
        partial(_modules, version),
        "loading a large location takes longer",
    )
    if modules is None:
        return False
    inputs, outputs, resolved_asset_deps, asset_job = modules
    for module in (inputs, outputs):
        _replace(module, "resolve_dagster_type", resolve_type)
    _replace(resolved_asset_deps, "TableMetadataSet", TableName)
    _replace(asset_job, "build_node_deps", build_node_deps)
    return True


def _modules(version: str) -> tuple[Any, Any, Any, Any]:
    if version not in KNOWN:
        raise ImportError(f"Dagster is {version}; the results were compared for {', '.join(sorted(KNOWN))}")
    from dagster._core.definitions import input as inputs
    from dagster._core.definitions import output as outputs
    from dagster._core.definitions import resolved_asset_deps
    from dagster._core.definitions.assets.job import asset_job

    require_member(inputs, "resolve_dagster_type", "dagster_type")
    require_member(asset_job, "build_node_deps", "asset_graph")
    require_member(getattr(resolved_asset_deps, "TableMetadataSet"), "extract")  # noqa: B009 - mypy: not exported
    return inputs, outputs, resolved_asset_deps, asset_job


_originals: dict[str, Any] = {}


def _replace(module: Any, name: str, replacement: Any) -> None:
    found = getattr(module, name)
    if found is not replacement:
        _originals[name] = found
        setattr(module, name, replacement)


def resolve_type(dagster_type: Any) -> dg.DagsterType:
    """Return a `DagsterType` as it is; the original compares it with every kind of type first."""
    resolved: dg.DagsterType = (
        dagster_type if isinstance(dagster_type, dg.DagsterType) else _originals["resolve_dagster_type"](dagster_type)
    )
    return resolved


class TableName:
    """Replaces `TableMetadataSet` where Dagster resolves dependencies and reads only the table name."""

    @staticmethod
    def extract(values: Mapping[str, Any]) -> Any:
        """Return an object with the ``table_name``. The original validates a model of six fields for each asset."""
        name = values.get(_TABLE_NAME)
        if isinstance(name, str) or (name is None and _EARLIER_TABLE_NAME not in values):
            return SimpleNamespace(table_name=name)
        return _originals["TableMetadataSet"].extract(values)


@dataclass
class _Step:
    """An `AssetsDefinition` with only those of its checks that can change the result of `build_node_deps`."""

    definition: dg.AssetsDefinition

    def __post_init__(self) -> None:
        # For every input of another definition the original collects the assets of all checks again.
        own = self.definition.keys
        self.check_keys = {check for check in self.definition.check_keys if check.asset_key not in own}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.definition, name)


def build_node_deps(asset_graph: Any) -> tuple[Any, Mapping[Any, dg.AssetsDefinition]]:
    """Return what the original returns, in time linear in inputs plus checks; the original multiplies them."""
    steps = [_Step(definition) for definition in asset_graph.assets_defs]
    deps, step_of = _originals["build_node_deps"](SimpleNamespace(assets_defs=steps))
    return deps, {handle: step.definition for handle, step in step_of.items()}
