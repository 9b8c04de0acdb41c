"""Events of a dbt invocation come in dbt's order, and materializations wait for their row counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg

from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.build_report import BuildReport, count_rows
from analytics_dagster.execution.events import NodeResult
from analytics_dagster.project.graph import Graph

NODES = {
    name: {
        "unique_id": name,
        "package_name": "shop",
        "original_file_path": f"models/{name}.sql",
        "relation_name": name,
        "config": {"materialized": "view" if name == "view" else "table"},
    }
    for name in ("orders", "customers", "view")
}
ASSETS = cast(
    "BuildContext",
    SimpleNamespace(
        project=SimpleNamespace(target=SimpleNamespace(adapter="duckdb")),
        group_of=dict.fromkeys(NODES, "nightly"),
        keys={name: dg.AssetKey(name) for name in NODES},
        checks={"unique": dg.AssetCheckKey(dg.AssetKey("orders"), "unique")},
    ),
)


def result(name: str, status: str = "success") -> NodeResult:
    return NodeResult(name, name, status, seconds=0.1, failures=None, invocation_id="one")


class Recorder:
    """A report, and the nodes whose rows it has counted itself."""

    def __init__(self, folder: Path, counts: Mapping[str, int] | None = None) -> None:
        self.counted: list[str] = []
        self._counts = counts or {}
        self.report = BuildReport(
            ASSETS,
            folder,
            make_graph=lambda: cast("Graph", SimpleNamespace(nodes=NODES)),
            count_rows=self._count,
        )

    def _count(self, nodes: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
        self.counted += [node["unique_id"] for node in nodes]
        return self._counts

    def add(self, update: NodeResult | Mapping[str, int | None]) -> list[tuple[str, object]]:
        """Return the events that a result or row counts complete."""
        return [summary(event) for event in self.report.add(update)]

    def finish(self) -> list[tuple[str, object]]:
        """Return the events after dbt has ended."""
        return [summary(event) for event in self.report.finish()]


def summary(event: dg.MaterializeResult[None] | dg.AssetCheckResult) -> tuple[str, object]:
    if isinstance(event, dg.AssetCheckResult):
        return str(event.check_name), None
    assert event.asset_key is not None
    return event.asset_key.to_user_string(), (event.metadata or {}).get("dagster/row_count")


def test_a_table_and_every_event_after_it_wait_for_its_row_count(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    assert recorder.add(result("view")) == [("view", None)]
    assert recorder.add(result("orders")) == []
    assert recorder.add(result("unique", "pass")) == []
    assert recorder.add(result("customers")) == []
    assert recorder.add({"orders": 4}) == [("orders", 4), ("unique", None)]
    assert recorder.add({"customers": None}) == [("customers", None)]
    assert recorder.finish() == []
    assert recorder.counted == []


def test_rows_that_dbt_did_not_count_are_counted_after_it_has_ended(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, {"orders": 4, "customers": 2})
    for name, status in (("orders", "success"), ("unique", "fail"), ("customers", "success")):
        assert recorder.add(result(name, status)) == []
    assert recorder.finish() == [("orders", 4), ("unique", None), ("customers", 2)]
    assert recorder.counted == ["orders", "customers"]


def test_a_failed_row_count_delays_no_event(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(result("orders"))
    assert recorder.finish() == [("orders", None)]


def test_failed_and_skipped_nodes_are_results_but_no_events(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for update in (result("orders", "error"), result("unique", "skipped"), result("elsewhere")):
        assert recorder.add(update) == []
    assert recorder.report.results.keys() == {"orders", "unique", "elsewhere"}


def test_the_metadata_has_the_compiled_sql_and_the_storage_kind(tmp_path: Path) -> None:
    path = tmp_path / "compiled" / "shop" / "models" / "orders.sql"
    path.parent.mkdir(parents=True)
    path.write_text("select 1")
    report = Recorder(tmp_path).report
    list(report.add(result("orders")))
    [event] = report.add({"orders": 0})
    metadata = event.metadata or {}
    assert metadata["compiled_sql"] == dg.MetadataValue.md("```sql\nselect 1\n```")
    assert (metadata["dagster/row_count"], metadata["dagster/storage_kind"]) == (0, "duckdb")


class Log:
    """Stands for Dagster's log manager."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        """Record a warning."""
        self.warnings.append(text)

    def debug(self, text: str, *, exc_info: BaseException) -> None:
        """Accept a debug message."""


TABLES = [NODES["orders"], NODES["customers"]]


def test_rows_are_counted_in_one_query() -> None:
    queries: list[str] = []

    def query(sql: str) -> list[tuple[int, int]]:
        queries.append(sql)
        return [(1, 20), (0, 10)]

    assert count_rows(TABLES, query, cast("dg.DagsterLogManager", Log())) == {"orders": 10, "customers": 20}
    [sql] = queries
    assert "from orders\nunion all\n" in sql


def test_a_failed_count_query_is_a_warning_and_no_counts() -> None:
    def query(sql: str) -> list[tuple[int, int]]:
        raise OSError(sql)

    log = Log()
    assert count_rows(TABLES, query, cast("dg.DagsterLogManager", log)) == {}
    assert log.warnings == ["The rows were not counted: OSError"]
