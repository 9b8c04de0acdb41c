"""Decides which channels receive an incident, by which rule and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from analytics_dagster.alerting.incidents import Incident, Severity
from analytics_dagster.alerting.routes import Routes, RoutingRule

MAINTENANCE, QUIET, DIGEST = "maintenance", "quiet hours", "digest"
"""Why a notification waits."""


def route(routes: Routes, incident: Incident, environment: str) -> Mapping[str, str]:
    """Return the channels that receive an incident when it opens, each with the name of the first rule that names it.

    PagerDuty receives critical incidents only.
    """
    is_critical = incident.alert.severity is Severity.CRITICAL
    found: dict[str, str] = {}
    for rule in matching(routes, incident, environment):
        for name in rule.to:
            channel = routes.channels.get(name)
            if channel is not None and (is_critical or channel.kind != "pagerduty"):
                found.setdefault(name, rule.name)
    return found


def escalations(routes: Routes, incident: Incident, environment: str, now: float) -> list[RoutingRule]:
    """Return the rules whose escalation time an open incident has reached, except those that have escalated."""
    return [
        rule
        for rule in matching(routes, incident, environment)
        if rule.escalate
        and incident.is_open
        and rule.name not in incident.escalated
        and now - incident.opened >= rule.escalate.seconds
    ]


def matching(routes: Routes, incident: Incident, environment: str) -> Iterator[RoutingRule]:
    """Yield the rules that apply to an incident."""
    for rule in routes.rules:
        if rule.when.matches(incident, environment):
            yield rule
            if not rule.continue_:
                return


def held_until(routes: Routes, name: str, incident: Incident, now: float) -> tuple[float, str]:
    """Return until when a channel must not receive an incident, and why; `(0.0, "")` if it may be sent now."""
    end = maintenance_end(routes, incident, now)
    if end is not None:
        return end, MAINTENANCE
    quiet = routes.channels[name].quiet_hours
    if quiet is None or (quiet.except_critical and incident.alert.severity is Severity.CRITICAL):
        return 0.0, ""
    over = quiet.end(datetime.fromtimestamp(now, routes.zone))
    return (over.timestamp(), QUIET) if over else (0.0, "")


def maintenance_end(routes: Routes, incident: Incident, now: float) -> float | None:
    """Return the end of a maintenance window that is not over and in which an incident began, or None."""
    ends = (window.span(routes.zone)[1] for window in routes.maintenance if window.covers(incident, routes.zone))
    return next((end for end in ends if end > now), None)


def next_time(clock: str, now: float, zone: ZoneInfo) -> float:
    """Return when a time of day comes next."""
    local = datetime.fromtimestamp(now, zone)
    today = datetime.combine(local.date(), time.fromisoformat(clock), tzinfo=zone)
    return (today if today > local else today + timedelta(days=1)).timestamp()
