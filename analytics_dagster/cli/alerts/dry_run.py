"""Tries out the routes: sends a test message, or shows who would be notified of a run without sending anything."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timezone

import dagster as dg

from analytics_dagster.alerting.alerts import observe_run
from analytics_dagster.alerting.channels import build_notifiers
from analytics_dagster.alerting.channels.base import DeliveryError, Notifier
from analytics_dagster.alerting.content import Content, Section
from analytics_dagster.alerting.definitions import Alerting
from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Severity, advance
from analytics_dagster.alerting.routes import ChannelConfig, Routes
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.routing import held_until, is_reached, matching, recipients, route
from analytics_dagster.alerting.store import MessageThread, Notification
from analytics_dagster.automation.retry_decision import with_retry
from analytics_dagster.errors import AlertError
from analytics_dagster.execution.failures.deployment import build_deployment_info
from analytics_dagster.execution.failures.events import read_report
from analytics_dagster.execution.failures.report import FailureReport
from analytics_dagster.redaction import redact
from analytics_dagster.settings import Settings
from analytics_dagster.text import join_names


def send_test(settings: Settings, names: Collection[str]) -> Mapping[str, tuple[bool | None, str]]:
    """Send a test message to the named channels, or to all; return for each whether it was sent, and where or why not.

    None means that there was nobody to send to.

    Raises `AlertError` if there is no channel of a name, or none at all.
    """
    routes = load_routes(settings)
    unknown = [name for name in names if name not in routes.channels]
    if unknown or not routes.channels:
        problem = f"No channel named {', '.join(unknown)} is set up." if unknown else "No channel is set up."
        known = (
            f"Name one of: {', '.join(routes.channels)}." if routes.channels else "docs/alerts.md names the variables."
        )
        raise AlertError(problem, remedy=known)
    notifiers = build_notifiers(settings, routes, "a test")
    secrets = build_deployment_info(settings, "").secrets
    chosen = {name: routes.channels[name] for name in names or routes.channels}
    found = {name: _try(notifiers[name], channel) for name, channel in chosen.items()}
    return {name: (is_sent, redact(text, secrets)) for name, (is_sent, text) in found.items()}


def _try(notifier: Notifier, channel: ChannelConfig) -> tuple[bool | None, str]:
    to = recipients(channel, ())
    if not is_reached(channel, ()):
        return None, "not sent: its addresses are those of the owners of what fails"
    headline, fields = (
        "This is a test of the alerts: nothing has failed",
        (("requested by", "analytics-dagster alerts test"),),
    )
    why = Section("Why", "Shows that this channel receives messages.", is_code=True)
    now = time.time()
    thread = MessageThread(f"test-{round(now)}", "", "", ())
    # A PagerDuty incident stays open until it is resolved.
    events = (IncidentEvent.OPENED, *([IncidentEvent.RECOVERED] if channel.pagerduty else []))
    try:
        for event in events:
            content = Content(event, Severity.WARN, headline, fields, (why,))
            note = Notification(f"{thread.id}-{event.value}", thread.id, "", event, content, now, to=to)
            refused = notifier.send(note, thread).refused
    except DeliveryError as error:
        return False, f"not sent: {error}"
    if refused:
        return False, f"not sent to {', '.join(refused)}: the mail server refused the address"
    return True, f"sent to {', '.join(to)}" if to else "sent"


def explain_run(
    alerting: Alerting, repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, run_id: str
) -> tuple[FailureReport, list[str]]:
    """Return the failure report of a run, and lines that say who would be notified and by which rule.

    Raises `AlertError` if there is no such run, or it has not ended.
    """
    record = instance.get_run_record_by_id(run_id)
    if record is None or not record.dagster_run.is_finished:
        raise AlertError(
            f"The run {run_id} {'has not ended' if record else 'is not known to this Dagster instance'}.",
            remedy="Give the full id of a run that has ended, as the UI shows it.",
        )
    context = alerting.context(repository, None)
    catalog = context.catalog()
    report = with_retry(read_report(instance, record, catalog, context.deployment), record.dagster_run)
    incidents, _ = advance((), observe_run(report, catalog, context.routes.critical))
    lines = [f"Run {report.run_id} of {report.job}: {report.status}"]
    lines += [f"  {report.retry.reason}"] if report.retry else []
    lines += [] if incidents else ["  Nothing failed: nobody is notified."]
    for incident in incidents.values():
        lines.append(f"{incident.alert.title} ({incident.alert.severity.value})")
        lines.append(f"  owner: {join_names(incident.alert.owners, 4) or 'none'}")
        lines += [f"  {line}" for line in _routing(incident, context.routes, context.deployment.environment)]
    return report, lines


def _routing(incident: Incident, routes: Routes, environment: str) -> Iterator[str]:
    rules = list(matching(routes, incident, environment))
    channels = route(routes, incident, environment)
    for channel, rule_name in channels.items():
        moment, why = held_until(routes, channel, incident, time.time())
        held = f", not before {datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d %H:%M} UTC ({why})" if why else ""
        yield f"-> {channel}, by the rule {rule_name!r}{held}"
    if not channels:
        reason = f"the rule {rules[0].name!r} names no channel that is set up for it" if rules else "no rule matches"
        yield f"-> nobody: {reason}"
    for rule in rules:
        if rule.escalate:
            more = f", also to {', '.join(rule.escalate.to)}" if rule.escalate.to else ""
            yield f"   after {rule.escalate.after}: a reminder{more}"
