"""Turns the results of one dbt invocation into Dagster events, in dbt's order and with row counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_worker import COUNTED, row_count_query
from analytics_dagster.execution.events import BUILT, NodeResult, compiled_path, to_check_result
from analytics_dagster.project.graph import Graph
from analytics_dagster.redaction import redact

_MAX_SQL_CHARACTERS = 20_000

Nodes = Sequence[Mapping[str, Any]]


class BuildReport:
    """Yields materializations and check results in dbt's order, so that a check follows the build that it checks.

    A materialization, and every event after it, waits for its row count. The dbt process counts while it builds;
    remaining rows are counted after dbt has ended. ``make_graph`` returns the graph once dbt has parsed;
    ``target_path`` is dbt's artifact folder; ``count_rows`` returns row counts of nodes by unique id.
    """

    def __init__(
        self,
        build_context: BuildContext,
        target_path: Path,
        *,
        make_graph: Callable[[], Graph],
        count_rows: Callable[[Nodes], Mapping[str, int]],
    ) -> None:
        self.results: dict[str, NodeResult] = {}
        self._build_context = build_context
        self._target_path = target_path
        self._make_graph = make_graph
        self._count_rows = count_rows
        self._waiting: deque[NodeResult] = deque()
        self._counts: dict[str, int | None] = {}

    def add(
        self, update: NodeResult | Mapping[str, int | None]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Add a result, or row counts by unique id; yield the events that are now complete."""
        if isinstance(update, NodeResult):
            self.results[update.unique_id] = update
            self._waiting.append(update)
        else:
            self._counts.update(update)
        while self._waiting and not self._waits_for_count(self._waiting[0]):
            yield from self._events(self._waiting.popleft())

    def finish(self) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Yield the remaining events after dbt has ended, once their rows are counted."""
        uncounted = [self._nodes[result.unique_id] for result in self._waiting if self._waits_for_count(result)]
        self._counts.update(self._count_rows(uncounted) if uncounted else {})
        while self._waiting:
            yield from self._events(self._waiting.popleft())

    @cached_property
    def _nodes(self) -> Mapping[str, Mapping[str, Any]]:
        return self._make_graph().nodes

    def _waits_for_count(self, result: NodeResult) -> bool:
        if not self._is_built(result) or result.unique_id in self._counts:
            return False
        node = self._nodes[result.unique_id]
        return node["config"].get("materialized") in COUNTED and bool(node.get("relation_name"))

    def _is_built(self, result: NodeResult) -> bool:
        return result.unique_id in self._build_context.group_of and result.status in BUILT

    def _events(self, result: NodeResult) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if self._is_built(result):
            yield dg.MaterializeResult(
                asset_key=self._build_context.keys[result.unique_id],
                metadata={
                    **result.metadata,
                    **_compiled_sql(self._nodes[result.unique_id], self._target_path),
                    **self._row_count(result),
                },
            )
        elif result.unique_id in self._build_context.checks and result.status != "skipped":
            yield to_check_result(result, self._build_context.checks[result.unique_id])

    def _row_count(self, result: NodeResult) -> Mapping[str, Any]:
        count = self._counts.get(result.unique_id)
        # dagster-dbt sets both or neither.
        storage_kind = self._build_context.project.target.adapter
        return {} if count is None else {"dagster/row_count": count, "dagster/storage_kind": storage_kind}


def _compiled_sql(node: Mapping[str, Any], target_path: Path) -> Mapping[str, dg.MetadataValue[Any]]:
    path = compiled_path(node, target_path)
    if not path.is_file():
        return {}
    # Redacted before it is cut, since half of a secret is not recognized.
    sql = redact(path.read_text(encoding="utf-8")[: 2 * _MAX_SQL_CHARACTERS])[:_MAX_SQL_CHARACTERS]
    return {"compiled_sql": dg.MetadataValue.md(f"```sql\n{sql}\n```")}


def count_rows(
    nodes: Nodes, query: Callable[[str], Sequence[Sequence[Any]]], log: dg.DagsterLogManager
) -> Mapping[str, int]:
    """Return the row counts of nodes by unique id; if the query fails, log a warning and return none."""
    try:
        rows = query(row_count_query([node["relation_name"] for node in nodes]))
    except Exception as error:
        # Each adapter has its own exceptions, and a missing row count must not fail a build.
        log.warning(f"The rows were not counted: {type(error).__name__}")
        log.debug("The rows were not counted", exc_info=error)
        return {}
    return {nodes[int(position)]["unique_id"]: int(count) for position, count in rows}
