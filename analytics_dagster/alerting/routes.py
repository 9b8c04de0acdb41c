"""Who hears of what, as data: channels, rules, quiet hours and planned maintenance."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from enum import Enum
from fnmatch import fnmatchcase
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from analytics_dagster.alerting.incidents import Incident, Severity
from analytics_dagster.settings import TimeZone
from analytics_dagster.yaml_file import Names, YamlPath, did_you_mean, require_no_conflicts

DEFAULT = "default"
"""What stands for the Slack channel that the settings name."""

OWNERS = "owners"
"""What stands for the mail addresses of those who own what failed."""

_DURATION = re.compile(r"(\d+)\s*([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _valid_duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration (such as 30m, 4h or 2d)")
    return text


Duration = Annotated[str, AfterValidator(_valid_duration)]


def _seconds(duration: str) -> float:
    match = _DURATION.fullmatch(duration)
    return timedelta(**{_UNITS[match[2]]: int(match[1])}).total_seconds() if match else 0.0


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _as_clock(value: Any) -> Any:
    # YAML sees a number of sixties in 22:00 without quotes.
    return f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) and not isinstance(value, bool) else value


def _valid_clock(text: str) -> str:
    try:
        time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time of day (such as 22:00)") from None
    return text


Clock = Annotated[
    str,
    BeforeValidator(_as_clock),
    AfterValidator(_valid_clock),
    WithJsonSchema({"type": "string", "examples": ["22:00"]}),
]


class Weekday(str, Enum):
    """A day of the week; the order is Python's."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class QuietHours(_Model):
    """When a channel is left in peace: what happens then is told when they end, unless it is over by then."""

    from_: Clock = Field(alias="from", description="When they begin.")
    to: Clock = Field(description="When they end; before `from`, it is the next day's.")
    days: tuple[Weekday, ...] = Field(default=tuple(Weekday), description="The days on which they begin.")
    whole_days: tuple[Weekday, ...] = Field(default=(), description="Days that are quiet from midnight to midnight.")
    except_critical: bool = Field(default=True, description="Whether what is critical is told all the same.")

    def end(self, moment: datetime) -> datetime | None:
        """Return when the quiet hours end that a local moment is in; None where it is in none."""
        found = moment
        for _ in range(2 * len(Weekday)):
            later = self._end(found)
            if later is None:
                return found if found > moment else None
            found = later
        return found

    def _end(self, moment: datetime) -> datetime | None:
        days = list(Weekday)
        if days[moment.weekday()] in self.whole_days:
            return _at(moment.date() + timedelta(days=1), time(0), moment)
        start, stop = time.fromisoformat(self.from_), time.fromisoformat(self.to)
        for began in (moment.date(), moment.date() - timedelta(days=1)):
            if days[began.weekday()] in self.days:
                ends = began if start < stop else began + timedelta(days=1)
                if _at(began, start, moment) <= moment < _at(ends, stop, moment):
                    return _at(ends, stop, moment)
        return None


def _at(day: date, clock: time, like: datetime) -> datetime:
    return datetime.combine(day, clock, tzinfo=like.tzinfo)


_KINDS = ("slack", "slack_webhook", "pagerduty", "email")


class ChannelConfig(_Model):
    """Where people hear of it: one of Slack (by bot or webhook), PagerDuty, mail."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in _KINDS]})

    slack: str | None = Field(
        default=None,
        min_length=1,
        description="A Slack channel that the bot posts to (`#data-alerts`, or its id), a thread an incident; "
        "`default` is the one that `ANALYTICS_SLACK_CHANNEL` names.",
    )
    slack_webhook: str | None = Field(
        default=None,
        min_length=1,
        description="The name of an incoming webhook among `ANALYTICS_SLACK_WEBHOOKS`: single messages.",
    )
    pagerduty: str | None = Field(
        default=None,
        min_length=1,
        description="The name of an integration key among `ANALYTICS_PAGERDUTY_KEYS`; only the critical goes there.",
    )
    email: Names | None = Field(default=None, description="Mail addresses; `owners` are those of what failed.")
    optional: bool = Field(
        default=False, description="Whether it is left out, and no error, where the variables that it needs are absent."
    )
    mention: str = Field(default="", description="Whom a Slack message calls: `<!here>`, `<@U012AB3CD>`.")
    digest: Clock | None = Field(
        default=None, description="The time of the one mail a day that takes the place of a mail for each incident."
    )
    quiet_hours: QuietHours | None = Field(default=None, description="When it is left in peace.")
    bundle_above: int = Field(
        default=3, ge=1, description="From how many new incidents on, at one time, they are one message."
    )

    @model_validator(mode="after")
    def _is_one(self) -> ChannelConfig:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(_KINDS)}, not {' and '.join(given) or 'none'}")
        if self.digest and self.email is None:
            raise ValueError("only mail comes as a digest")
        return self

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def needs(self) -> tuple[str, ...]:
        """The settings without which it can't be used."""
        by_kind = {
            "slack": ("slack_token", "slack_channel") if self.slack == DEFAULT else ("slack_token",),
            "slack_webhook": ("slack_webhooks",),
            "pagerduty": ("pagerduty_keys",),
            "email": ("smtp_url", "mail_from"),
        }
        return by_kind[self.kind]

    @property
    def edits(self) -> bool:
        """Whether what was said there can be brought up to date, without another message."""
        return self.kind == "slack"


class Match(_Model):
    """Which incidents a rule is for: all that is given must fit, of each list one; `*` stands for anything."""

    owner: Names = Field(default=(), description="Who owns it: `team:finance`, `ann@example.com`.")
    group: Names = Field(default=(), description="Its schedule group (or another asset group).")
    tag: Names = Field(default=(), description="One of its dbt tags.")
    path: Names = Field(default=(), description="Where its file lies in the dbt project: `models/marts/finance/*`.")
    severity: tuple[Severity, ...] = Field(
        default=(Severity.ERROR, Severity.CRITICAL),
        description="How bad it is; `warn`, a check that only warns, alerts nobody unless it is named here.",
    )
    environment: Names = Field(default=(), description="`dev`, `staging`, `prod`.")
    kind: Names = Field(default=(), description="Why it failed: `connection`, `SQL error`, `data test`, …")

    def fits(self, incident: Incident, environment: str) -> bool:
        """Return whether a rule is for an incident."""
        alert = incident.alert
        asked: list[tuple[Sequence[str], Collection[str]]] = [
            (self.owner, alert.owners),
            (self.group, alert.groups),
            (self.tag, alert.tags),
            (self.path, alert.paths),
            (self.environment, (environment,)),
            (self.kind, (alert.kind.value,)),
        ]
        return alert.severity in self.severity and all(
            not patterns or any(fnmatchcase(value, pattern) for pattern in patterns for value in values)
            for patterns, values in asked
        )


class Escalation(_Model):
    """Whom a rule tells too when an incident lasts."""

    after: Duration = Field(description="How long it must have lasted: `30m`, `4h`, `2d`.")
    to: Names = Field(default=(), description="More channels; those that know of it are reminded in any case.")

    @property
    def seconds(self) -> float:
        """How long it must have lasted."""
        return _seconds(self.after)


class RoutingRule(_Model):
    """Which incidents go where. The first rule that fits decides, unless it says that those below count too."""

    name: str = Field(min_length=1, description="What `analytics-dagster alerts explain` calls it.")
    when: Match = Field(default=Match(), description="Which incidents it is for; all errors where it says nothing.")
    to: Names = Field(description="The channels; none at all (`[]`) keeps an incident from everybody.")
    continue_: bool = Field(default=False, alias="continue", description="Whether the rules below are looked at too.")
    escalate: Escalation | None = Field(default=None, description="Whom it tells too when an incident lasts.")


class MaintenanceWindow(_Model):
    """Planned maintenance: what fails meanwhile is told only if it still fails when the window ends."""

    from_: datetime = Field(alias="from", description="When it begins: `2026-12-01 22:00`.")
    to: datetime = Field(description="When it ends.")
    group: Names = Field(default=(), description="The schedule groups that it is about; all where it names none.")
    reason: str = Field(default="", description="What is done.")

    def holds(self, incident: Incident, zone: ZoneInfo) -> bool:
        """Return whether an incident began in the window and is what it is about."""
        start, end = self.span(zone)
        about = not self.group or any(fnmatchcase(one, name) for name in self.group for one in incident.alert.groups)
        return about and start <= incident.opened < end

    def span(self, zone: ZoneInfo) -> tuple[float, float]:
        """Return its begin and end in seconds since 1970."""
        start, end = (one if one.tzinfo else one.replace(tzinfo=zone) for one in (self.from_, self.to))
        return start.timestamp(), end.timestamp()


class Critical(_Model):
    """What somebody is woken for: a tag, a schedule group or an exposure says so."""

    tag: Names = Field(default=("critical",), description="dbt tags of the nodes.")
    group: Names = Field(default=(), description="Schedule groups.")
    exposure: Names = Field(default=(), description="Names of exposures that read what failed.")
    maturity: Names = Field(default=(), description="dbt's maturities of exposures that read what failed: `high`.")

    def holds(self, tags: Collection[str], groups: Collection[str], exposures: Collection[tuple[str, str]]) -> bool:
        """Return whether a failure is critical; exposures come as names and maturities."""
        names = [*(asset for asset, _ in exposures), *(asset.rpartition("/")[2] for asset, _ in exposures)]
        asked = (self.tag, tags), (self.group, groups), (self.exposure, names)
        matured = any(maturity in self.maturity for _, maturity in exposures)
        return matured or any(
            fnmatchcase(value, one) for patterns, values in asked for one in patterns for value in values
        )


class Routes(_Model):
    """The whole file; the order of the rules counts."""

    time_zone: TimeZone | None = Field(
        default=None, description="The IANA time zone of all times of the file; that of the settings otherwise."
    )
    channels: dict[str, ChannelConfig] = Field(description="Where people hear of it, by names that the rules use.")
    rules: tuple[RoutingRule, ...] = Field(description="Which incidents go where.")
    critical: Critical = Field(default=Critical(), description="What somebody is woken for.")
    maintenance: tuple[MaintenanceWindow, ...] = Field(default=(), description="Planned maintenance.")

    @model_validator(mode="after")
    def _fits_together(self) -> Routes:
        require_no_conflicts(_conflicts(self))
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of all times."""
        return ZoneInfo(self.time_zone or "UTC")


def _conflicts(routes: Routes) -> Iterator[tuple[YamlPath, str]]:
    known = list(routes.channels)
    names: set[str] = set()
    for place, rule in enumerate(routes.rules):
        if rule.name in names:
            yield ("rules", place, "name"), f"more than one rule is named {rule.name}"
        names.add(rule.name)
        named: list[tuple[YamlPath, str]] = [(("to", index), name) for index, name in enumerate(rule.to)]
        named += [(("escalate", "to"), name) for name in (rule.escalate.to if rule.escalate else ())]
        for where, name in named:
            if name not in known:
                near = did_you_mean(name, known, otherwise=f" (there are {', '.join(known)})")
                yield ("rules", place, *where), f"{name!r} is no channel of this file{near}"
    for place, window in enumerate(routes.maintenance):
        start, end = window.span(routes.zone)
        if start >= end:
            yield ("maintenance", place, "to"), "a window must end after it begins"
