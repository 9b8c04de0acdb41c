"""Summarizes runs per asset, from Dagster's events: group, status, rows, seconds and checks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import dagster as dg
from rich import box
from rich.table import Table

from analytics_dagster.cli.runs.execution import JobResult
from analytics_dagster.text import pluralize

_EVENT_TYPES = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True)
class AssetSummary:
    """One asset in one or more runs.

    ``is_built`` is false if it failed, or was skipped because an upstream asset failed. ``rows`` and ``seconds`` are
    None if no run reported them. ``checks`` counts those that passed, failed and warned.
    """

    key: dg.AssetKey
    group: str
    is_built: bool
    rows: int | None
    seconds: float | None
    checks: Counter[str]

    def merge(self, later: AssetSummary) -> AssetSummary:
        """Return one summary of both runs: the later run may only have checked what the earlier one built."""
        return replace(
            later,
            rows=self.rows if later.rows is None else later.rows,
            seconds=self.seconds if later.seconds is None else later.seconds,
            checks=self.checks + later.checks,
        )


def summarize(
    instance: dg.DagsterInstance, results: Iterable[JobResult], groups: Mapping[dg.AssetKey, str]
) -> list[AssetSummary]:
    """Return a summary of each asset that the runs planned, built or checked, in order of the runs and builds."""
    found: dict[dg.AssetKey, AssetSummary] = {}
    for result in results:
        for run_id in filter(None, (*result.earlier, result.run_id)):
            for summary in _summarize_run(instance, run_id, groups):
                earlier = found.get(summary.key)
                found[summary.key] = earlier.merge(summary) if earlier else summary
    return list(found.values())


def _summarize_run(
    instance: dg.DagsterInstance, run_id: str, groups: Mapping[dg.AssetKey, str]
) -> Iterator[AssetSummary]:
    built: dict[dg.AssetKey, dg.AssetMaterialization] = {}
    step_of: dict[dg.AssetKey, str] = {}
    planned: list[dg.AssetKey] = []
    checks: dict[dg.AssetKey, Counter[str]] = defaultdict(Counter)
    for entry in instance.all_logs(run_id, of_type=_EVENT_TYPES):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            checks[evaluation.asset_key][_outcome(evaluation)] += 1
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            built[event.asset_key] = event.step_materialization_data.materialization
            step_of[event.asset_key] = event.step_key or ""
        elif event.asset_key:
            planned.append(event.asset_key)
    # dbt's own time for a node; the time of its step is that of the whole group.
    times = {key: _number(materialization, "Execution Duration") for key, materialization in built.items()}
    step_seconds = _step_seconds(instance, run_id) if None in times.values() else {}
    for key in dict.fromkeys([*built, *planned, *checks]):
        rows = _number(built.get(key), "dagster/row_count")
        yield AssetSummary(
            key=key,
            group=groups.get(key, ""),
            # An asset that was only checked was built before.
            is_built=key in built or key not in planned,
            rows=None if rows is None else int(rows),
            seconds=times.get(key) or step_seconds.get(step_of.get(key, "")),
            checks=checks[key],
        )


def _outcome(evaluation: dg.AssetCheckEvaluation) -> str:
    if evaluation.passed:
        return "passed"
    return "warned" if evaluation.severity is dg.AssetCheckSeverity.WARN else "failed"


def _number(materialization: dg.AssetMaterialization | None, name: str) -> float | None:
    value = materialization.metadata.get(name) if materialization else None
    return value.value if isinstance(value, (dg.IntMetadataValue, dg.FloatMetadataValue)) else None


def _step_seconds(instance: dg.DagsterInstance, run_id: str) -> dict[str, float]:
    return {
        stats.step_key: float(stats.end_time - stats.start_time)
        for stats in instance.get_run_step_stats(run_id)
        if stats.start_time is not None and stats.end_time is not None
    }


def summary_table(summaries: Sequence[AssetSummary], *, seconds: float) -> Table:
    """Return the summaries as a table with a total; ``seconds`` is the total wall time.

    The columns `passed`, `failed` and `warned` count asset checks.
    """
    table = Table(box=box.SIMPLE, header_style="bold", show_footer=True, pad_edge=False)
    checks = sum((summary.checks for summary in summaries), Counter[str]())
    not_built = sum(not summary.is_built for summary in summaries)
    rows = [summary.rows for summary in summaries if summary.rows is not None]
    total = pluralize(len(summaries), "asset") + (f", {not_built} not built" if not_built else "")
    table.add_column("asset", footer=total, overflow="fold")
    table.add_column("group", no_wrap=True)
    for title, footer in {
        "rows": f"{sum(rows):,}" if rows else "",
        "seconds": f"{seconds:.1f}",
        "passed": str(checks["passed"]),
        "failed": f"[red]{checks['failed']}[/]" if checks["failed"] else "0",
        "warned": str(checks["warned"]),
    }.items():
        table.add_column(title, justify="right", footer=footer)
    for summary in summaries:
        mark = "" if summary.is_built else " [red](not built)[/]"
        table.add_row(
            "/".join(summary.key.path) + mark,
            summary.group,
            "" if summary.rows is None else f"{summary.rows:,}",
            "" if summary.seconds is None else f"{summary.seconds:.2f}",
            str(summary.checks["passed"] or ""),
            f"[red]{summary.checks['failed']}[/]" if summary.checks["failed"] else "",
            f"[yellow]{summary.checks['warned']}[/]" if summary.checks["warned"] else "",
        )
    return table
