"""A mart, as the consumers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.warehouse import Table


@dataclass(frozen=True)
class Mart:
    """A dbt model that consumers may read: its dbt name, asset and table, and the schedule group that builds it."""

    name: str
    key: dg.AssetKey
    table: Table
    group: str


def find_marts(
    manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey], group_of: Mapping[str, str]
) -> Mapping[str, Mart]:
    """Return every model of a manifest, or of an excerpt, that is built as a relation, by its dbt name.

    ``keys`` and ``group_of`` are the asset key and the schedule group of each node by unique id. Of two models
    with one name the later in the order of ``keys`` wins, as do newer versions of a model.
    """
    nodes = manifest["nodes"]
    models = {one: nodes[one] for one in keys if one.startswith("model.") and one in nodes}
    return {
        node["name"]: Mart(
            name=node["name"],
            key=keys[unique_id],
            table=Table(schema=node["schema"], name=node["alias"]),
            group=group_of[unique_id],
        )
        for unique_id, node in models.items()
    }
