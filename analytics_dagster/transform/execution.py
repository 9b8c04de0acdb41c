"""One dbt build inside a Dagster step: wait for the warehouse, run dbt, turn what it reports into Dagster's events."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliInvocation

from analytics_dagster.project import Project
from analytics_dagster.transform.arguments import SELECTION_FILE, Build, build_arguments, selection_content
from analytics_dagster.transform.dbt_resource import DbtResource
from analytics_dagster.transform.translator import Translator
from analytics_dagster.warehouse import Warehouse, wait_for_file

RUNS = "runs"
"""The folder, beside the manifest, of each run's own artifacts."""

_SECONDS_BETWEEN_LINES = 2.0
_COUNTED = {"table", "incremental", "seed", "snapshot"}
_LONGEST_SQL = 20_000
_BAD = {"error", "fail", "warn", "runtime error"}
_REASONS = {"RunResultError", "RunResultFailure", "RunResultWarning"}
"""dbt's events that say, after everything has run, why a node or test did not pass."""


def run_build(
    context: dg.AssetExecutionContext,
    build: Build,
    *,
    project: Project,
    translator: Translator,
    dbt: DbtResource,
    warehouse: Warehouse,
) -> Iterator[dg.Output[None] | dg.AssetCheckResult | dg.AssetObservation]:
    """Run one dbt build and yield its materializations and checks; whatever succeeded is kept if the rest fails.

    Materializations come when dbt has ended, with row counts from one query; until then the log tells the
    progress. Raises what dagster-dbt raises when dbt fails, and `WarehouseError` when the warehouse stays held.
    """
    if warehouse.path:
        wait_for_file(Path(warehouse.path), timeout=warehouse.lock_timeout)
    target_path = _run_folder(context, project)
    selection = target_path / "selection"
    selection.mkdir(parents=True, exist_ok=True)
    (selection / SELECTION_FILE).write_text(json.dumps(selection_content(build.unique_ids)), encoding="utf-8")
    invocation = dbt.cli(
        list(build_arguments(build, str(selection))),
        manifest=project.manifest,
        dagster_dbt_translator=translator,
        target_path=target_path,
    )
    progress = _Progress(context, total=len(build.unique_ids))
    outputs: list[dg.Output[None]] = []
    failure: BaseException | None = None
    try:
        for message in invocation.stream_raw_events():
            progress.see(message.raw_event)
            for event in message.to_default_asset_events(
                project.manifest, translator, context=context, target_path=target_path, project=project.dbt
            ):
                if isinstance(event, dg.Output):
                    outputs.append(event)
                else:
                    yield event  # type: ignore[misc] # an asset's run yields no bare materialization
    except (Exception, dg.DagsterExecutionInterruptedError) as error:  # noqa: BLE001 - raised again below
        failure = error
    # Also when dbt failed or was stopped: what it built before is built.
    yield from _with_metadata(outputs, invocation, project, warehouse, context)
    if failure is not None:
        raise failure


def _run_folder(context: dg.AssetExecutionContext, project: Project) -> Path:
    folder = project.artifacts / RUNS / f"{context.run.run_id}-{context.op_execution_context.op.name}"
    folder.mkdir(parents=True, exist_ok=True)
    parsed = project.artifacts / "partial_parse.msgpack"
    if parsed.exists():
        # dbt then parses only what changed since.
        shutil.copyfile(parsed, folder / parsed.name)
    return folder


class _Progress:
    """Says in the log how far dbt is: every failure at once, the rest at most every other second."""

    def __init__(self, context: dg.AssetExecutionContext, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self._next = 0.0

    def see(self, raw_event: Mapping[str, Any]) -> None:
        """Take note of one of dbt's structured log events."""
        name = raw_event["info"]["name"]
        if name in _REASONS:
            self._context.log.warning(raw_event["info"]["msg"].strip())
        if not (name.startswith("Log") and name.endswith("Result")):
            return
        self._done += 1
        node = raw_event["data"].get("node_info") or {}
        status = str(node.get("node_status"))
        line = f"{self._done} of {self._total}: {node.get('node_name')} {status}"
        if status in _BAD:
            self._context.log.warning(line)
        elif time.monotonic() >= self._next or self._done == self._total:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            self._context.log.info(line)


def _with_metadata(
    outputs: list[dg.Output[None]],
    invocation: DbtCliInvocation,
    project: Project,
    warehouse: Warehouse,
    context: dg.AssetExecutionContext,
) -> Iterator[dg.Output[None]]:
    nodes = {
        output.output_name: project.manifest["nodes"][str(output.metadata["unique_id"].value)] for output in outputs
    }
    counts = _row_counts(list(nodes.values()), invocation, warehouse, context)
    for output in outputs:
        node = nodes[output.output_name]
        count = counts.get(node["unique_id"])
        extra = {
            **_compiled_sql(node, invocation.target_path),
            **({} if count is None else {"dagster/row_count": dg.MetadataValue.int(count)}),
        }
        yield output.with_metadata({**output.metadata, **extra})


def _compiled_sql(node: Mapping[str, Any], target_path: Path) -> Mapping[str, dg.MetadataValue[Any]]:
    path = target_path / "compiled" / node["package_name"] / node["original_file_path"]
    if not path.is_file():
        return {}
    return {"compiled_sql": dg.MetadataValue.md(f"```sql\n{path.read_text(encoding='utf-8')[:_LONGEST_SQL]}\n```")}


def _row_counts(
    nodes: list[Mapping[str, Any]],
    invocation: DbtCliInvocation,
    warehouse: Warehouse,
    context: dg.AssetExecutionContext,
) -> Mapping[str, int]:
    """Count the rows of every table that was built, in one query."""
    tables = [node for node in nodes if node["config"].get("materialized") in _COUNTED and node.get("relation_name")]
    if not tables:
        return {}
    query = "\nunion all\n".join(
        f"select {place} as place, count(*) as row_count from {node['relation_name']}"  # noqa: S608 - dbt's own name
        for place, node in enumerate(tables)
    )
    try:
        rows = warehouse.rows(query) if warehouse.path else _rows_through_adapter(query, invocation)
    except Exception as error:
        # Each adapter has exceptions of its own, and a count that can't be had fails no build.
        context.log.warning(f"The rows were not counted: {type(error).__name__}")
        context.log.debug("The rows were not counted", exc_info=error)
        return {}
    return {tables[int(row[0])]["unique_id"]: int(row[1]) for row in rows}


def _rows_through_adapter(query: str, invocation: DbtCliInvocation) -> list[tuple[Any, ...]]:
    adapter = invocation.adapter
    if adapter is None:
        return []
    try:
        with adapter.connection_named("row_counts"):
            _, table = adapter.execute(query, fetch=True)
            return [tuple(row) for row in table]
    finally:
        adapter.cleanup_connections()
