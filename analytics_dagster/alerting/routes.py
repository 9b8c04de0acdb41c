"""The models of the routes file: channels, rules, critical nodes, quiet hours and maintenance windows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, model_validator

from analytics_dagster.alerting.incidents import Incident, Severity
from analytics_dagster.settings import TimeZone
from analytics_dagster.yaml_file import (
    Clock,
    Duration,
    Names,
    YamlModel,
    YamlPath,
    did_you_mean,
    require_no_conflicts,
    seconds_of,
)

DEFAULT = "default"
"""The Slack channel of the settings."""

OWNERS = "owners"
"""The email addresses of the owners of failed nodes."""

_KINDS: Mapping[str, tuple[str, ...]] = {
    "slack": ("slack_token",),
    "slack_webhook": ("slack_webhooks",),
    "pagerduty": ("pagerduty_keys",),
    "email": ("smtp_url", "mail_from"),
}
"""The kinds of channels, with the settings that they require."""

_Text = Annotated[str, Field(min_length=1)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_WEEK: tuple[Weekday, ...] = get_args(Weekday)
"""In the order of `datetime.weekday`."""


class QuietHours(YamlModel):
    """When a channel receives nothing; messages are sent afterwards."""

    from_: Clock = Field(alias="from")
    """The start."""
    to: Clock
    """The end; on the next day if it is before `from`."""
    days: tuple[Weekday, ...] = _WEEK
    """The days on which quiet hours start."""
    whole_days: tuple[Weekday, ...] = ()
    """Days that are quiet from midnight to midnight."""
    except_critical: bool = True
    """Send critical incidents immediately."""

    def end(self, moment: datetime) -> datetime | None:
        """Return the end of the quiet hours that contain a local time, or None. Adjacent quiet hours count as one."""
        end = None
        for start, stop in sorted(self._spans(moment)):
            if start <= (end or moment) < stop:
                end = stop
        return end

    def _spans(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the quiet hours from yesterday until a week later."""
        for days in range(-1, len(_WEEK) + 1):
            day = datetime.combine(moment.date() + timedelta(days=days), time(0), moment.tzinfo)
            if _WEEK[day.weekday()] in self.whole_days:
                yield day, day + timedelta(days=1)
            if _WEEK[day.weekday()] in self.days:
                start, stop = (
                    datetime.combine(day, time.fromisoformat(clock), day.tzinfo) for clock in (self.from_, self.to)
                )
                yield start, stop if start < stop else stop + timedelta(days=1)


class ChannelConfig(YamlModel):
    """A channel: exactly one of Slack bot, Slack webhook, PagerDuty or email."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in _KINDS]})

    slack: _Text | None = None
    """The Slack channel of the bot (`#data-alerts`, or its id); `default` is `ANALYTICS_SLACK_CHANNEL`."""
    slack_webhook: _Text | None = None
    """A webhook's name in `ANALYTICS_SLACK_WEBHOOKS`."""
    pagerduty: _Text | None = None
    """A key's name in `ANALYTICS_PAGERDUTY_KEYS`; critical only."""
    email: Names | None = None
    """Email addresses; `owners` are the owners of failed nodes."""
    optional: bool = False
    """Omit the channel without an error if a variable is not set."""
    mention: str = ""
    """Who is mentioned in a Slack message: `<!here>`, `<@U012AB3CD>`."""
    digest: Clock | None = None
    """When to send one email a day, not one per incident."""
    summary: Clock | None = None
    """When to send a summary of the last day, also if nothing failed; not for PagerDuty."""
    successes: Names = ()
    """The groups or other jobs (`*` for all) whose successful runs are announced; not for PagerDuty."""
    quiet_hours: QuietHours | None = None
    """When the channel receives nothing."""
    bundle_above: int = Field(default=3, ge=1)
    """More new incidents than this at once share one message."""

    @model_validator(mode="after")
    def _has_one_kind(self) -> ChannelConfig:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(_KINDS)}, not {' and '.join(given) or 'none'}")
        if self.digest and self.email is None:
            raise ValueError("`digest` requires `email`")
        if (self.summary or self.successes) and (self.pagerduty or self.email == (OWNERS,)):
            raise ValueError("`summary` and `successes` require Slack, or an email address other than `owners`")
        return self

    @property
    def kind(self) -> str:
        """The key that is set: `slack`, `slack_webhook`, `pagerduty` or `email`."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def needs(self) -> tuple[str, ...]:
        """The settings that the channel requires."""
        return (*_KINDS[self.kind], *(["slack_channel"] if self.slack == DEFAULT else []))

    @property
    def can_edit(self) -> bool:
        """Whether a message can be updated after it was sent."""
        return self.kind == "slack"


class Match(YamlModel):
    """Which incidents a rule applies to: every given key must match, by at least one of its values (`*` is allowed)."""

    owner: Names = ()
    """An owner: `team:finance`, `ann@example.com`."""
    group: Names = ()
    """A schedule group, or another asset group."""
    tag: Names = ()
    """A dbt tag."""
    path: Names = ()
    """The file in the dbt project: `models/marts/finance/*`."""
    severity: tuple[Severity, ...] = (Severity.ERROR, Severity.CRITICAL)
    """The severity. A check that only warns has the severity `warn`, which must be named here."""
    environment: Names = ()
    """`dev`, `staging` or `prod`."""
    kind: Names = ()
    """The kind of failure: `connection`, `SQL error`, `data test`, …"""

    def matches(self, incident: Incident, environment: str) -> bool:
        """Return whether a rule applies to an incident."""
        alert, severity = incident.alert, incident.alert.severity
        found: dict[str, tuple[str, ...]] = {"environment": (environment,), "kind": (alert.kind.value,)}
        found |= {"owner": alert.owners, "group": alert.groups, "tag": alert.tags, "path": alert.paths}
        given = {name: patterns for name in found if (patterns := getattr(self, name))}
        return severity in self.severity and all(_any_matches(given[name], found[name]) for name in given)


class Escalation(YamlModel):
    """What a rule does if an incident is still open after a time."""

    after: Duration
    """The time after which it escalates: `30m`, `4h`, `2d`."""
    to: Names = ()
    """More channels to notify. The other channels receive a reminder."""

    @property
    def seconds(self) -> float:
        """``after`` in seconds."""
        return seconds_of(self.after)


class RoutingRule(YamlModel):
    """Which incidents are sent where. The first rule that matches decides, unless it has `continue`."""

    name: _Text
    """The name in messages and in `analytics-dagster alerts explain`."""
    when: Match = Match()
    """Which incidents it applies to; without it, all errors."""
    to: Names
    """The channels; `[]` sends nothing."""
    continue_: bool = Field(default=False, alias="continue")
    """Evaluate the following rules too."""
    escalate: Escalation | None = None
    """Who else is notified if an incident stays open."""


class MaintenanceWindow(YamlModel):
    """Planned maintenance: a failure that starts in the window is sent only if it still fails at the window's end."""

    from_: datetime = Field(alias="from")
    """The start: `2026-12-01 22:00`."""
    to: datetime
    """The end."""
    group: Names = ()
    """The schedule groups that it affects; without it, all."""
    reason: str = ""
    """Why, for readers of the file."""

    def covers(self, incident: Incident, zone: ZoneInfo) -> bool:
        """Return whether an incident opened in the window and belongs to its groups."""
        start, end = self.span(zone)
        is_affected = not self.group or _any_matches(self.group, incident.alert.groups)
        return is_affected and start <= incident.opened < end

    def span(self, zone: ZoneInfo) -> tuple[float, float]:
        """Return the start and the end, in seconds since 1970."""
        start, end = (one if one.tzinfo else one.replace(tzinfo=zone) for one in (self.from_, self.to))
        return start.timestamp(), end.timestamp()


class Critical(YamlModel):
    """Which failures are critical: one match is enough."""

    tag: Names = ("critical",)
    """dbt tags of the failed nodes."""
    group: Names = ()
    """Schedule groups."""
    exposure: Names = ()
    """Exposures that read failed nodes."""
    maturity: Names = ()
    """The dbt maturity of exposures that read failed nodes: `high`."""

    def matches(self, tags: Collection[str], groups: Collection[str], exposures: Collection[tuple[str, str]]) -> bool:
        """Return whether a failure is critical; ``exposures`` are asset keys with maturities."""
        names = [name for asset, _ in exposures for name in (asset, asset.rpartition("/")[2])]
        return (
            any(maturity in self.maturity for _, maturity in exposures)
            or _any_matches(self.tag, tags)
            or _any_matches(self.group, groups)
            or _any_matches(self.exposure, names)
        )


def _any_matches(patterns: Iterable[str], values: Collection[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns for value in values)


class Routes(YamlModel):
    """The routes file. Rules are evaluated in their order."""

    time_zone: TimeZone | None = None
    """The time zone; without it, `ANALYTICS_TIME_ZONE`."""
    channels: dict[str, ChannelConfig]
    """The channels, by the names that rules use."""
    rules: tuple[RoutingRule, ...]
    """Which incidents are sent where."""
    critical: Critical = Critical()
    """Which failures are critical."""
    maintenance: tuple[MaintenanceWindow, ...] = ()
    """Planned maintenance."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Routes:
        require_no_conflicts(_conflicts(self))
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of all times."""
        return ZoneInfo(self.time_zone or "UTC")


def _conflicts(routes: Routes) -> Iterator[tuple[YamlPath, str]]:
    known = list(routes.channels)
    names: set[str] = set()
    for index, rule in enumerate(routes.rules):
        if rule.name in names:
            yield ("rules", index, "name"), f"more than one rule is named {rule.name}"
        names.add(rule.name)
        channels: list[tuple[YamlPath, str]] = [(("to", number), name) for number, name in enumerate(rule.to)]
        channels += [(("escalate", "to"), name) for name in (rule.escalate.to if rule.escalate else ())]
        for location, name in channels:
            if name not in known:
                hint = did_you_mean(name, known, otherwise=f" (there are {', '.join(known)})")
                yield ("rules", index, *location), f"{name!r} is not a channel of this file{hint}"
    for index, window in enumerate(routes.maintenance):
        start, end = window.span(routes.zone)
        if start >= end:
            yield ("maintenance", index, "to"), "a window must end after it starts"
