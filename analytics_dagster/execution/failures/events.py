"""Reads the failure report of a run from the run's events and tags, and attaches it to the run's log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.runs import log_metadata
from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.classification import FailureKind, classify
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.observation import from_observation
from analytics_dagster.execution.failures.report import FailedCheck, FailedNode, FailedStep, FailureReport
from analytics_dagster.execution.remaining_work import completed_in_parent
from analytics_dagster.planning.groups import GROUP_TAG
from analytics_dagster.redaction import redact, useful_lines

REPORT = "analytics_dagster/failure_report"
"""The metadata in the log of a failed run that holds its failure report."""

_TYPES = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}
_FAILED_ROWS = "dagster_dbt/failed_row_count"
_LAST_EVENTS = 5
_LOGGED = "Errors parsed from dbt logs:"
_COMPARED = 20
"""The number of earlier runs whose median is the usual duration."""


@dataclass
class _Seen:
    """What the events of a run contain, in their order; keys are names of assets, checks and steps."""

    planned: dict[str, str] = field(default_factory=dict)
    built: dict[str, None] = field(default_factory=dict)
    nodes: dict[str, FailedNode] = field(default_factory=dict)
    checks: dict[tuple[str, str], FailedCheck] = field(default_factory=dict)
    passed: dict[str, None] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    steps_of_nodes: set[str] = field(default_factory=set)
    end: str = ""


class ReportReader:
    """Reads the failure reports of a location's runs. Catalog and deployment are built once, when first needed."""

    def __init__(
        self, make_paths: Callable[[], Mapping[dg.AssetKey, str]], make_deployment: Callable[[], DeploymentInfo]
    ) -> None:
        self._make_catalog = cache(lambda repository: AssetCatalog.of(repository.asset_graph, make_paths()))
        self._make_deployment = cache(make_deployment)

    @property
    def deployment(self) -> DeploymentInfo:
        """Where the location runs."""
        return self._make_deployment()

    def catalog(self, repository: dg.RepositoryDefinition | None) -> AssetCatalog:
        """Return the catalog of the location's assets; an empty one without a repository."""
        return AssetCatalog([]) if repository is None else self._make_catalog(repository)

    def read(
        self, instance: dg.DagsterInstance, record: dg.RunRecord, repository: dg.RepositoryDefinition | None
    ) -> FailureReport:
        """Return the report of a run that has ended."""
        return read_report(instance, record, self.catalog(repository), self.deployment)


def attach_report(instance: dg.DagsterInstance, run: dg.DagsterRun, report: FailureReport) -> None:
    """Write a report into the log of its run, where the UI shows it."""
    log_metadata(instance, run, "Failure report", REPORT, report.to_json())


def read_report(
    instance: dg.DagsterInstance,
    record: dg.RunRecord,
    catalog: AssetCatalog,
    deployment: DeploymentInfo,
    *,
    brief: bool = False,
) -> FailureReport:
    """Return the report of a run that has ended. Of a successful run it holds no failures.

    A ``brief`` report holds only the checks: reading what a large run has built takes seconds.
    """
    run = record.dagster_run
    types = {dg.DagsterEventType.ASSET_CHECK_EVALUATION} if brief else _TYPES
    seen = _read_events(instance, run.run_id, deployment.secrets, types)
    failed = run.status is dg.DagsterRunStatus.FAILURE
    if failed and not seen.steps:
        seen.end = _find_reason_of_end(instance, run.run_id, seen.end, deployment.secrets)
    # A resumed run plans its whole steps again.
    completed = {asset.to_user_string() for asset in completed_in_parent(instance, run).assets} if failed else set()
    seen.planned = {asset: step for asset, step in seen.planned.items() if asset not in completed}
    steps = tuple(_steps(seen)) if failed else ()
    named = {*seen.nodes, *(asset for step in steps for asset in step.assets)}
    # Assets of a failed step count as failed, not as skipped.
    skipped = tuple(asset for asset in seen.planned if asset not in seen.built and asset not in named) if failed else ()
    stale = {*named, *skipped, *(check.asset for check in seen.checks.values() if not check.warns)}
    return FailureReport(
        run_id=run.run_id,
        job=run.job_name,
        status=run.status.value,
        group=run.tags.get(GROUP_TAG, ""),
        started=record.start_time,
        ended=record.end_time,
        usual=_usual_seconds(instance, run),
        target=deployment.target,
        environment=deployment.environment,
        commit=deployment.commit,
        url=deployment.run_url(run.run_id),
        nodes=tuple(seen.nodes.values()),
        checks=tuple(seen.checks.values()),
        steps=steps,
        skipped=skipped,
        owners=catalog.owners([*named, *(check.asset for check in seen.checks.values())]),
        exposures=tuple(entry.asset for entry in catalog.exposures(stale)),
        built=tuple(seen.built),
        passed=tuple(seen.passed),
    )


def _usual_seconds(instance: dg.DagsterInstance, run: dg.DagsterRun) -> float | None:
    """Return the median duration of the job's last twenty successful runs, in seconds; None without any."""
    records = instance.get_run_records(
        filters=dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=_COMPARED
    )
    seconds = [
        one.end_time - one.start_time
        for one in records
        if one.dagster_run.run_id != run.run_id and one.start_time is not None and one.end_time is not None
    ]
    return median(seconds) if seconds else None


def _read_events(
    instance: dg.DagsterInstance, run_id: str, secrets: Collection[str], types: set[dg.DagsterEventType]
) -> _Seen:
    seen = _Seen()
    for entry in instance.all_logs(run_id, of_type=types):
        event = entry.dagster_event
        if event is None:
            continue
        key = event.asset_key.to_user_string() if event.asset_key else ""
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            seen.planned[key] = event.step_key or ""
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            seen.built[key] = None
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            _add_check(seen, event.asset_check_evaluation_data)
        elif event.event_type is dg.DagsterEventType.ASSET_OBSERVATION:
            _add_observation(seen, event, secrets)
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            seen.steps[event.step_key or ""] = redact(_step_error(event), secrets)
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
            seen.end = redact(event.message or "", secrets)
    return seen


def _find_reason_of_end(instance: dg.DagsterInstance, run_id: str, end: str, secrets: Collection[str]) -> str:
    """Return why a run failed outside its steps: the failure message, or a more specific recent engine event.

    A code server whose run worker was killed logs that, and then marks the run as failed "from outside".
    """
    if classify(end) is not FailureKind.CODE:
        return end
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)]
    # A run that could not be taken from the queue has its reason in the event's error.
    lines = [
        [*_messages(event.engine_event_data.error), event.message or ""] for event in events[-_LAST_EVENTS:] if event
    ]
    messages = [redact("\n".join(filter(None, one)), secrets) for one in lines]
    return next((message for message in reversed(messages) if classify(message).is_transient), end)


def _add_check(seen: _Seen, evaluation: dg.AssetCheckEvaluation) -> None:
    asset, name = evaluation.asset_key.to_user_string(), evaluation.check_name
    if evaluation.passed:
        seen.passed[f"{asset}:{name}"] = None
        return
    value = evaluation.metadata.get(_FAILED_ROWS)
    rows = value.value if isinstance(value, dg.IntMetadataValue) else None
    seen.checks[asset, name] = FailedCheck(
        asset,
        name,
        warns=evaluation.severity is dg.AssetCheckSeverity.WARN,
        rows=rows,
        kind=FailureKind.DATA_TEST,
        message=useful_lines(evaluation.description or ""),
    )


def _add_observation(seen: _Seen, event: dg.DagsterEvent, secrets: Collection[str]) -> None:
    observation = event.asset_observation_data.asset_observation
    failure = from_observation(observation)
    if failure is None:
        return
    asset = failure.asset.to_user_string()
    seen.steps_of_nodes.add(event.step_key or "")
    kind, message = classify(failure.message), useful_lines(redact(failure.message, secrets))
    if failure.check:
        seen.checks[asset, failure.check] = FailedCheck(
            asset, failure.check, warns=False, rows=None, kind=kind, message=message
        )
    else:
        seen.nodes[asset] = FailedNode(asset, kind, message, failure.compiled)


def _step_error(event: dg.DagsterEvent) -> str:
    """Return the error of a failed step: the description of a `dg.Failure`, else the exceptions, innermost first."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        description = str(data.user_failure_data.description)
        # dagster-dbt's description begins with its whole command, vars included.
        return description.partition(_LOGGED)[2].strip() or description
    # The user's exception is the cause of Dagster's.
    return "\n".join(_messages(data.error))


def _messages(error: Any) -> list[str]:
    """Return the messages of an exception and its causes, innermost first; none without an exception."""
    return [] if error is None else [*_messages(error.cause), error.message.strip()]


def _steps(seen: _Seen) -> Iterator[FailedStep]:
    """Yield the failed steps, or the failed run itself, that no failed node or check explains."""
    failed = {asset for (asset, _), check in seen.checks.items() if not check.warns}
    explained = {*seen.steps_of_nodes, *(step for asset, step in seen.planned.items() if asset in failed)}
    for name, message in seen.steps.items():
        if name not in explained:
            assets = tuple(asset for asset, step in seen.planned.items() if step == name and asset not in seen.built)
            yield FailedStep(name, classify(message), useful_lines(message), assets)
    if not seen.steps:
        yield FailedStep("", classify(seen.end), useful_lines(seen.end), ())
