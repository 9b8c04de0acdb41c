"""What a message says, independent of the channel that formats it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from analytics_dagster.alerting.incidents import Alert, Incident, IncidentEvent, Severity, highest
from analytics_dagster.text import format_duration, join_names, pluralize

_MOST_OWNERS = 4
_MOST_BULLETS = 8
_FIELDS_OF_END = {"owner", "group", "job", "rule"}
_ENDS = {
    IncidentEvent.RECOVERED: "Recovered",
    IncidentEvent.DISAPPEARED: "Closed, because what failed no longer exists,",
    IncidentEvent.CLOSED: "Closed by hand",
}


@dataclass(frozen=True)
class Section:
    """A titled paragraph; ``is_code`` marks program output, which is shown verbatim."""

    title: str
    text: str
    is_code: bool = False


@dataclass(frozen=True)
class Content:
    """A message: headline, fields (name and value), sections and links (label and URL).

    ``event`` is None for a remark in digests.
    """

    event: IncidentEvent | None
    severity: Severity
    headline: str
    fields: tuple[tuple[str, str], ...] = ()
    sections: tuple[Section, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    owners: tuple[str, ...] = ()


def compose(event: IncidentEvent, incidents: Sequence[Incident], rule: str, now: float) -> Content:
    """Return the message about an event of one incident, or of several incidents that share a message."""
    is_single = len(incidents) == 1
    shown = [one for one in incidents if one.is_open] or list(incidents)
    alerts = [one.alert for one in shown]
    owners = _values_of("owners", alerts)
    groups = alerts[0].groups if is_single else ()
    details = incidents[0].alert.details
    fields = [("owner", join_names(owners, _MOST_OWNERS)), ("group", ", ".join(groups)), *details, ("rule", rule)]
    is_brief = is_single and event.is_end
    sections = [] if is_single else [Section("What", bullets([one.name for one in shown]))]
    urls = [one.ended_url for one in incidents] if event.is_end else [alert.url for alert in alerts]
    return Content(
        event,
        highest(incident.alert for incident in incidents),
        _headline(event, incidents, now),
        fields=tuple((key, text) for key, text in fields if text and (not is_brief or key in _FIELDS_OF_END)),
        sections=(*sections, *(() if event.is_end else _sections(alerts, is_single=is_single))),
        links=tuple(("Open the run", url) for url in urls if url)[:1],
        owners=tuple(owners),
    )


def _headline(event: IncidentEvent, incidents: Sequence[Incident], now: float) -> str:
    name, opened = incidents[0].name, min(incident.opened for incident in incidents)
    still_open = sum(incident.is_open for incident in incidents)
    is_single, number = len(incidents) == 1, pluralize(len(incidents), "incident")
    if event.is_end:
        ended = max(incident.recovered or now for incident in incidents)
        return f"{_ENDS[event]} after {format_duration(ended - opened)}: {name if is_single else f'all {number}'}"
    if event is IncidentEvent.ESCALATED:
        subject = name if is_single else f"{still_open} of {number}"
        return f"Still failing after {format_duration(now - opened)}: {subject}"
    if is_single:
        return f"{name} ({incidents[0].times} times)" if incidents[0].times > 1 else name
    ended_part = f", {len(incidents) - still_open} recovered" if still_open < len(incidents) else ""
    return f"{number}{ended_part}, first: {name}"


def _sections(alerts: Sequence[Alert], *, is_single: bool) -> Iterator[Section]:
    if is_single and alerts[0].message:
        yield Section("Why", alerts[0].message, is_code=True)
    if is_single and len(alerts[0].assets) > 1:
        yield Section(f"{len(alerts[0].assets)} assets failed", join_names(alerts[0].assets))
    if skipped := _values_of("skipped", alerts):
        yield Section(f"{pluralize(len(skipped), 'asset')} skipped", join_names(skipped))
    if exposures := _values_of("exposures", alerts):
        # All exposures share the first part of their keys.
        names = join_names([asset.rpartition("/")[2] for asset in exposures])
        yield Section("Stale", f"{names} {'is' if len(exposures) == 1 else 'are'} stale.")


def bullets(lines: Sequence[str]) -> str:
    """Return a list of lines; of more than eight, only the number of the others."""
    more = [f"… and {len(lines) - _MOST_BULLETS:,} more"] if len(lines) > _MOST_BULLETS else []
    return "\n".join(f"• {line}" for line in [*lines[:_MOST_BULLETS], *more])


def _values_of(name: str, alerts: Iterable[Alert]) -> list[str]:
    return list(dict.fromkeys(value for alert in alerts for value in getattr(alert, name)))
