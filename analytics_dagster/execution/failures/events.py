"""The failure report of a run, read from the events and tags that Dagster keeps of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import dagster as dg

from analytics_dagster.execution.failures.catalog import Catalog
from analytics_dagster.execution.failures.classification import FailureKind, classify
from analytics_dagster.execution.failures.observation import from_observation
from analytics_dagster.execution.failures.report import FailedCheck, FailedNode, FailedStep, FailureReport
from analytics_dagster.execution.remaining_work import done_before
from analytics_dagster.redaction import redact, useful_lines

GROUP_TAG = "analytics_dagster/schedule_group"
_TYPES = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}
_FAILED_ROWS = "dagster_dbt/failed_row_count"
_LAST_SAID = 5
_LOGGED = "Errors parsed from dbt logs:"
_COMPARED = 20
"""How many earlier runs say what is usual."""


@dataclass(frozen=True)
class Place:
    """Where a location runs, as reports tell it; ``secrets`` are values that they never tell."""

    environment: str = ""
    target: str = ""
    commit: str = ""
    webserver: str = ""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def run_url(self, run_id: str) -> str:
        """Return the address of a run in the UI; nothing where the UI's address is not known."""
        return f"{self.webserver.rstrip('/')}/runs/{run_id}" if self.webserver else ""


@dataclass
class _Seen:
    """What the events of a run say."""

    planned: dict[str, str] = field(default_factory=dict)
    built: dict[str, None] = field(default_factory=dict)
    nodes: dict[str, FailedNode] = field(default_factory=dict)
    checks: dict[tuple[str, str], FailedCheck] = field(default_factory=dict)
    passed: dict[str, None] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    steps_of_nodes: set[str] = field(default_factory=set)
    end: str = ""


def read_report(
    instance: dg.DagsterInstance, record: dg.RunRecord, catalog: Catalog, place: Place, *, brief: bool = False
) -> FailureReport:
    """Return the report of a run that has ended, whichever way; what succeeded has no failures in it.

    A ``brief`` one tells the checks alone: of a large run that succeeded it takes seconds to read what it has built.
    """
    run = record.dagster_run
    types = {dg.DagsterEventType.ASSET_CHECK_EVALUATION} if brief else _TYPES
    seen = _read_events(instance, run.run_id, place.secrets, types)
    failed = run.status is dg.DagsterRunStatus.FAILURE
    if failed and not seen.steps:
        seen.end = _reason_of_end(instance, run.run_id, seen.end, place.secrets)
    # Planned again, as a part of its step, but done by the run that is taken up.
    done = {asset.to_user_string() for asset in done_before(instance, run).assets} if failed else set()
    seen.planned = {asset: step for asset, step in seen.planned.items() if asset not in done}
    steps = tuple(_steps(seen)) if failed else ()
    named = {*seen.nodes, *(asset for step in steps for asset in step.assets)}
    # What a step was to build that itself is at fault counts as failed with it, not as skipped because of it.
    skipped = tuple(asset for asset in seen.planned if asset not in seen.built and asset not in named) if failed else ()
    stale = {*named, *skipped, *(check.asset for check in seen.checks.values() if not check.warns)}
    return FailureReport(
        run_id=run.run_id,
        job=run.job_name,
        status=run.status.value,
        group=run.tags.get(GROUP_TAG, ""),
        started=record.start_time,
        ended=record.end_time,
        usual=usual_seconds(instance, run),
        target=place.target,
        environment=place.environment,
        commit=place.commit,
        url=place.run_url(run.run_id),
        nodes=tuple(seen.nodes.values()),
        checks=tuple(seen.checks.values()),
        steps=steps,
        skipped=skipped,
        owners=catalog.owners([*named, *(check.asset for check in seen.checks.values())]),
        exposures=tuple(entry.asset for entry in catalog.exposures(stale)),
        built=tuple(seen.built),
        passed=tuple(seen.passed),
    )


def usual_seconds(instance: dg.DagsterInstance, run: dg.DagsterRun) -> float | None:
    """Return how long successful runs of the same job usually take: the median of the last twenty; None without any."""
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
            _take_check(seen, event.asset_check_evaluation_data)
        elif event.event_type is dg.DagsterEventType.ASSET_OBSERVATION:
            _take_observation(seen, event, secrets)
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            seen.steps[event.step_key or ""] = redact(_error_of_step(event), secrets)
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
            seen.end = redact(event.message or "", secrets)
    return seen


def _reason_of_end(instance: dg.DagsterInstance, run_id: str, end: str, secrets: Collection[str]) -> str:
    """Return why a run ended in no step of its own: what Dagster has said of its process, where the end tells nothing.

    A code server whose run worker was killed says so, and then marks the run as failed "from outside".
    """
    if classify(end) is not FailureKind.CODE:
        return end
    said = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)]
    messages = [redact(event.message or "", secrets) for event in said[-_LAST_SAID:] if event]
    return next((message for message in reversed(messages) if classify(message).is_transient), end)


def _take_check(seen: _Seen, evaluation: dg.AssetCheckEvaluation) -> None:
    asset, name = evaluation.asset_key.to_user_string(), evaluation.check_name
    if evaluation.passed:
        seen.passed[check_label(asset, name)] = None
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


def _take_observation(seen: _Seen, event: dg.DagsterEvent, secrets: Collection[str]) -> None:
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


def _error_of_step(event: dg.DagsterEvent) -> str:
    """Return what a step says of its failure: a `Failure`'s description, else the exception and what caused it."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        said = str(data.user_failure_data.description)
        # dagster-dbt tells its whole command first, vars and all, and then what dbt has logged.
        return said.partition(_LOGGED)[2].strip() or said
    lines, error = list[str](), data.error
    while error is not None:
        lines.append(error.message.strip())
        error = error.cause
    # The exception of the user's code is the cause of Dagster's own.
    return "\n".join(reversed(lines))


def _steps(seen: _Seen) -> Iterator[FailedStep]:
    """Yield the failed steps, or the end of the run, of which no node and no check tells the reason."""
    told = {*seen.steps_of_nodes, *_steps_of_failed_checks(seen)}
    for name, message in seen.steps.items():
        # A dependency's failure has no reason of its own, and a node's own message is better than its step's.
        if name not in told:
            assets = tuple(asset for asset, step in seen.planned.items() if step == name and asset not in seen.built)
            yield FailedStep(name, classify(message), useful_lines(message), assets)
    if not seen.steps:
        yield FailedStep("", classify(seen.end), useful_lines(seen.end), ())


def _steps_of_failed_checks(seen: _Seen) -> Sequence[str]:
    """Return the steps that failed for a test that found rows: dbt ends with an error then."""
    failed = {asset for (asset, _), check in seen.checks.items() if not check.warns}
    return [step for asset, step in seen.planned.items() if asset in failed]


def check_label(asset: str, name: str) -> str:
    """Return the name of a check among all checks."""
    return f"{asset}:{name}"
