"""What a message says, before it takes the form of a channel: one value for Slack, PagerDuty and mail. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from analytics_dagster.alerting.alerts import lasting
from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Severity
from analytics_dagster.text import pluralize

_MOST_LISTED = 12
_MOST_TOLD = 8
_TOLD_AT_THE_END = {"owner", "group", "job", "rule"}


@dataclass(frozen=True)
class Section:
    """A paragraph; ``is_code`` is what a machine has said, as it has said it."""

    title: str
    text: str
    is_code: bool = False


@dataclass(frozen=True)
class Content:
    """A message: one line, the facts, the paragraphs, and where to click (label and address)."""

    event: IncidentEvent | None
    severity: Severity
    headline: str
    fields: tuple[tuple[str, str], ...] = ()
    sections: tuple[Section, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    owners: tuple[str, ...] = field(default=())


def compose(event: IncidentEvent, incidents: Sequence[Incident], rule: str, now: float) -> Content:
    """Return what is said when something happened to one incident, or to several of which one message tells."""
    if len(incidents) == 1:
        return _of_one(event, incidents[0], rule, now)
    return _of_many(event, incidents, rule, now)


def _of_one(event: IncidentEvent, incident: Incident, rule: str, now: float) -> Content:
    alert = incident.alert
    sections = [] if event is IncidentEvent.RECOVERED else list(_sections(incident))
    return Content(
        event,
        alert.severity,
        _headline(event, alert.title, incident, now),
        fields=tuple(
            one for one in _fields(incident, rule) if event is not IncidentEvent.RECOVERED or one[0] in _TOLD_AT_THE_END
        ),
        sections=tuple(sections),
        links=(("Open the run", alert.url),) if alert.url else (),
        owners=alert.owners,
    )


def _headline(event: IncidentEvent, title: str, incident: Incident, now: float) -> str:
    if event is IncidentEvent.RECOVERED:
        return f"Recovered after {lasting((incident.recovered or now) - incident.opened)}: {title}"
    if event is IncidentEvent.ESCALATED:
        return f"Not over since {lasting(now - incident.opened)}: {title}"
    return f"{title} ({incident.times} times)" if incident.times > 1 else title


def _fields(incident: Incident, rule: str) -> Iterator[tuple[str, str]]:
    alert = incident.alert
    if alert.owners:
        yield "owner", listed(alert.owners, 4)
    if alert.groups:
        yield "group", ", ".join(alert.groups)
    yield from alert.details
    if rule:
        yield "rule", rule


def _sections(incident: Incident) -> Iterator[Section]:
    alert = incident.alert
    if alert.message:
        yield Section("Why", alert.message, is_code=True)
    if len(alert.assets) > 1:
        yield Section(f"{len(alert.assets)} assets failed", listed(alert.assets))
    if alert.skipped:
        yield Section(f"{pluralize(len(alert.skipped), 'asset')} skipped because of it", listed(alert.skipped))
    if alert.exposures:
        verb = "is" if len(alert.exposures) == 1 else "are"
        yield Section("Stale", f"{listed(short_names(alert.exposures))} {verb} stale.")


def _of_many(event: IncidentEvent, incidents: Sequence[Incident], rule: str, now: float) -> Content:
    first = incidents[0]
    left = [incident for incident in incidents if incident.is_open]
    number = pluralize(len(incidents), "incident")
    if event is IncidentEvent.RECOVERED:
        last = max(incident.recovered or now for incident in incidents)
        headline = f"Recovered after {lasting(last - min(one.opened for one in incidents))}: all of {number}"
    elif event is IncidentEvent.ESCALATED:
        since = lasting(now - min(one.opened for one in incidents))
        headline = f"Not over since {since}: {len(left)} of {number}"
    else:
        over = f", {len(incidents) - len(left)} over" if len(left) < len(incidents) else ""
        headline = f"{number} at once{over}, first: {first.alert.title}"
    told = left or list(incidents)
    sections = [Section("What", _bullets(incident.alert.title for incident in told))]
    skipped = list(dict.fromkeys(asset for one in told for asset in one.alert.skipped))
    stale = list(dict.fromkeys(asset for one in told for asset in one.alert.exposures))
    if skipped and event is not IncidentEvent.RECOVERED:
        sections.append(Section(f"{pluralize(len(skipped), 'asset')} skipped because of it", listed(skipped)))
    if stale and event is not IncidentEvent.RECOVERED:
        sections.append(Section("Stale", listed(short_names(stale))))
    owners = tuple(dict.fromkeys(owner for one in told for owner in one.alert.owners))
    urls = list(dict.fromkeys(one.alert.url for one in told if one.alert.url))
    return Content(
        event,
        max((one.alert.severity for one in incidents), key=list(Severity).index),
        headline,
        fields=(
            *([("owner", listed(owners, 4))] if owners else []),
            *first.alert.details,
            *([("rule", rule)] if rule else []),
        ),
        sections=tuple(sections),
        links=tuple(("Open the run", url) for url in urls[:1]),
        owners=owners,
    )


def _bullets(lines: Iterable[str]) -> str:
    every = list(lines)
    more = [f"… and {len(every) - _MOST_TOLD:,} more"] if len(every) > _MOST_TOLD else []
    return "\n".join(f"• {line}" for line in [*every[:_MOST_TOLD], *more])


def listed(names: Sequence[str], most: int = _MOST_LISTED) -> str:
    """Return names in one line, with the number of those that are not named."""
    more = [f"{len(names) - most:,} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def short_names(assets: Iterable[str]) -> list[str]:
    """Return the names of exposures as people know them: without the part that all of them have."""
    return [asset.rpartition("/")[2] for asset in assets]
