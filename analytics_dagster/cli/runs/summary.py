"""What came of runs, for each asset: its group, rows, seconds, and checks; read from Dagster's own events."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import dagster as dg
from rich import box
from rich.table import Table

from analytics_dagster.cli.runs.execution import JobResult
from analytics_dagster.text import pluralize

_READ = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


class Status(str, Enum):
    """What became of an asset in a run."""

    BUILT = "built"
    NOT_BUILT = "not built"
    """It failed, or was skipped because something that it reads failed."""


@dataclass(frozen=True)
class AssetSummary:
    """One asset in one run; ``rows`` and ``seconds`` are None where the run did not report them."""

    key: dg.AssetKey
    group: str
    status: Status
    rows: int | None
    seconds: float | None
    passed: int
    failed: int
    warned: int

    def followed_by(self, later: AssetSummary) -> AssetSummary:
        """Return both runs' lines as one: a later run may only have checked what an earlier one built."""
        return AssetSummary(
            key=self.key,
            group=self.group,
            status=later.status,
            rows=self.rows if later.rows is None else later.rows,
            seconds=self.seconds if later.seconds is None else later.seconds,
            passed=self.passed + later.passed,
            failed=self.failed + later.failed,
            warned=self.warned + later.warned,
        )


def summarize(
    instance: dg.DagsterInstance, results: Iterable[JobResult], groups: Mapping[dg.AssetKey, str]
) -> list[AssetSummary]:
    """Return a line for each asset that the runs planned, built or checked, in the order of the runs and builds."""
    lines: dict[dg.AssetKey, AssetSummary] = {}
    for result in results:
        for run_id in filter(None, (*result.earlier, result.run_id)):
            for line in _of_run(instance, run_id, groups):
                before = lines.get(line.key)
                lines[line.key] = line if before is None else before.followed_by(line)
    return list(lines.values())


def _of_run(instance: dg.DagsterInstance, run_id: str, groups: Mapping[dg.AssetKey, str]) -> Iterable[AssetSummary]:
    entries = instance.all_logs(run_id, of_type=_READ)
    built: dict[dg.AssetKey, dg.AssetMaterialization] = {}
    step_of: dict[dg.AssetKey, str] = {}
    planned: list[dg.AssetKey] = []
    checks: dict[dg.AssetKey, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key:
            planned.append(event.asset_key)
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            built[event.asset_key] = event.step_materialization_data.materialization
            step_of[event.asset_key] = event.step_key or ""
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            checks[evaluation.asset_key][_outcome(evaluation.passed, evaluation.severity)] += 1
    told = {key: _execution_time(materialization) for key, materialization in built.items()}
    seconds = _step_seconds(instance, run_id) if None in told.values() else {}
    for key in [
        *built,
        *(key for key in planned if key not in built),
        *(key for key in checks if key not in {*built, *planned}),
    ]:
        outcome = checks[key]
        materialization = built.get(key)
        checked_only = key not in built and key not in planned
        yield AssetSummary(
            key=key,
            group=groups.get(key, ""),
            status=Status.BUILT if materialization or checked_only else Status.NOT_BUILT,
            rows=_integer(materialization, "dagster/row_count"),
            seconds=told.get(key) or seconds.get(step_of.get(key, "")),
            passed=outcome["passed"],
            failed=outcome["failed"],
            warned=outcome["warned"],
        )


def _step_seconds(instance: dg.DagsterInstance, run_id: str) -> dict[str, float]:
    return {
        stats.step_key: float(stats.end_time - stats.start_time)
        for stats in instance.get_run_step_stats(run_id)
        if stats.start_time is not None and stats.end_time is not None
    }


def _outcome(passed: bool, severity: dg.AssetCheckSeverity) -> str:  # noqa: FBT001 - Dagster's own pair of values
    if passed:
        return "passed"
    return "warned" if severity is dg.AssetCheckSeverity.WARN else "failed"


def _integer(materialization: dg.AssetMaterialization | None, name: str) -> int | None:
    value = materialization.metadata.get(name) if materialization else None
    return int(value.value) if isinstance(value, dg.IntMetadataValue) and value.value is not None else None


def _execution_time(materialization: dg.AssetMaterialization) -> float | None:
    """Return the seconds that dbt reports for a node of its own; a step's time would be that of the whole group."""
    value = materialization.metadata.get("Execution Duration")
    return value.value if isinstance(value, dg.FloatMetadataValue) else None


def summary_table(lines: Sequence[AssetSummary], *, seconds: float) -> Table:
    """Return the lines as a table for a terminal, with a total; ``seconds`` is the wall time of everything.

    The columns `passed`, `failed` and `warned` count asset checks.
    """
    table = Table(box=box.SIMPLE, header_style="bold", show_footer=True, pad_edge=False)
    failed, warned = sum(line.failed for line in lines), sum(line.warned for line in lines)
    not_built = sum(line.status is Status.NOT_BUILT for line in lines)
    total = pluralize(len(lines), "asset") + (f", {not_built} not built" if not_built else "")
    table.add_column("asset", footer=total, overflow="fold")
    table.add_column("group", no_wrap=True)
    table.add_column("rows", justify="right", footer=f"{sum(line.rows or 0 for line in lines):,}")
    table.add_column("seconds", justify="right", footer=f"{seconds:.1f}")
    table.add_column("passed", justify="right", footer=str(sum(line.passed for line in lines)))
    table.add_column("failed", justify="right", footer=f"[red]{failed}[/]" if failed else "0")
    table.add_column("warned", justify="right", footer=str(warned))
    for line in lines:
        not_built_mark = "" if line.status is Status.BUILT else " [red](not built)[/]"
        table.add_row(
            "/".join(line.key.path) + not_built_mark,
            line.group,
            "" if line.rows is None else f"{line.rows:,}",
            "" if line.seconds is None else f"{line.seconds:.2f}",
            str(line.passed or ""),
            f"[red]{line.failed}[/]" if line.failed else "",
            f"[yellow]{line.warned}[/]" if line.warned else "",
        )
    return table
