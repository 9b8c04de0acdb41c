"""Turns the failure report of a run into alerts, and decides which failures have the same cause. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

from analytics_dagster.alerting.identity import error_identity
from analytics_dagster.alerting.incidents import Alert, Observation, Severity
from analytics_dagster.alerting.routes import Critical
from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.report import FailedCheck, FailedNode, FailedStep, FailureReport
from analytics_dagster.text import format_duration, pluralize

_Failure: TypeAlias = FailedNode | FailedCheck | FailedStep


def observe_run(report: FailureReport, catalog: AssetCatalog, critical: Critical) -> Observation:
    """Return the alerts of a run's failure report, and what succeeded in the run."""
    moment = report.ended or report.started or 0.0
    succeeded = {*(f"asset:{asset}" for asset in report.built), *(f"check:{check}" for check in report.passed)}
    succeeded |= {f"job:{report.job}"} if report.status == "SUCCESS" else set()
    alerts = _RunAlerts(report, catalog, critical, moment)
    failed = map(alerts.of_node, report.nodes), map(alerts.of_check, report.checks), map(alerts.of_step, report.steps)
    return Observation(moment, tuple(chain(*failed)), frozenset(succeeded), url=report.url)


@dataclass(frozen=True)
class _RunAlerts:
    report: FailureReport
    catalog: AssetCatalog
    critical: Critical
    moment: float

    def of_node(self, node: FailedNode) -> Alert:
        subject, title = f"asset:{node.asset}", f"{node.asset} failed: {node.kind.value}"
        key = f"{subject}:{node.kind.value}:{error_identity(node.message)}"
        alert = self._alert(key, title, node, [node.asset], self._skipped_below(node.asset), subject)
        return replace(alert, details=(*alert.details, ("compiled SQL", node.compiled))) if node.compiled else alert

    def of_check(self, check: FailedCheck) -> Alert:
        rows = "" if check.rows is None else f": {pluralize(check.rows, 'row')}"
        title = f"check {check.label} {'warned' if check.warns else 'failed'}{rows}"
        if check.kind is not FailureKind.DATA_TEST:
            title = f"check {check.label} could not be evaluated: {check.kind.value}"
        subject, skipped = f"check:{check.asset}:{check.name}", self._skipped_below(check.asset)
        alert = self._alert(f"{subject}:{check.kind.value}", title, check, [check.asset], skipped, subject)
        return replace(alert, severity=Severity.WARN, skipped=(), exposures=()) if check.warns else alert

    def of_step(self, step: FailedStep) -> Alert:
        job = self.report.job
        key = f"job:{job}:{step.name or 'the run'}:{step.kind.value}:{error_identity(step.message)}"
        title = f"{f'step {step.name}' if step.name else 'run'} of {job} failed: {step.kind.value}"
        subjects = [f"asset:{asset}" for asset in step.assets] or [f"job:{job}"]
        return self._alert(key, title, step, step.assets, self.report.skipped, *subjects)

    def _skipped_below(self, asset: str) -> Sequence[str]:
        below = self.catalog.below(asset)
        return [skipped for skipped in self.report.skipped if skipped in below]

    def _alert(
        self, key: str, title: str, failure: _Failure, failed: Collection[str], skipped: Sequence[str], *subjects: str
    ) -> Alert:
        report, entries = self.report, [self.catalog[asset] for asset in failed]
        if failure.kind.is_shared:
            # One cause, such as a lost connection, is one incident.
            key = f"shared:{failure.kind.value}:{report.environment}:{report.target}"
            title = f"{report.job}: {failure.kind.value}"
        exposures = self.catalog.exposures([*failed, *skipped])
        groups = dict.fromkeys(group for group in [*(entry.group for entry in entries), report.group] if group)
        tags = dict.fromkeys(tag for entry in entries for tag in entry.tags)
        is_critical = self.critical.matches(tags, groups, [(one.asset, one.maturity) for one in exposures])
        severity = Severity.CRITICAL if is_critical else Severity.ERROR
        return Alert(
            *(key, title, failure.kind, severity, self.moment, failure.message, subjects),
            assets=tuple(failed),
            skipped=tuple(skipped),
            exposures=tuple(one.asset for one in exposures),
            owners=self.catalog.owners(failed),
            groups=tuple(groups),
            tags=tuple(tags),
            paths=tuple(entry.path for entry in entries if entry.path),
            details=tuple(_details(report)),
            run_id=report.run_id,
            url=report.url,
        )


def _details(report: FailureReport) -> Iterator[tuple[str, str]]:
    yield "job", report.job
    if report.target or report.environment:
        yield "target", " in ".join(dict.fromkeys(filter(None, [report.target, report.environment])))
    if report.commit:
        yield "commit", report.commit[:12]
    if report.seconds is not None:
        usual = "" if report.usual is None else f" (usually {format_duration(report.usual)})"
        yield "duration", format_duration(report.seconds) + usual
    if report.retry:
        yield "retry", report.retry.reason
