"""Alerts tried out: a test message to every channel, and what a run would come to, without telling anybody."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone

import dagster as dg

from analytics_dagster.alerting.alerts import observe
from analytics_dagster.alerting.channels import build_notifiers
from analytics_dagster.alerting.channels.base import DeliveryError, Notifier
from analytics_dagster.alerting.content import Content, Section, listed
from analytics_dagster.alerting.definitions import Alerting
from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Severity, advance
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.routing import held_until, matching, route
from analytics_dagster.alerting.store import MessageThread, Notification
from analytics_dagster.automation.retry_decision import with_retry
from analytics_dagster.errors import AlertError
from analytics_dagster.execution.failures.deployment import build_deployment_info
from analytics_dagster.execution.failures.events import read_report
from analytics_dagster.execution.failures.report import FailureReport
from analytics_dagster.redaction import redact
from analytics_dagster.settings import Settings


def send_test(settings: Settings, names: Collection[str]) -> Mapping[str, str]:
    """Send a test message to the named channels, or to all; return what went wrong by channel, or nothing.

    Raises `AlertError` for a channel that there is not.
    """
    routes = load_routes(settings)
    unknown = [name for name in names if name not in routes.channels]
    if unknown:
        raise AlertError(
            f"There is no channel {', '.join(unknown)} that is set up.",
            remedy=f"Name one of: {', '.join(routes.channels) or 'none'}.",
        )
    notifiers = build_notifiers(settings, routes, "a test")
    secrets = build_deployment_info(settings, "").secrets
    return {name: redact(_try(notifier), secrets) for name, notifier in notifiers.items() if not names or name in names}


def _try(notifier: Notifier) -> str:
    content = Content(
        IncidentEvent.OPENED,
        Severity.WARN,
        "This is a test of the alerts: nothing has failed",
        fields=(("asked for by", "analytics-dagster alerts test"),),
        sections=(Section("Why", "Somebody wants to see this message arrive.", is_code=True),),
    )
    now = time.time()
    thread = MessageThread(f"test-{round(now)}", "", "", ())
    notification = Notification(f"test-{round(now)}", thread.id, "", IncidentEvent.OPENED, content, now)
    try:
        receipt = notifier.send(notification, thread)
        if receipt.reference.startswith("analytics_dagster/"):
            # PagerDuty keeps what was triggered open until it is resolved.
            over = Notification(f"{notification.id}-over", thread.id, "", IncidentEvent.RECOVERED, content, now)
            notifier.send(over, thread)
    except DeliveryError as error:
        return str(error)
    return ""


def explain_run(
    alerting: Alerting, repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, run_id: str
) -> tuple[FailureReport, list[str]]:
    """Return the failure report of a run, and lines that say who would hear of it, and by which rule.

    Raises `AlertError` where there is no such run, or it goes on.
    """
    record = instance.get_run_record_by_id(run_id)
    if record is None or not record.dagster_run.is_finished:
        raise AlertError(
            f"The run {run_id} {'goes on' if record else 'is not known to this Dagster instance'}.",
            remedy="Name a run that has ended, by its whole id as the UI shows it.",
        )
    context = alerting.context(repository, None)
    catalog = context.catalog()
    report = with_retry(read_report(instance, record, catalog, context.deployment), record.dagster_run)
    incidents, _ = advance((), observe(report, catalog, context.routes.critical))
    return report, list(_lines(report, incidents, context.routes, context.deployment.environment))


def _lines(report: FailureReport, incidents: Sequence[Incident], routes: Routes, environment: str) -> Iterator[str]:
    yield f"Run {report.run_id} of {report.job}: {report.status}"
    if report.retry:
        yield f"  {report.retry.reason}"
    if not incidents:
        yield "  Nothing failed: nobody hears of it."
    for incident in incidents:
        yield f"{incident.alert.title} ({incident.alert.severity.value})"
        yield f"  owner: {listed(incident.alert.owners, 4) or 'nobody'}"
        yield from (f"  {line}" for line in _decisions(incident, routes, environment))


def _decisions(incident: Incident, routes: Routes, environment: str) -> Iterator[str]:
    decisions = route(routes, incident, environment)
    for decision in decisions:
        moment, why = held_until(routes, decision.channel, incident, time.time())
        held = f", not before {datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d %H:%M} UTC ({why})" if why else ""
        yield f"-> {decision.channel}, by the rule {decision.rule!r}{held}"
    if not decisions:
        rules = [rule.name for rule in matching(routes, incident, environment)]
        told = f"the rule {rules[0]!r} names no channel that is set up for it" if rules else "no rule fits"
        yield f"-> nobody: {told}"
    for rule in matching(routes, incident, environment):
        if rule.escalate:
            more = f", to {', '.join(rule.escalate.to)} too" if rule.escalate.to else ""
            yield f"   after {rule.escalate.after} it is told again{more}"
