"""What Dagster is told while dbt builds: in dbt's order, and of a table not before its rows are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg

from analytics_dagster.execution.build_context import Assets
from analytics_dagster.execution.events import NodeResult
from analytics_dagster.execution.report import Report
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
    "Assets",
    SimpleNamespace(
        project=SimpleNamespace(target=SimpleNamespace(adapter="duckdb")),
        group_of=dict.fromkeys(NODES, "nightly"),
        keys={name: dg.AssetKey(name) for name in NODES},
        checks={"unique": dg.AssetCheckKey(dg.AssetKey("orders"), "unique")},
    ),
)


def result(name: str, status: str = "success") -> NodeResult:
    return NodeResult(name, name, status, seconds=0.1, failures=None, invocation_id="one")


class Reporting:
    """A report, with what it was asked to count."""

    def __init__(self, folder: Path, counts: Mapping[str, int] | None = None) -> None:
        self.asked: list[str] = []
        self._counts = counts or {}
        self.report = Report(
            ASSETS,
            folder,
            make_graph=lambda: cast("Graph", SimpleNamespace(nodes=NODES)),
            count_rows=self._count,
        )

    def _count(self, nodes: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
        self.asked += [node["unique_id"] for node in nodes]
        return self._counts

    def hear(self, news: NodeResult | Mapping[str, int | None]) -> list[tuple[str, object]]:
        """Return what is told of news."""
        return [told(event) for event in self.report.hear(news)]

    def rest(self) -> list[tuple[str, object]]:
        """Return what is told when dbt has ended."""
        return [told(event) for event in self.report.rest()]


def told(event: dg.MaterializeResult[None] | dg.AssetCheckResult) -> tuple[str, object]:
    if isinstance(event, dg.AssetCheckResult):
        return str(event.check_name), None
    assert event.asset_key is not None
    return event.asset_key.to_user_string(), (event.metadata or {}).get("dagster/row_count")


def test_a_table_and_all_after_it_wait_for_its_rows(tmp_path: Path) -> None:
    reporting = Reporting(tmp_path)
    assert reporting.hear(result("view")) == [("view", None)]
    assert reporting.hear(result("orders")) == []
    assert reporting.hear(result("unique", "pass")) == []
    assert reporting.hear(result("customers")) == []
    assert reporting.hear({"orders": 4}) == [("orders", 4), ("unique", None)]
    assert reporting.hear({"customers": None}) == [("customers", None)]
    assert reporting.rest() == []
    assert reporting.asked == []


def test_what_dbt_did_not_count_is_counted_when_it_has_ended_and_told_in_its_order(tmp_path: Path) -> None:
    reporting = Reporting(tmp_path, {"orders": 4, "customers": 2})
    for name, status in (("orders", "success"), ("unique", "fail"), ("customers", "success")):
        assert reporting.hear(result(name, status)) == []
    assert reporting.rest() == [("orders", 4), ("unique", None), ("customers", 2)]
    assert reporting.asked == ["orders", "customers"]


def test_a_count_that_can_not_be_had_keeps_nothing_back(tmp_path: Path) -> None:
    reporting = Reporting(tmp_path)
    reporting.hear(result("orders"))
    assert reporting.rest() == [("orders", None)]


def test_what_failed_or_was_skipped_is_no_asset_but_is_known(tmp_path: Path) -> None:
    reporting = Reporting(tmp_path)
    for news in (result("orders", "error"), result("unique", "skipped"), result("elsewhere")):
        assert reporting.hear(news) == []
    assert reporting.report.results.keys() == {"orders", "unique", "elsewhere"}


def test_the_compiled_sql_and_the_storage_are_among_what_is_told(tmp_path: Path) -> None:
    path = tmp_path / "compiled" / "shop" / "models" / "orders.sql"
    path.parent.mkdir(parents=True)
    path.write_text("select 1")
    report = Reporting(tmp_path).report
    list(report.hear(result("orders")))
    [event] = report.hear({"orders": 0})
    metadata = event.metadata or {}
    assert metadata["compiled_sql"] == dg.MetadataValue.md("```sql\nselect 1\n```")
    assert (metadata["dagster/row_count"], metadata["dagster/storage_kind"]) == (0, "duckdb")
