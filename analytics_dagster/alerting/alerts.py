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


def observe_run(report: FailureReport, catalog: AssetCatalog, critical: Critical) -> Observation:
    """Return the alerts of a run's failure report, and what succeeded in the run."""
    moment = report.ended or report.started or 0.0
    succeeded = {*(f"asset:{asset}" for asset in report.built), *(f"check:{check}" for check in report.passed)}
    if report.status == "SUCCESS":
        succeeded.add(f"job:{report.job}")
    alerts = _RunAlerts(report, catalog, critical, moment)
    return Observation(moment, tuple(alerts.all()), frozenset(succeeded), url=report.url)


_Failure: TypeAlias = FailedNode | FailedCheck | FailedStep


@dataclass(frozen=True)
class _RunAlerts:
    report: FailureReport
    catalog: AssetCatalog
    critical: Critical
    moment: float

    def all(self) -> Iterator[Alert]:
        report = self.report
        failed = map(self._of_node, report.nodes), map(self._of_check, report.checks), map(self._of_step, report.steps)
        for alert in chain(*failed):
            yield self._with_shared_cause(alert) if alert.kind.is_shared else alert

    def _of_node(self, node: FailedNode) -> Alert:
        key = f"asset:{node.asset}:{node.kind.value}:{error_identity(node.message)}"
        title = f"{node.asset} failed: {node.kind.value}"
        alert = self._alert(key, title, node, [node.asset], self._skipped_below(node.asset))
        compiled = (("compiled SQL", node.compiled),) if node.compiled else ()
        return replace(alert, subjects=(f"asset:{node.asset}",), details=(*alert.details, *compiled))

    def _of_check(self, check: FailedCheck) -> Alert:
        rows = "" if check.rows is None else f": {pluralize(check.rows, 'row')}"
        title = f"check {check.label} {'warned' if check.warns else 'failed'}{rows}"
        if check.kind is not FailureKind.DATA_TEST:
            title = f"check {check.label} could not be evaluated: {check.kind.value}"
        subject = f"check:{check.asset}:{check.name}"
        skipped = () if check.warns else self._skipped_below(check.asset)
        alert = self._alert(f"{subject}:{check.kind.value}", title, check, [check.asset], skipped)
        alert = replace(alert, severity=Severity.WARN, exposures=()) if check.warns else alert
        return replace(alert, subjects=(subject,))

    def _of_step(self, step: FailedStep) -> Alert:
        job = self.report.job
        key = f"job:{job}:{step.name or 'the run'}:{step.kind.value}:{error_identity(step.message)}"
        failed = f"step {step.name} of {job}" if step.name else f"run of {job}"
        alert = self._alert(key, f"{failed} failed: {step.kind.value}", step, step.assets, self.report.skipped)
        return replace(alert, subjects=tuple(f"asset:{asset}" for asset in step.assets) or (f"job:{job}",))

    def _with_shared_cause(self, alert: Alert) -> Alert:
        """Return the alert with the key of its cause, so that one lost connection is one incident."""
        key = f"shared:{alert.kind.value}:{self.report.environment}:{self.report.target}"
        return replace(alert, key=key, title=f"{self.report.job}: {alert.kind.value}")

    def _skipped_below(self, asset: str) -> Sequence[str]:
        below = self.catalog.below(asset)
        return [skipped for skipped in self.report.skipped if skipped in below]

    def _alert(self, key: str, title: str, failure: _Failure, failed: Collection[str], skipped: Sequence[str]) -> Alert:
        report = self.report
        entries = [self.catalog[asset] for asset in failed]
        exposures = self.catalog.exposures([*failed, *skipped])
        groups = dict.fromkeys(group for group in [*(entry.group for entry in entries), report.group] if group)
        tags = dict.fromkeys(tag for entry in entries for tag in entry.tags)
        is_critical = self.critical.matches(tags, groups, [(one.asset, one.maturity) for one in exposures])
        return Alert(
            key=key,
            title=title,
            kind=failure.kind,
            severity=Severity.CRITICAL if is_critical else Severity.ERROR,
            moment=self.moment,
            message=failure.message,
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
