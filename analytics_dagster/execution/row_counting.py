"""The rows of what dbt has built, counted in one query when dbt has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.lazy_dagster_dbt import DbtCliInvocation
from analytics_dagster.execution.dbt_resource import DbtResource, opened
from analytics_dagster.warehouse import Warehouse


def count_rows(
    tables: Sequence[Mapping[str, Any]],
    invocation: DbtCliInvocation,
    dbt: DbtResource,
    warehouse: Warehouse,
    log: dg.DagsterLogManager,
) -> Mapping[str, int]:
    """Return the rows of nodes' tables by unique id; where they can't be had nothing, and a warning in the log."""
    query = "\nunion all\n".join(
        f"select {place} as place, count(*) as row_count from {node['relation_name']}"  # noqa: S608 - dbt's own name
        for place, node in enumerate(tables)
    )
    try:
        rows = warehouse.rows(query) if warehouse.path else _rows_through_adapter(query, invocation, dbt)
    except Exception as error:
        # Each adapter has exceptions of its own, and a count that can't be had fails no build.
        log.warning(f"The rows were not counted: {type(error).__name__}")
        log.debug("The rows were not counted", exc_info=error)
        return {}
    return {tables[int(row[0])]["unique_id"]: int(row[1]) for row in rows}


def _rows_through_adapter(query: str, invocation: DbtCliInvocation, dbt: DbtResource) -> list[tuple[Any, ...]]:
    adapter = dbt.adapter_of(invocation)
    if adapter is None:
        return []
    with opened(adapter):
        _, table = adapter.execute(query, fetch=True)
        return [tuple(row) for row in table]
