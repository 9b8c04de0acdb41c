"""What a message says, independent of the channel that formats it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from analytics_dagster.alerting.incidents import Alert, Incident, IncidentEvent, Severity, highest
from analytics_dagster.text import pluralize

_MOST_NAMES = 12
_MOST_OWNERS = 4
_MOST_BULLETS = 8
_FIELDS_OF_RECOVERY = {"owner", "group", "job", "rule"}


@dataclass(frozen=True)
class Section:
    """A titled paragraph; ``is_code`` marks program output, which is shown verbatim."""

    title: str
    text: str
    is_code: bool = False


@dataclass(frozen=True)
class Content:
    """A message: headline, fields (name and value), sections and links (label and URL).

    ``event`` is None if the message is not about an incident.
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
    is_single, is_over = len(incidents) == 1, event is IncidentEvent.RECOVERED
    alerts = [one.alert for one in incidents if one.is_open] or [one.alert for one in incidents]
    owners = _values_of("owners", alerts)
    groups = alerts[0].groups if is_single else ()
    details = incidents[0].alert.details
    fields = [("owner", join_names(owners, _MOST_OWNERS)), ("group", ", ".join(groups)), *details, ("rule", rule)]
    is_brief = is_single and is_over
    sections = [] if is_single else [Section("What", _bullets([alert.title for alert in alerts]))]
    return Content(
        event,
        highest(incident.alert for incident in incidents),
        _headline(event, incidents, now),
        fields=tuple((key, text) for key, text in fields if text and (not is_brief or key in _FIELDS_OF_RECOVERY)),
        sections=(*sections, *(() if is_over else _sections(alerts, is_single=is_single))),
        links=tuple(("Open the run", alert.url) for alert in alerts if alert.url)[:1],
        owners=tuple(owners),
    )


def _headline(event: IncidentEvent, incidents: Sequence[Incident], now: float) -> str:
    title, opened = incidents[0].alert.title, min(incident.opened for incident in incidents)
    still_open = sum(incident.is_open for incident in incidents)
    is_single, number = len(incidents) == 1, pluralize(len(incidents), "incident")
    if event is IncidentEvent.RECOVERED:
        recovered = max(incident.recovered or now for incident in incidents)
        return f"Recovered after {format_duration(recovered - opened)}: {title if is_single else f'all {number}'}"
    if event is IncidentEvent.ESCALATED:
        subject = title if is_single else f"{still_open} of {number}"
        return f"Still failing after {format_duration(now - opened)}: {subject}"
    if is_single:
        return f"{title} ({incidents[0].times} times)" if incidents[0].times > 1 else title
    recovered_part = f", {len(incidents) - still_open} recovered" if still_open < len(incidents) else ""
    return f"{number}{recovered_part}, first: {title}"


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


def _bullets(lines: Sequence[str]) -> str:
    more = [f"… and {len(lines) - _MOST_BULLETS:,} more"] if len(lines) > _MOST_BULLETS else []
    return "\n".join(f"• {line}" for line in [*lines[:_MOST_BULLETS], *more])


def join_names(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """Return names in one line; of more than ``most``, only the number of the others."""
    more = [f"{len(names) - most:,} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def format_duration(seconds: float) -> str:
    """Return a duration as text: `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole < 120:  # noqa: PLR2004 - two minutes
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if not hours:
        return f"{minutes} min"
    return f"{days} d {hours % 24} h" if days else f"{hours} h {minutes % 60:02} min"


def _values_of(name: str, alerts: Iterable[Alert]) -> list[str]:
    return list(dict.fromkeys(value for alert in alerts for value in getattr(alert, name)))
