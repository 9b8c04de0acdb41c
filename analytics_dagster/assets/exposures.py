"""dbt exposures as external assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from analytics_dagster.assets.keys import EXPOSURES, dagster_owner, exposures


def build_exposure_specs(manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey]) -> list[dg.AssetSpec]:
    """Return an asset for each exposure, downstream of what it depends on.

    ``keys`` are the asset keys of nodes, sources and exposures by unique id.
    """
    return [_exposure_spec(manifest, exposure, keys) for exposure in exposures(manifest)]


def _exposure_spec(
    manifest: Mapping[str, Any], exposure: Mapping[str, Any], keys: Mapping[str, dg.AssetKey]
) -> dg.AssetSpec:
    owner = exposure.get("owner") or {}
    owners = owner.get("email") or owner.get("name") or []
    return dg.AssetSpec(
        key=keys[exposure["unique_id"]],
        deps=sorted({keys[unique_id] for unique_id in _upstream(manifest, exposure) if unique_id in keys}),
        description=exposure.get("description") or exposure.get("label") or "",
        group_name=EXPOSURES,
        owners=[dagster_owner(name) for name in ([owners] if isinstance(owners, str) else owners)],
        kinds={"dbt", str(exposure["type"])},
        metadata={
            "dagster_dbt/unique_id": exposure["unique_id"],
            "type": exposure["type"],
            **({"maturity": exposure["maturity"]} if exposure.get("maturity") else {}),
            **({"url": dg.MetadataValue.url(exposure["url"])} if exposure.get("url") else {}),
        },
    )


def _upstream(manifest: Mapping[str, Any], exposure: Mapping[str, Any]) -> set[str]:
    """Return the nodes and sources that an exposure depends on, also through ephemeral models, metrics and the like."""
    tables = {**manifest["nodes"], **manifest["sources"]}
    found: set[str] = set()
    seen: set[str] = set()
    pending = list(exposure["depends_on"]["nodes"])
    while pending:
        unique_id = pending.pop()
        if unique_id in seen:
            continue
        seen.add(unique_id)
        ephemeral = tables.get(unique_id, {}).get("config", {}).get("materialized") == "ephemeral"
        if unique_id in tables and not ephemeral:
            found.add(unique_id)
        else:
            pending.extend(manifest["parent_map"].get(unique_id, []))
    return found
