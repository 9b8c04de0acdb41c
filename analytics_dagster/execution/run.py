"""Runs one dbt build inside a Dagster step: locks the warehouse, invokes dbt, yields Dagster events."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.lazy_dagster_dbt import DbtCliInvocation
from analytics_dagster.execution.arguments import (
    SELECTION_FILE,
    Build,
    build_arguments,
    selection_content,
    with_tested_models,
)
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.build_report import BuildReport, count_rows
from analytics_dagster.execution.dbt_resource import DbtResource
from analytics_dagster.execution.dbt_supervision import ProgressLog, find_interrupt, stop_dbt
from analytics_dagster.execution.events import (
    REASONS,
    NodeResult,
    compiled_path,
    failure_of,
    read_result,
    read_row_counts,
)
from analytics_dagster.execution.failures.observation import to_observation
from analytics_dagster.execution.preflight import (
    Readers,
    blocked,
    build_batches,
    exists_in_adapter,
    exists_in_file,
    missing_upstreams,
    missing_upstreams_message,
    read_from_other_builds,
    strictly_required,
)
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.manifest import read_manifest
from analytics_dagster.settings import missing_variables
from analytics_dagster.text import indented
from analytics_dagster.warehouse import Warehouse


@dataclass
class _BuildState:
    """The results of the dbt invocations so far; ``invocation`` is the last one."""

    results: dict[str, NodeResult] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)
    invocation: DbtCliInvocation | None = None


@dataclass(frozen=True)
class Builder:
    """Runs dbt builds in one step of a run."""

    context: dg.OpExecutionContext
    location: BuildContext
    dbt: DbtResource
    warehouse: Warehouse

    def run(self, build: Build, group: ScheduleGroup) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Run a build in one or more dbt invocations; yield its materializations and check results in dbt's order.

        What succeeded is kept if the rest fails. Raises `Failure` if an upstream relation is missing or dbt fails, and
        `WarehouseError` if the warehouse stays locked.
        """
        with self.warehouse.exclusively() as hold:
            graph = self._graph(build)
            self._require_upstreams(build, graph, group)
            graph = graph or self.location.graph
            folders = self.dbt.run_folders(self.location, self.context.run.run_id, self.context.op.name)
            folders.delete_old()
            state = _BuildState()
            progress = ProgressLog(self.context, total=len(build.unique_ids))
            batches = build_batches(graph, build.unique_ids)
            for number, batch in enumerate(batches, start=1):
                selected = batch - blocked(graph, batch, state.results.values())
                if not selected:
                    continue
                folder = folders.make(number)
                state.invocation = self._invoke(build, folder, with_tested_models(selected, graph))
                hold.record_child(state.invocation.process.pid)
                yield from self._report(state.invocation, build, state, progress)
                if any(isinstance(failure, dg.DagsterExecutionInterruptedError) for failure in state.failures):
                    break
            if state.failures:
                raise self._explain(state, build, group)
            self._require_all(build, state)
            folders.clear(range(1, len(batches) + 1))

    def _invoke(self, build: Build, folder: Path, selected: Collection[str]) -> DbtCliInvocation:
        selection = folder / "selection"
        selection.mkdir(exist_ok=True)
        (selection / SELECTION_FILE).write_text(json.dumps(selection_content(selected)), encoding="utf-8")
        return self.dbt.invoke(
            build_arguments(build, str(selection)),
            target_path=folder,
            location=self.location,
            variables=build.variables,
            warehouse=self.warehouse,
        )

    def _report(
        self, invocation: DbtCliInvocation, build: Build, state: _BuildState, progress: ProgressLog
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Yield the events of one dbt invocation, and make sure that dbt has ended."""
        report = BuildReport(
            self.location,
            invocation.target_path,
            make_graph=lambda: self._graph_after_parse(build, invocation),
            count_rows=lambda nodes: count_rows(nodes, lambda sql: self._query(invocation, sql), self.context.log),
        )
        try:
            for update in self._follow(invocation, progress):
                yield from report.add(update)
        except (Exception, dg.DagsterExecutionInterruptedError) as error:  # noqa: BLE001 - raised again by `run`
            state.failures.append(find_interrupt(error) or error)
        finally:
            # Dagster may also close this generator at a `yield`.
            stop_dbt(invocation.process)
        state.results.update(report.results)
        # If dbt failed or was stopped, what it built before is still reported.
        yield from report.finish()

    def _query(self, invocation: DbtCliInvocation, sql: str) -> Sequence[Sequence[Any]]:
        """Run a query in the warehouse after dbt has ended; return no rows if there is no connection."""
        if self.warehouse.path:
            return self.warehouse.rows(sql)
        with self.dbt.open_adapter(invocation) as adapter:
            if adapter is None:
                return []
            _, table = adapter.execute(sql, fetch=True)
            return [tuple(row) for row in table]

    def _graph_after_parse(self, build: Build, invocation: DbtCliInvocation) -> Graph:
        return self._graph(build, invocation.target_path) or self.location.graph

    def _graph(self, build: Build, run_folder: Path | None = None) -> Graph | None:
        """Return the graph for the vars of a build; None if only this run has them and dbt has not parsed yet."""
        folder = self.location.artifacts(build.variables)
        if folder == self.location.project.artifacts:
            return self.location.graph
        paths = [candidate / "manifest.json" for candidate in (folder, run_folder) if candidate is not None]
        path = next((path for path in paths if path.exists()), None)
        return None if path is None else Graph(read_manifest(path, remedy="Run the build again."))

    def _follow(
        self, invocation: DbtCliInvocation, progress: ProgressLog
    ) -> Iterator[NodeResult | Mapping[str, int | None]]:
        """Yield results and row counts as dbt logs them; log progress and the reasons of failures."""
        # Tests that ran and failed; dbt's later event with the reason does not always say so.
        evaluated = set[str]()
        for message in invocation.stream_raw_events():
            event = message.raw_event
            if event["info"]["name"] in REASONS:
                self.context.log.warning(event["info"]["msg"].strip())
                self._observe_failure(event, evaluated, invocation)
            result = read_result(event)
            if result is not None:
                progress.add(result)
                if result.status == "fail":
                    evaluated.add(result.unique_id)
                yield result
            elif counts := read_row_counts(event):
                yield counts

    def _observe_failure(
        self, raw_event: Mapping[str, Any], evaluated: Collection[str], invocation: DbtCliInvocation
    ) -> None:
        """Log an observation on the asset of a node that failed, or of a test that could not run."""
        failure = failure_of(raw_event, self.location.keys, self.location.checks, evaluated)
        if failure is None:
            return
        node = self.location.graph.nodes.get(raw_event["data"]["node_info"]["unique_id"])
        path = compiled_path(node, invocation.target_path) if node else None
        if path is not None and path.is_file():
            failure = replace(failure, compiled=str(path))
        self.context.log_event(to_observation(failure))

    # --- missing upstream relations ----------------------------------------------------------------------------

    def _require_upstreams(self, build: Build, graph: Graph | None, group: ScheduleGroup) -> None:
        """Raise `Failure` before dbt starts if a DuckDB file lacks upstream relations of the build."""
        # With `DBT_DEFER` dbt reads missing relations from another schema.
        if not self.warehouse.path or graph is None or not missing_variables(["DBT_DEFER"]):
            return
        readers = strictly_required(graph, read_from_other_builds(graph, build.unique_ids))
        missing = missing_upstreams(graph, readers, exists_in_file(self.warehouse)) if readers else {}
        if missing:
            raise permanent_failure(self.context, self._message(missing, group))

    def _explain(self, state: _BuildState, build: Build, group: ScheduleGroup) -> BaseException:
        """Return the failure to raise: dbt's own, with the missing upstream relations of the failed nodes."""
        failure = state.failures[0]
        failed = {result.unique_id for result in state.results.values() if result.status == "error"}
        if not isinstance(failure, dg.Failure) or state.invocation is None:
            return failure
        if len(state.failures) > 1:
            texts = (getattr(one, "description", None) or str(one) for one in state.failures)
            failure = dg.Failure("\n\n".join(texts), allow_retries=failure.allow_retries)
        graph = self._graph_after_parse(build, state.invocation)
        readers = read_from_other_builds(graph, build.unique_ids, by=failed)
        try:
            missing = self._missing(graph, readers, state.invocation)
        except Exception as error:
            # Each adapter has its own exceptions, and a hint must not replace dbt's failure.
            self.context.log.debug("Upstream relations were not looked up in the warehouse", exc_info=error)
            return failure
        if not missing:
            return failure
        return permanent_failure(self.context, f"{failure.description}\n\n{self._message(missing, group)}")

    def _missing(self, graph: Graph, readers: Readers, invocation: DbtCliInvocation) -> Readers:
        if self.warehouse.path:
            return missing_upstreams(graph, readers, exists_in_file(self.warehouse))
        with self.dbt.open_adapter(invocation) as adapter:
            return {} if adapter is None else missing_upstreams(graph, readers, exists_in_adapter(adapter))

    def _message(self, missing: Readers, group: ScheduleGroup) -> str:
        return missing_upstreams_message(missing, self.location.keys, self.location.group_of, group.name)

    def _require_all(self, build: Build, state: _BuildState) -> None:
        """Raise `Failure` if dbt succeeded without running everything that the build selects."""
        not_run = sorted(build.unique_ids - state.results.keys())
        if not_run:
            raise permanent_failure(
                self.context,
                f"dbt did not run {len(not_run)} of {len(build.unique_ids)} nodes and tests of this build:"
                f"{indented(not_run)}\n"
                "  -> Check whether the vars of this run disable them, or an environment variable excludes them "
                "(DBT_RESOURCE_TYPES, DBT_EXCLUDE_RESOURCE_TYPES).",
            )


def permanent_failure(context: dg.OpExecutionContext, description: str) -> dg.Failure:
    """Return a failure that a retry cannot fix, and turn off retries of the step and of the run."""
    context.instance.add_run_tags(context.run.run_id, {"dagster/max_retries": "0"})
    return dg.Failure(description, allow_retries=False)
