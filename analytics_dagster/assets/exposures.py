"""dbt exposures as external assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from analytics_dagster.assets.keys import EXPOSURES, dagster_owners, exposures
from analytics_dagster.project.graph import Graph


def build_exposure_specs(
    manifest: Mapping[str, Any], graph: Graph, keys: Mapping[str, dg.AssetKey]
) -> list[dg.AssetSpec]:
    """Return an asset for each exposure, downstream of what it depends on.

    ``keys`` are the asset keys of nodes, sources and exposures by unique id.
    """
    return [_exposure_spec(exposure, graph, keys) for exposure in exposures(manifest)]


def _exposure_spec(exposure: Mapping[str, Any], graph: Graph, keys: Mapping[str, dg.AssetKey]) -> dg.AssetSpec:
    owner = exposure.get("owner") or {}
    return dg.AssetSpec(
        key=keys[exposure["unique_id"]],
        deps=sorted({keys[read] for read in graph.declared(exposure["unique_id"])}),
        description=exposure.get("description") or exposure.get("label") or "",
        group_name=EXPOSURES,
        owners=dagster_owners(owner.get("email") or owner.get("name")),
        kinds={"dbt", str(exposure["type"])},
        metadata={
            "dagster_dbt/unique_id": exposure["unique_id"],
            "type": exposure["type"],
            **({"maturity": exposure["maturity"]} if exposure.get("maturity") else {}),
            **({"url": dg.MetadataValue.url(exposure["url"])} if exposure.get("url") else {}),
        },
    )
