"""One dbt build inside a Dagster step: hold the warehouse, run dbt, turn what it reports into Dagster's events."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
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
from analytics_dagster.execution.artifacts import RunFolders
from analytics_dagster.execution.batches import spoiled, waves
from analytics_dagster.execution.build_context import Assets
from analytics_dagster.execution.dbt_resource import DbtResource, opened
from analytics_dagster.execution.dbt_shutdown import interrupt_in, stop
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
    describe,
    in_adapter,
    in_file,
    missing,
    read_from_others,
    surely_needed,
)
from analytics_dagster.execution.progress import Progress
from analytics_dagster.execution.report import Report
from analytics_dagster.execution.row_counting import count_rows
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.manifest import read_manifest
from analytics_dagster.redaction import secret_values
from analytics_dagster.settings import DbtArtifacts, absent_variables, environment_variables
from analytics_dagster.warehouse import Warehouse

_SELECTION = "selection"
_MOST_NAMED = 50


@dataclass
class _Outcome:
    """What came of the starts of dbt so far, the last of which is ``invocation``."""

    results: dict[str, NodeResult] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)
    invocation: DbtCliInvocation | None = None

    @property
    def is_interrupted(self) -> bool:
        return any(isinstance(failure, dg.DagsterExecutionInterruptedError) for failure in self.failures)


@dataclass(frozen=True)
class Builder:
    """Runs dbt builds in one step of a run."""

    context: dg.OpExecutionContext
    assets: Assets
    dbt: DbtResource
    warehouse: Warehouse

    def run(self, build: Build, group: ScheduleGroup) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Build, by as many starts of dbt as it needs, and yield its materializations and checks.

        Whatever succeeded is kept if the rest fails. Materializations and checks come in dbt's order, each as soon as
        the rows of what was built before are counted. Raises `Failure` where what others build is not there yet, what
        dagster-dbt raises when dbt fails, and `WarehouseError` when the warehouse stays held.
        """
        with self.warehouse.exclusively() as hold:
            parsed = self._graph(build)
            self._require_what_is_read(build, parsed, group)
            known = parsed or self.assets.graph
            folders = self._folders
            folders.delete_old()
            done = _Outcome()
            progress = Progress(self.context, total=len(build.unique_ids))
            all_waves = waves(known, build.unique_ids)
            for number, wave in enumerate(all_waves, start=1):
                left = wave - spoiled(known, wave, done.results.values())
                if not left:
                    continue
                folder = folders.make(number)
                self._fill(folder, build, with_tested_models(left, known))
                done.invocation = self._call(build, folder)
                hold.note_child(done.invocation.process.pid)
                yield from self._report(done.invocation, build, done, progress)
                if done.is_interrupted:
                    break
            if done.failures:
                raise self._explained(done, build, group)
            self._require_all(build, done)
            folders.clear(range(1, len(all_waves) + 1))

    def _call(self, build: Build, folder: Path) -> DbtCliInvocation:
        return self.dbt.call(
            build_arguments(build, str(folder / _SELECTION)),
            target_path=folder,
            variables=build.variables,
            is_current=self.assets.project.is_current,
        )

    def _report(
        self, invocation: DbtCliInvocation, build: Build, done: _Outcome, progress: Progress
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Yield what one start of dbt makes, and see to it that it has ended."""
        report = Report(
            self.assets,
            invocation.target_path,
            make_graph=lambda: self._graph_of_run(build, invocation),
            count_rows=partial(
                count_rows, invocation=invocation, dbt=self.dbt, warehouse=self.warehouse, log=self.context.log
            ),
        )
        try:
            for news in self._follow(invocation, progress):
                yield from report.hear(news)
        except (Exception, dg.DagsterExecutionInterruptedError) as error:  # noqa: BLE001 - raised again by `run`
            done.failures.append(interrupt_in(error) or error)
        finally:
            # Also where Dagster gave up on this step while it took an event.
            stop(invocation.process)
        done.results.update(report.results)
        # Also when dbt failed or was stopped: what it built before is built.
        yield from report.rest()

    @property
    def _folders(self) -> RunFolders:
        return RunFolders(
            self.assets.project.artifacts,
            self.context.run.run_id,
            self.context.op.name,
            days=self.dbt.artifacts_days,
            all_kept=self.dbt.artifacts == DbtArtifacts.ALL.value,
        )

    def _fill(self, folder: Path, build: Build, selected: Collection[str]) -> None:
        """Write what dbt finds in the folder of its artifacts: the selection and what was parsed with the same vars."""
        selection = folder / _SELECTION
        selection.mkdir(exist_ok=True)
        (selection / SELECTION_FILE).write_text(json.dumps(selection_content(selected)), encoding="utf-8")
        parsed = self.assets.parsed(build.variables)
        if parsed.exists():
            # dbt then parses only what changed since.
            shutil.copyfile(parsed, folder / parsed.name)

    def _graph_of_run(self, build: Build, invocation: DbtCliInvocation) -> Graph:
        """Return the graph under the vars of a build once dbt has parsed."""
        return self._graph(build, invocation.target_path) or self.assets.graph

    def _graph(self, build: Build, run_folder: Path | None = None) -> Graph | None:
        """Return the graph under the vars of a build; of vars that only this run has there is one once dbt ran."""
        folder = self.assets.artifacts(build.variables)
        if folder == self.assets.project.artifacts:
            return self.assets.graph
        paths = [place / "manifest.json" for place in (folder, run_folder) if place is not None]
        path = next((path for path in paths if path.exists()), None)
        return None if path is None else Graph(read_manifest(path, remedy="Run the build again."))

    def _follow(
        self, invocation: DbtCliInvocation, progress: Progress
    ) -> Iterator[NodeResult | Mapping[str, int | None]]:
        """Yield each result as it comes, and row counts; say in the log how far dbt is, and why something failed."""
        # Tests that ran and found rows; dbt's later word on why they failed does not say that always.
        evaluated = set[str]()
        for message in invocation.stream_raw_events():
            if message.raw_event["info"]["name"] in REASONS:
                self.context.log.warning(message.raw_event["info"]["msg"].strip())
                self._note_failure(message.raw_event, evaluated, invocation)
            result = read_result(message.raw_event)
            if result is not None:
                progress.see(result)
                evaluated |= {result.unique_id} if result.status == "fail" else set()
                yield result
            elif counts := read_row_counts(message.raw_event):
                yield counts

    def _note_failure(
        self, raw_event: Mapping[str, Any], evaluated: Collection[str], invocation: DbtCliInvocation
    ) -> None:
        """Note on its own asset why a node, or a test, could not be run, if that is what an event of dbt says."""
        failure = failure_of(raw_event, self.assets.keys, self.assets.checks, evaluated)
        if failure is None:
            return
        node = self.assets.graph.nodes.get(raw_event["data"]["node_info"]["unique_id"])
        path = compiled_path(node, invocation.target_path) if node else None
        if path is not None and path.is_file():
            failure = replace(failure, compiled=str(path))
        self.context.log_event(to_observation(failure, secret_values(environment_variables())))

    # --- what others build -------------------------------------------------------------------------------------

    def _require_what_is_read(self, build: Build, graph: Graph | None, group: ScheduleGroup) -> None:
        """Raise `Failure` where a DuckDB file lacks what the build reads of others: then dbt need not start."""
        # Where dbt is told to read what is absent somewhere else, it knows better.
        if not self.warehouse.path or graph is None or not absent_variables(["DBT_DEFER"]):
            return
        readers = surely_needed(graph, read_from_others(graph, build.unique_ids))
        absent = missing(graph, readers, in_file(self.warehouse)) if readers else {}
        if absent:
            raise permanent_failure(self.context, self._described(absent, group))

    def _explained(self, done: _Outcome, build: Build, group: ScheduleGroup) -> BaseException:
        """Return what is to be raised: dbt's failure, with what was missing if what failed read something missing."""
        failure, *others = done.failures
        if others and isinstance(failure, dg.Failure):
            said = [one.description or str(one) if isinstance(one, dg.Failure) else str(one) for one in done.failures]
            failure = dg.Failure("\n\n".join(said), allow_retries=failure.allow_retries)
        failed = {result.unique_id for result in done.results.values() if result.status == "error"}
        if not failed or done.invocation is None or not isinstance(failure, dg.Failure):
            return failure
        graph = self._graph_of_run(build, done.invocation)
        readers = read_from_others(graph, build.unique_ids)
        readers = {parent: [name for name in names if name in failed] for parent, names in readers.items()}
        try:
            absent = self._missing(
                graph, {parent: names for parent, names in readers.items() if names}, done.invocation
            )
        except Exception as error:
            # Each adapter has exceptions of its own, and dbt's own failure must not be lost over a hint.
            self.context.log.debug("What dbt read was not looked up in the warehouse", exc_info=error)
            return failure
        if not absent:
            return failure
        return permanent_failure(self.context, f"{failure.description}\n\n{self._described(absent, group)}")

    def _missing(self, graph: Graph, readers: Readers, invocation: DbtCliInvocation) -> Readers:
        if self.warehouse.path:
            return missing(graph, readers, in_file(self.warehouse))
        adapter = self.dbt.adapter_of(invocation)
        if adapter is None:
            return {}
        with opened(adapter):
            return missing(graph, readers, in_adapter(adapter))

    def _described(self, absent: Readers, group: ScheduleGroup) -> str:
        return describe(absent, keys=self.assets.keys, group_of=self.assets.group_of, group=group.name)

    def _require_all(self, build: Build, done: _Outcome) -> None:
        """Raise `Failure` where dbt succeeded, but has left out something that it was to run."""
        left_out = sorted(build.unique_ids - done.results.keys())
        if left_out:
            listed = "".join(f"\n    {unique_id}" for unique_id in left_out[:_MOST_NAMED])
            raise permanent_failure(
                self.context,
                f"dbt left out {len(left_out)} of the {len(build.unique_ids)} nodes and tests of this build:{listed}\n"
                "  -> See whether the vars of this run disable them, or a variable of the environment "
                "(DBT_RESOURCE_TYPES, DBT_EXCLUDE_RESOURCE_TYPES) leaves them out.",
            )


def permanent_failure(context: dg.OpExecutionContext, description: str) -> dg.Failure:
    """Return a failure that would come again, and see to it that neither the step nor the run is tried again."""
    context.instance.add_run_tags(context.run.run_id, {"dagster/max_retries": "0"})
    return dg.Failure(description, allow_retries=False)
