"""What Dagster is told of one start of dbt while it goes: each asset and check in dbt's order, with its row count."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from analytics_dagster.execution.build_context import Assets
from analytics_dagster.execution.events import BUILT, NodeResult, to_check_result
from analytics_dagster.project.graph import Graph

_COUNTED = {"table", "incremental", "seed", "snapshot"}
_LONGEST_SQL = 20_000

CountRows = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, int]]
"""Counts the rows of nodes' relations, by unique id."""


class Report:
    """Makes Dagster's events of what dbt tells, in dbt's order, so that a check is one of what was just built.

    What was built waits, with all after it, until its rows are counted: by dbt's process while it builds the rest, or
    when dbt has ended. ``make_graph`` returns the graph once dbt has parsed; ``target_path`` is where dbt writes.
    """

    def __init__(
        self, assets: Assets, target_path: Path, *, make_graph: Callable[[], Graph], count_rows: CountRows
    ) -> None:
        self.results: dict[str, NodeResult] = {}
        self._assets = assets
        self._target_path = target_path
        self._make_graph = make_graph
        self._count_rows = count_rows
        self._waiting: deque[NodeResult] = deque()
        self._counts: dict[str, int | None] = {}

    def hear(
        self, news: NodeResult | Mapping[str, int | None]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Take note of a result or of row counts, and yield what is complete by it."""
        if isinstance(news, NodeResult):
            self.results[news.unique_id] = news
            self._waiting.append(news)
        else:
            self._counts.update(news)
        while self._waiting and not self._waits_for_count(self._waiting[0]):
            yield from self._told(self._waiting.popleft())

    def rest(self) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Yield what has waited in vain, its rows counted now; dbt has ended."""
        uncounted = [self._nodes[result.unique_id] for result in self._waiting if self._waits_for_count(result)]
        self._counts.update(self._count_rows(uncounted) if uncounted else {})
        while self._waiting:
            yield from self._told(self._waiting.popleft())

    @cached_property
    def _nodes(self) -> Mapping[str, Mapping[str, Any]]:
        return self._make_graph().nodes

    def _waits_for_count(self, result: NodeResult) -> bool:
        if not self._is_built(result) or result.unique_id in self._counts:
            return False
        node = self._nodes[result.unique_id]
        return node["config"].get("materialized") in _COUNTED and bool(node.get("relation_name"))

    def _is_built(self, result: NodeResult) -> bool:
        return result.unique_id in self._assets.group_of and result.status in BUILT

    def _told(self, result: NodeResult) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if self._is_built(result):
            yield dg.MaterializeResult(
                asset_key=self._assets.keys[result.unique_id],
                metadata={
                    **result.metadata,
                    **_compiled_sql(self._nodes[result.unique_id], self._target_path),
                    **self._size(result),
                },
            )
        elif result.unique_id in self._assets.checks and result.status != "skipped":
            yield to_check_result(result, self._assets.checks[result.unique_id])

    def _size(self, result: NodeResult) -> Mapping[str, Any]:
        count = self._counts.get(result.unique_id)
        # Both or none, as dagster-dbt has it.
        storage_kind = self._assets.project.target.adapter
        return {} if count is None else {"dagster/row_count": count, "dagster/storage_kind": storage_kind}


def _compiled_sql(node: Mapping[str, Any], target_path: Path) -> Mapping[str, dg.MetadataValue[Any]]:
    path = target_path / "compiled" / node["package_name"] / node["original_file_path"]
    if not path.is_file():
        return {}
    return {"compiled_sql": dg.MetadataValue.md(f"```sql\n{path.read_text(encoding='utf-8')[:_LONGEST_SQL]}\n```")}
