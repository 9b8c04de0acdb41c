"""The decision who hears of an incident, by which rule and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from analytics_dagster.alerting.incidents import Incident, Severity
from analytics_dagster.alerting.routes import Routes, RoutingRule

MAINTENANCE, QUIET, DIGEST = "maintenance", "quiet hours", "digest"
"""Why a letter waits."""


@dataclass(frozen=True)
class RoutingDecision:
    """That a channel hears of an incident, and by which rule; ``escalated`` says that it does because it lasts."""

    channel: str
    rule: str
    escalated: bool = False


def route(routes: Routes, incident: Incident, environment: str) -> list[RoutingDecision]:
    """Return which channels hear of an incident when it opens, and by which rule; each channel once."""
    found: dict[str, RoutingDecision] = {}
    for rule in matching(routes, incident, environment):
        for name in rule.to:
            if _is_open_to(routes, name, incident):
                found.setdefault(name, RoutingDecision(name, rule.name))
    return list(found.values())


def escalations(routes: Routes, incident: Incident, environment: str, now: float) -> list[RoutingRule]:
    """Return the rules that tell more people of an incident now, since it has lasted as long as they say."""
    return [
        rule
        for rule in matching(routes, incident, environment)
        if rule.escalate
        and incident.is_open
        and rule.name not in incident.escalated
        and now - incident.opened >= rule.escalate.seconds
    ]


def matching(routes: Routes, incident: Incident, environment: str) -> Iterator[RoutingRule]:
    """Yield the rules that decide about an incident."""
    for rule in routes.rules:
        if rule.when.fits(incident, environment):
            yield rule
            if not rule.continue_:
                return


def _is_open_to(routes: Routes, name: str, incident: Incident) -> bool:
    channel = routes.channels.get(name)
    return channel is not None and (channel.kind != "pagerduty" or incident.alert.severity is Severity.CRITICAL)


def held_until(routes: Routes, name: str, incident: Incident, now: float) -> tuple[float, str]:
    """Return when a channel may hear of an incident, and why not before; a moment that is past where it may at once."""
    for window in routes.maintenance:
        end = window.span(routes.zone)[1]
        if window.holds(incident, routes.zone) and end > now:
            return end, MAINTENANCE
    quiet = routes.channels[name].quiet_hours
    if quiet is None or (quiet.except_critical and incident.alert.severity is Severity.CRITICAL):
        return 0.0, ""
    over = quiet.end(datetime.fromtimestamp(now, routes.zone))
    return (over.timestamp(), QUIET) if over else (0.0, "")
