"""Decides who is told about an incident, by which rule and when: a function of the incident's current state. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from analytics_dagster.alerting.incidents import Incident, Severity
from analytics_dagster.alerting.routes import OWNERS, ChannelConfig, Routes, RoutingRule

MAINTENANCE, QUIET, DIGEST = "maintenance", "quiet hours", "digest"
"""Why a notification waits."""

CHANNEL = "channel:"
"""The prefix of the keys of incidents about channels that do not deliver."""


def route(routes: Routes, incident: Incident, environment: str) -> Mapping[str, str]:
    """Return the channels that are told about an incident in its current state, each with the name of its rule.

    A rule that has escalated also names the channels of its escalation. PagerDuty receives critical incidents only, and
    what has escalated. That a channel does not deliver is told by other channels, even if no rule names one.
    """
    is_critical = incident.alert.severity is Severity.CRITICAL
    found: dict[str, str] = {}
    for rule in matching(routes, incident, environment):
        told = [name for name in rule.to if is_critical or not _is_pager(routes, name)]
        told += rule.escalate.to if rule.escalate and rule.name in incident.escalated else ()
        found |= {name: rule.name for name in told if name not in found}
    if incident.alert.key.startswith(CHANNEL):
        silent = incident.alert.key.removeprefix(CHANNEL)
        others = [name for name in routes.channels if name != silent]
        told = [name for name in found if name in others] or [n for n in others if not _is_pager(routes, n)] or others
        found = {name: found.get(name, "a channel does not deliver") for name in told}
    channels = routes.channels
    owners = incident.alert.owners
    return {name: rule for name, rule in found.items() if name in channels and is_reached(channels[name], owners)}


def _is_pager(routes: Routes, name: str) -> bool:
    return name in routes.channels and routes.channels[name].kind == "pagerduty"


def is_reached(channel: ChannelConfig, owners: Iterable[str]) -> bool:
    """Return whether a channel tells anybody: owners may have no address."""
    return channel.email is None or bool(recipients(channel, owners))


def recipients(channel: ChannelConfig, owners: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses of an email channel, `owners` replaced by those of owners; empty for other channels."""
    addresses = [owner for owner in owners if "@" in owner]
    return tuple(dict.fromkeys(one for to in channel.email or () for one in (addresses if to == OWNERS else [to])))


def escalations(routes: Routes, incident: Incident, environment: str, now: float) -> list[RoutingRule]:
    """Return the rules whose escalation time an open incident has reached, except those that have escalated."""
    if not incident.is_open or maintenance_end(routes, incident, now) is not None:
        return []
    rules = [rule for rule in matching(routes, incident, environment) if rule.name not in incident.escalated]
    return [rule for rule in rules if rule.escalate and now - incident.opened >= rule.escalate.seconds]


def matching(routes: Routes, incident: Incident, environment: str) -> Iterator[RoutingRule]:
    """Yield the rules that apply to an incident."""
    for rule in routes.rules:
        if rule.when.matches(incident, environment):
            yield rule
            if not rule.continue_:
                return


def held_until(routes: Routes, name: str, incident: Incident | None, now: float) -> tuple[float, str]:
    """Return until when a channel must not receive an incident, and why; `(0.0, "")` if it may be sent now.

    Without an incident, only the quiet hours count.
    """
    end = maintenance_end(routes, incident, now) if incident else None
    if end is not None:
        return end, MAINTENANCE
    quiet = routes.channels[name].quiet_hours
    if quiet is None or (incident and quiet.except_critical and incident.alert.severity is Severity.CRITICAL):
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
