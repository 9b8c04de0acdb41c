"""One dbt build inside a Dagster step: hold the warehouse, run dbt, turn what it reports into Dagster's events."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import orjson
from dagster_dbt import DbtCliInvocation

from analytics_dagster.dbt_process import artifacts_of
from analytics_dagster.manifest import read_manifest
from analytics_dagster.project import Project
from analytics_dagster.settings import absent_variables
from analytics_dagster.transform.arguments import (
    SELECTION_FILE,
    Build,
    build_arguments,
    selection_content,
    with_tested_models,
)
from analytics_dagster.transform.dbt_resource import DbtResource, opened
from analytics_dagster.transform.events import BUILT, REASONS, NodeResult, read_result, to_check_result
from analytics_dagster.transform.graph import Graph
from analytics_dagster.transform.groups import ScheduleGroup
from analytics_dagster.transform.missing import (
    Readers,
    describe,
    in_adapter,
    in_file,
    missing,
    read_from_others,
    surely_needed,
)
from analytics_dagster.transform.waves import spoiled, waves
from analytics_dagster.warehouse import Warehouse

RUNS = "runs"
"""The folder, beside the manifest, of each run's own artifacts."""

_SELECTION = "selection"
_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_TO_STOP = 25.0
_COUNTED = {"table", "incremental", "seed", "snapshot"}
_LONGEST_SQL = 20_000
_MOST_NAMED = 50
_GOOD = {*BUILT, "pass", "skipped"}


@dataclass(frozen=True)
class Assets:
    """What every build of the location needs to know: the project, its groups, and its assets by dbt unique id.

    ``variables`` are the location's own dbt vars, with which the project's manifest and its graph were made.
    """

    project: Project
    graph: Graph
    variables: Mapping[str, Any]
    groups: Mapping[str, ScheduleGroup]
    group_of: Mapping[str, str]
    keys: Mapping[str, dg.AssetKey]
    checks: Mapping[str, dg.AssetCheckKey]


@dataclass
class _Outcome:
    """What came of the starts of dbt so far: the last of them, and results with the folder of their start."""

    results: dict[str, NodeResult] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)
    invocation: DbtCliInvocation | None = None

    def take(self, result: NodeResult, folder: Path) -> None:
        self.results[result.unique_id] = result
        self.folders[result.unique_id] = folder


@dataclass(frozen=True)
class Builder:
    """Runs dbt builds in one step of a run."""

    context: dg.OpExecutionContext
    assets: Assets
    dbt: DbtResource
    warehouse: Warehouse

    def run(self, build: Build, group: ScheduleGroup) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Build, by as many starts of dbt as it needs, and yield its materializations and checks.

        Whatever succeeded is kept if the rest fails. Materializations come when dbt has ended, with row counts from
        one query; until then the log tells the progress. Raises `Failure` where what others build is not there yet,
        what dagster-dbt raises when dbt fails, and `WarehouseError` when the warehouse stays held.
        """
        with self.warehouse.exclusively() as hold:
            parsed = self._graph(build)
            self._require_what_is_read(build, parsed, group)
            known = parsed or self.assets.graph
            done = _Outcome()
            progress = _Progress(self.context, total=len(build.unique_ids))
            for number, wave in enumerate(waves(known, build.unique_ids), start=1):
                left = wave - spoiled(known, wave, done.results.values())
                if not left:
                    continue
                folder = self._prepare_folder(build, with_tested_models(left, known), number)
                done.invocation = self.dbt.cli(
                    list(build_arguments(build, str(folder / _SELECTION))), target_path=folder
                )
                hold.note_child(done.invocation.process.pid)
                try:
                    for result in self._follow(done.invocation, progress):
                        done.take(result, folder)
                        if result.unique_id in self.assets.checks and result.status != "skipped":
                            yield to_check_result(result, self.assets.checks[result.unique_id])
                except (Exception, dg.DagsterExecutionInterruptedError) as error:  # noqa: BLE001 - raised again below
                    interrupt = _interrupt(error)
                    done.failures.append(interrupt or error)
                    if interrupt:
                        break
                finally:
                    # Also where Dagster gave up on this step while it took an event.
                    _stop(done.invocation.process)
            # Also when dbt failed or was stopped: what it built before is built.
            graph = parsed or self._graph(build, folder) or known
            yield from self._materializations(done, graph)
            if done.failures:
                raise self._explained(done, build, graph, group)
            self._require_all(build, done)

    def _prepare_folder(self, build: Build, selected: Collection[str], number: int) -> Path:
        """Make the folder of one start's artifacts, with what is selected and what was parsed with the same vars."""
        # A step's name, not the group's: a group whose steps wait for others' in a circle comes in several steps.
        name = f"{self.context.run.run_id}-{self.context.op.name}"
        folder = self.assets.project.artifacts / RUNS / (name if number == 1 else f"{name}-{number}")
        selection = folder / _SELECTION
        selection.mkdir(parents=True, exist_ok=True)
        (selection / SELECTION_FILE).write_text(json.dumps(selection_content(selected)), encoding="utf-8")
        parsed = self._artifacts(build) / "partial_parse.msgpack"
        if parsed.exists():
            # dbt then parses only what changed since.
            shutil.copyfile(parsed, folder / parsed.name)
        return folder

    def _artifacts(self, build: Build) -> Path:
        """Return the folder of what was parsed with the vars of a build, if that was ever done."""
        artifacts = self.assets.project.artifacts
        if build.variables == self.assets.variables:
            return artifacts
        return artifacts_of(artifacts, orjson.dumps(build.variables, option=orjson.OPT_SORT_KEYS).decode())

    def _graph(self, build: Build, run_folder: Path | None = None) -> Graph | None:
        """Return the graph under the vars of a build; of vars that only this run has there is one once dbt ran."""
        folder = self._artifacts(build)
        if folder == self.assets.project.artifacts:
            return self.assets.graph
        paths = [place / "manifest.json" for place in (folder, run_folder) if place is not None]
        path = next((path for path in paths if path.exists()), None)
        return None if path is None else Graph(read_manifest(path, remedy="Run the build again."))

    def _follow(self, invocation: DbtCliInvocation, progress: _Progress) -> Iterator[NodeResult]:
        """Yield each result as it comes; say in the log how far dbt is, and why something did not pass."""
        for message in invocation.stream_raw_events():
            if message.raw_event["info"]["name"] in REASONS:
                self.context.log.warning(message.raw_event["info"]["msg"].strip())
            result = read_result(message.raw_event)
            if result is not None:
                progress.see(result)
                yield result

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

    def _explained(self, done: _Outcome, build: Build, graph: Graph, group: ScheduleGroup) -> BaseException:
        """Return what is to be raised: dbt's failure, with what was missing if what failed read something missing."""
        failure, *others = done.failures
        if others and isinstance(failure, dg.Failure):
            said = [one.description or str(one) if isinstance(one, dg.Failure) else str(one) for one in done.failures]
            failure = dg.Failure("\n\n".join(said), allow_retries=failure.allow_retries)
        failed = {result.unique_id for result in done.results.values() if result.status == "error"}
        if not failed or not isinstance(failure, dg.Failure):
            return failure
        readers = read_from_others(graph, build.unique_ids)
        readers = {parent: [name for name in names if name in failed] for parent, names in readers.items()}
        try:
            absent = self._missing(graph, {parent: names for parent, names in readers.items() if names}, done)
        except Exception as error:
            # Each adapter has exceptions of its own, and dbt's own failure must not be lost over a hint.
            self.context.log.debug("What dbt read was not looked up in the warehouse", exc_info=error)
            return failure
        if not absent:
            return failure
        return permanent_failure(self.context, f"{failure.description}\n\n{self._described(absent, group)}")

    def _missing(self, graph: Graph, readers: Readers, done: _Outcome) -> Readers:
        if self.warehouse.path:
            return missing(graph, readers, in_file(self.warehouse))
        adapter = done.invocation.adapter if done.invocation else None
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

    # --- what was built ----------------------------------------------------------------------------------------

    def _materializations(self, done: _Outcome, graph: Graph) -> Iterator[dg.MaterializeResult[None]]:
        built = [
            result
            for result in done.results.values()
            if result.unique_id in self.assets.group_of and result.status in BUILT
        ]
        counts = self._row_counts([graph.nodes[result.unique_id] for result in built], done.invocation)
        for result in built:
            count = counts.get(result.unique_id)
            yield dg.MaterializeResult(
                asset_key=self.assets.keys[result.unique_id],
                metadata={
                    **result.metadata,
                    **_compiled_sql(graph.nodes[result.unique_id], done.folders[result.unique_id]),
                    **({} if count is None else {"dagster/row_count": dg.MetadataValue.int(count)}),
                },
            )

    def _row_counts(self, nodes: Sequence[Mapping[str, Any]], invocation: DbtCliInvocation | None) -> Mapping[str, int]:
        """Count the rows of every table that was built, in one query."""
        tables = [
            node for node in nodes if node["config"].get("materialized") in _COUNTED and node.get("relation_name")
        ]
        if not tables:
            return {}
        query = "\nunion all\n".join(
            f"select {place} as place, count(*) as row_count from {node['relation_name']}"  # noqa: S608 - dbt's own name
            for place, node in enumerate(tables)
        )
        try:
            rows = self.warehouse.rows(query) if self.warehouse.path else _rows_through_adapter(query, invocation)
        except Exception as error:
            # Each adapter has exceptions of its own, and a count that can't be had fails no build.
            self.context.log.warning(f"The rows were not counted: {type(error).__name__}")
            self.context.log.debug("The rows were not counted", exc_info=error)
            return {}
        return {tables[int(row[0])]["unique_id"]: int(row[1]) for row in rows}


def permanent_failure(context: dg.OpExecutionContext, description: str) -> dg.Failure:
    """Return a failure that would come again, and see to it that neither the step nor the run is tried again."""
    context.instance.add_run_tags(context.run.run_id, {"dagster/max_retries": "0"})
    return dg.Failure(description, allow_retries=False)


class _Progress:
    """Says in the log how far dbt is: every failure at once, the rest at most every other second."""

    def __init__(self, context: dg.OpExecutionContext, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self._next = 0.0

    def see(self, result: NodeResult) -> None:
        """Take note of how a node or test came out."""
        self._done += 1
        line = f"{self._done} of {self._total}: {result.name} {result.status}"
        if result.status not in _GOOD:
            self._context.log.warning(line)
        elif time.monotonic() >= self._next or self._done == self._total:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            self._context.log.info(line)


def _compiled_sql(node: Mapping[str, Any], target_path: Path) -> Mapping[str, dg.MetadataValue[Any]]:
    path = target_path / "compiled" / node["package_name"] / node["original_file_path"]
    if not path.is_file():
        return {}
    return {"compiled_sql": dg.MetadataValue.md(f"```sql\n{path.read_text(encoding='utf-8')[:_LONGEST_SQL]}\n```")}


def _rows_through_adapter(query: str, invocation: DbtCliInvocation | None) -> list[tuple[Any, ...]]:
    if invocation is None or invocation.adapter is None:
        return []
    with opened(invocation.adapter):
        _, table = invocation.adapter.execute(query, fetch=True)
        return [tuple(row) for row in table]


def _interrupt(error: BaseException) -> BaseException | None:
    """Return the interrupt, if that is why the step ends, also where dagster-dbt then waited for dbt in vain."""
    if isinstance(error, dg.DagsterExecutionInterruptedError):
        return error
    before = error.__context__
    if isinstance(error, subprocess.TimeoutExpired) and isinstance(before, dg.DagsterExecutionInterruptedError):
        return before
    return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End dbt if it is still at work: it has nobody any more to report to."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
