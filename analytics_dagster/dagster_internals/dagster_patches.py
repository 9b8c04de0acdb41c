"""Three functions of Dagster that take most of the time of a large location's load, by shorter ways to the same result.

A last resort: each is private, and is replaced only in the versions of Dagster for which a test compares it with its
original. `docs/upstream.md` says what would make them needless, and a setting turns them off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import dagster as dg

KNOWN = frozenset({"1.13.27"})
"""The versions of Dagster whose functions these are known to agree with."""

_TABLE_NAME = "dagster/table_name"
_EARLIER_TABLE_NAME = "dagster/relation_identifier"


def take_shortcuts(version: str = dg.__version__) -> bool:
    """Replace the three functions for the rest of the process; return whether the version is a known one."""
    if version not in KNOWN:
        return False
    from dagster._core.definitions import input, output, resolved_asset_deps  # noqa: A004
    from dagster._core.definitions.assets.job import asset_job

    for module in (input, output):
        _replace(module, "resolve_dagster_type", resolve_type)
    _replace(resolved_asset_deps, "TableMetadataSet", TableName)
    _replace(asset_job, "build_node_deps", build_node_deps)
    return True


_originals: dict[str, Any] = {}


def _replace(module: Any, name: str, replacement: Any) -> None:
    found = getattr(module, name)
    if found is not replacement:
        _originals[name] = found
        setattr(module, name, replacement)


def resolve_type(dagster_type: Any) -> dg.DagsterType:
    """Do as `resolve_dagster_type`, which compares every input's and output's type with all that a type may be."""
    resolved: dg.DagsterType = (
        dagster_type if isinstance(dagster_type, dg.DagsterType) else _originals["resolve_dagster_type"](dagster_type)
    )
    return resolved


class TableName:
    """Stands for `TableMetadataSet` where Dagster resolves dependencies, which reads its table name alone."""

    @staticmethod
    def extract(values: Mapping[str, Any]) -> Any:
        """Return what has the ``table_name``, without a model of all fields for each asset, four times a load."""
        name = values.get(_TABLE_NAME)
        if isinstance(name, str) or (name is None and _EARLIER_TABLE_NAME not in values):
            return SimpleNamespace(table_name=name)
        return _originals["TableMetadataSet"].extract(values)


@dataclass
class _Step:
    """An `AssetsDefinition` that names only those of its checks which can matter to `build_node_deps`."""

    definition: dg.AssetsDefinition

    def __post_init__(self) -> None:
        # It asks of every input that is not the definition's own asset whether it is among the checks' assets, and
        # collects these anew for each.
        own = self.definition.keys
        self.check_keys = {check for check in self.definition.check_keys if check.asset_key not in own}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.definition, name)


def build_node_deps(asset_graph: Any) -> tuple[Any, Mapping[Any, dg.AssetsDefinition]]:
    """Do as the original, in time that grows with inputs and checks, not with their product."""
    steps = [_Step(definition) for definition in asset_graph.assets_defs]
    deps, step_of = _originals["build_node_deps"](SimpleNamespace(assets_defs=steps))
    return deps, {handle: step.definition for handle, step in step_of.items()}
