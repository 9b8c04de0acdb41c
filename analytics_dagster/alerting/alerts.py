"""From a failure report to the troubles in it: which of its failures are the same, and what is told of each. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from analytics_dagster.alerting.incidents import Alert, Observation, Severity
from analytics_dagster.alerting.routes import Critical
from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.report import FailedCheck, FailureReport
from analytics_dagster.redaction import error_fingerprint

_TOLD = {FailureKind.SQL: "SQL error", FailureKind.CODE: "error"}


def observe(report: FailureReport, catalog: AssetCatalog, critical: Critical) -> Observation:
    """Return what a run's report comes to: its troubles, and what it has seen green."""
    moment = report.ended or report.started or 0.0
    green = {*(f"asset:{asset}" for asset in report.built), *(f"check:{check}" for check in report.passed)}
    if report.status == "SUCCESS":
        green.add(f"job:{report.job}")
    alerts = _Alerts(report, catalog, critical, moment)
    return Observation(moment, tuple(alerts), frozenset(green))


@dataclass(frozen=True)
class _Alerts:
    report: FailureReport
    catalog: AssetCatalog
    critical: Critical
    moment: float

    def __iter__(self) -> Iterator[Alert]:
        report = self.report
        skipped = set(report.skipped)
        for node in report.nodes:
            title = f"{node.asset} failed: {node.kind.value}"
            key = f"asset:{node.asset}:{node.kind.value}:{error_fingerprint(node.message)}"
            alert = self._of(key, title, node.kind, [node.asset], self.catalog.below(node.asset) & skipped)
            alert = replace(alert, subjects=(f"asset:{node.asset}",), message=node.message)
            if node.compiled:
                alert = replace(alert, details=(*alert.details, ("compiled SQL", node.compiled)))
            yield self._shared(alert) if node.kind.is_shared else alert
        for check in report.checks:
            yield self._check(check, skipped)
        for step in report.steps:
            name = step.name or "the run"
            where = f"step {step.name} of {report.job}" if step.name else f"run of {report.job}"
            key = f"job:{report.job}:{name}:{step.kind.value}:{error_fingerprint(step.message)}"
            alert = self._of(key, f"{where} failed: {step.kind.value}", step.kind, step.assets, skipped)
            subjects = tuple(f"asset:{asset}" for asset in step.assets) or (f"job:{report.job}",)
            alert = replace(alert, subjects=subjects, message=step.message)
            yield self._shared(alert) if step.kind.is_shared else alert

    def _check(self, check: FailedCheck, skipped: Collection[str]) -> Alert:
        rows = "" if check.rows is None else f": {check.rows:,} row{'' if check.rows == 1 else 's'}"
        verb = "warns" if check.warns else "failed"
        title = f"check {check.label} {verb}{rows}"
        if check.kind is not FailureKind.DATA_TEST:
            title = f"check {check.label} could not be evaluated: {check.kind.value}"
        key = f"check:{check.asset}:{check.name}:{check.kind.value}"
        below = set() if check.warns else self.catalog.below(check.asset) & set(skipped)
        alert = self._of(key, title, check.kind, [check.asset], below)
        if check.warns:
            alert = replace(alert, severity=Severity.WARN, exposures=())
        alert = replace(alert, subjects=(f"check:{check.asset}:{check.name}",), message=check.message)
        return self._shared(alert) if check.kind.is_shared else alert

    def _shared(self, alert: Alert) -> Alert:
        """Return the trouble under the key of its cause, whatever it has hit: one lost connection is one incident."""
        return replace(
            alert,
            key=f"shared:{alert.kind.value}:{self.report.environment}:{self.report.target}",
            title=f"{self.report.job}: {alert.kind.value}",
        )

    def _of(self, key: str, title: str, kind: FailureKind, assets: Iterable[str], below: Collection[str]) -> Alert:
        report, failed = self.report, tuple(assets)
        entries = [self.catalog[asset] for asset in failed]
        exposures = self.catalog.exposures([*failed, *below])
        groups = tuple(
            dict.fromkeys([*(entry.group for entry in entries if entry.group), *filter(None, [report.group])])
        )
        tags = tuple(dict.fromkeys(tag for entry in entries for tag in entry.tags))
        is_critical = self.critical.holds(tags, groups, [(one.asset, one.maturity) for one in exposures])
        return Alert(
            key=key,
            title=title,
            kind=kind,
            severity=Severity.CRITICAL if is_critical else Severity.ERROR,
            moment=self.moment,
            assets=failed,
            skipped=tuple(asset for asset in report.skipped if asset in below),
            exposures=tuple(one.asset for one in exposures),
            owners=self.catalog.owners(failed),
            groups=groups,
            tags=tags,
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
        usual = "" if report.usual is None else f" (usually {lasting(report.usual)})"
        yield "duration", lasting(report.seconds) + usual
    if report.retry:
        yield "retry", report.retry.reason


def lasting(seconds: float) -> str:
    """Return how long something took, for people: `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole < 120:  # noqa: PLR2004 - below two minutes seconds count
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if not hours:
        return f"{minutes} min"
    return f"{days} d {hours % 24} h" if days else f"{hours} h {minutes % 60:02} min"
