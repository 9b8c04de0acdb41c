"""What a message says, independent of the channel that formats it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Severity, highest
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
    is_over = event is IncidentEvent.RECOVERED
    shown = [incident for incident in incidents if incident.is_open] or list(incidents)
    alerts = [incident.alert for incident in shown]
    is_single = len(incidents) == 1
    owners = _unique(owner for alert in alerts for owner in alert.owners)
    fields = [("owner", join_names(owners, _MOST_OWNERS))] if owners else []
    if is_single and alerts[0].groups:
        fields.append(("group", ", ".join(alerts[0].groups)))
    fields += [*incidents[0].alert.details, *([("rule", rule)] if rule else [])]
    if is_single and is_over:
        fields = [one for one in fields if one[0] in _FIELDS_OF_RECOVERY]
    sections = [] if is_single else [Section("What", _bullets([alert.title for alert in alerts]))]
    if not is_over:
        sections += _sections(shown, is_single=is_single)
    return Content(
        event,
        highest(incident.alert for incident in incidents),
        _headline(event, incidents, now),
        fields=tuple(fields),
        sections=tuple(sections),
        links=tuple(("Open the run", url) for url in _unique(alert.url for alert in alerts if alert.url)[:1]),
        owners=tuple(owners),
    )


def _headline(event: IncidentEvent, incidents: Sequence[Incident], now: float) -> str:
    first, number = incidents[0], pluralize(len(incidents), "incident")
    still_open = sum(incident.is_open for incident in incidents)
    is_single = len(incidents) == 1
    opened = min(incident.opened for incident in incidents)
    if event is IncidentEvent.RECOVERED:
        recovered = max(incident.recovered or now for incident in incidents)
        subject = first.alert.title if is_single else f"all {number}"
        return f"Recovered after {format_duration(recovered - opened)}: {subject}"
    if event is IncidentEvent.ESCALATED:
        subject = first.alert.title if is_single else f"{still_open} of {number}"
        return f"Still failing after {format_duration(now - opened)}: {subject}"
    if is_single:
        return f"{first.alert.title} ({first.times} times)" if first.times > 1 else first.alert.title
    recovered_part = f", {len(incidents) - still_open} recovered" if still_open < len(incidents) else ""
    return f"{number}{recovered_part}, first: {first.alert.title}"


def _sections(incidents: Sequence[Incident], *, is_single: bool) -> Iterator[Section]:
    alerts = [incident.alert for incident in incidents]
    if is_single and alerts[0].message:
        yield Section("Why", alerts[0].message, is_code=True)
    if is_single and len(alerts[0].assets) > 1:
        yield Section(f"{len(alerts[0].assets)} assets failed", join_names(alerts[0].assets))
    skipped = _unique(asset for alert in alerts for asset in alert.skipped)
    if skipped:
        yield Section(f"{pluralize(len(skipped), 'asset')} skipped", join_names(skipped))
    exposures = _unique(asset for alert in alerts for asset in alert.exposures)
    if exposures:
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


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
