"""Who hears of what, as data: channels and rules, read from one YAML file; and the decision itself, which is pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from analytics_dagster.alerting.incidents import Incident, Severity
from analytics_dagster.errors import AlertError
from analytics_dagster.located_yaml import LocatedYaml, YamlProblem
from analytics_dagster.settings import Settings, TimeZone, variable_name

BUNDLED = Path(__file__).with_name("routes.yaml")

SCHEMA = Path(__file__).with_name("routes.schema.json")
"""The JSON schema of the file, for editors; a test holds it against the classes below."""

DEFAULT = "default"
"""What stands for the Slack channel that the settings name."""

OWNERS = "owners"
"""What stands for the mail addresses of those who own what failed."""


def _as_tuple(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_tuple),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


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


class Weekday(str, Enum):
    """A day of the week; the order is Python's."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


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


class Channel(_Model):
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
    def _is_one(self) -> Channel:
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


class When(_Model):
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
        trouble = incident.trouble
        asked: list[tuple[Sequence[str], Collection[str]]] = [
            (self.owner, trouble.owners),
            (self.group, trouble.groups),
            (self.tag, trouble.tags),
            (self.path, trouble.paths),
            (self.environment, (environment,)),
            (self.kind, (trouble.kind.value,)),
        ]
        return trouble.severity in self.severity and all(
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


class Rule(_Model):
    """Which incidents go where. The first rule that fits decides, unless it says that those below count too."""

    name: str = Field(min_length=1, description="What `analytics-dagster alerts explain` calls it.")
    when: When = Field(default=When(), description="Which incidents it is for; all errors where it says nothing.")
    to: Names = Field(description="The channels; none at all (`[]`) keeps an incident from everybody.")
    goes_on: bool = Field(default=False, alias="continue", description="Whether the rules below are looked at too.")
    escalate: Escalation | None = Field(default=None, description="Whom it tells too when an incident lasts.")


class Window(_Model):
    """Planned maintenance: what fails meanwhile is told only if it still fails when the window ends."""

    from_: datetime = Field(alias="from", description="When it begins: `2026-12-01 22:00`.")
    to: datetime = Field(description="When it ends.")
    group: Names = Field(default=(), description="The schedule groups that it is about; all where it names none.")
    reason: str = Field(default="", description="What is done.")

    def holds(self, incident: Incident, zone: ZoneInfo) -> bool:
        """Return whether an incident began in the window and is what it is about."""
        start, end = self.span(zone)
        about = not self.group or any(fnmatchcase(one, name) for name in self.group for one in incident.trouble.groups)
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
    channels: dict[str, Channel] = Field(description="Where people hear of it, by names that the rules use.")
    rules: tuple[Rule, ...] = Field(description="Which incidents go where.")
    critical: Critical = Field(default=Critical(), description="What somebody is woken for.")
    maintenance: tuple[Window, ...] = Field(default=(), description="Planned maintenance.")

    @model_validator(mode="after")
    def _fits_together(self) -> Routes:
        misfits = list(_misfits(self))
        if misfits:
            messages = "; ".join(message for _, message in misfits)
            raise PydanticCustomError(_MISFITS, "{messages}", {"messages": messages, "misfits": misfits})
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of all times."""
        return ZoneInfo(self.time_zone or "UTC")


@dataclass(frozen=True)
class Decision:
    """That a channel hears of an incident, and by which rule; ``escalated`` says that it does because it lasts."""

    channel: str
    rule: str
    escalated: bool = False


def route(routes: Routes, incident: Incident, environment: str) -> list[Decision]:
    """Return which channels hear of an incident when it opens, and by which rule; each channel once."""
    found: dict[str, Decision] = {}
    for rule in matching(routes, incident, environment):
        for name in rule.to:
            if _is_open_to(routes, name, incident):
                found.setdefault(name, Decision(name, rule.name))
    return list(found.values())


def escalations(routes: Routes, incident: Incident, environment: str, now: float) -> list[Rule]:
    """Return the rules that tell more people of an incident now, since it has lasted as long as they say."""
    return [
        rule
        for rule in matching(routes, incident, environment)
        if rule.escalate
        and incident.is_open
        and rule.name not in incident.escalated
        and now - incident.opened >= rule.escalate.seconds
    ]


def matching(routes: Routes, incident: Incident, environment: str) -> Iterator[Rule]:
    """Yield the rules that decide about an incident."""
    for rule in routes.rules:
        if rule.when.fits(incident, environment):
            yield rule
            if not rule.goes_on:
                return


def _is_open_to(routes: Routes, name: str, incident: Incident) -> bool:
    channel = routes.channels.get(name)
    return channel is not None and (channel.kind != "pagerduty" or incident.trouble.severity is Severity.CRITICAL)


def held_until(routes: Routes, name: str, incident: Incident, now: float) -> tuple[float, str]:
    """Return when a channel may hear of an incident, and why not before; a moment that is past where it may at once."""
    for window in routes.maintenance:
        end = window.span(routes.zone)[1]
        if window.holds(incident, routes.zone) and end > now:
            return end, MAINTENANCE
    quiet = routes.channels[name].quiet_hours
    if quiet is None or (quiet.except_critical and incident.trouble.severity is Severity.CRITICAL):
        return 0.0, ""
    over = quiet.end(datetime.fromtimestamp(now, routes.zone))
    return (over.timestamp(), QUIET) if over else (0.0, "")


MAINTENANCE, QUIET, DIGEST = "maintenance", "quiet hours", "digest"
"""Why a letter waits."""


def load_routes(settings: Settings) -> Routes:
    """Read the routes, without the optional channels whose variables are absent, and with the settings' time zone.

    Raises `AlertError` that names the file, the line and the key that are wrong, or the variable that is absent.
    """
    path = (settings.alerts_file or BUNDLED).expanduser().resolve()
    routes = _read(path)
    absent = absent_variables(routes, settings)
    needed = [name for name in absent if not routes.channels[name].optional]
    if needed:
        listed = "; ".join(f"{name} ({', '.join(absent[name])})" for name in needed)
        raise AlertError(
            f"Channels of the routes {path} need variables that are absent: {listed}.",
            remedy="Set them, or give the channel `optional: true`.",
        )
    half = [name for name, names in absent.items() if len(names) < len(routes.channels[name].needs)]
    if half and settings.alerts_file is None:
        listed = ", ".join(sorted({variable for name in half for variable in absent[name]}))
        raise AlertError(f"A channel is half set up: {listed} is absent.", remedy="Set it too, or unset the other.")
    channels = {name: channel for name, channel in routes.channels.items() if name not in absent}
    return routes.model_copy(update={"time_zone": routes.time_zone or settings.time_zone, "channels": channels})


def absent_variables(routes: Routes, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the variables that channels need and that are not set, by channel."""
    found = {name: _absent(channel, settings) for name, channel in routes.channels.items()}
    return {name: names for name, names in found.items() if names}


def _absent(channel: Channel, settings: Settings) -> list[str]:
    """Return the variables that a channel needs and that are not set."""
    by_name = {"slack_webhooks": channel.slack_webhook, "pagerduty_keys": channel.pagerduty}
    absent = []
    for need in channel.needs:
        value, name = getattr(settings, need), by_name.get(need)
        if name is None and value is None:
            absent.append(variable_name(need))
        elif name is not None and named(value, name) is None:
            absent.append(f"{variable_name(need)}__{name.upper()}")
    return absent


def named(values: Mapping[str, Any], name: str) -> Any:
    """Return a setting by its name; the names of environment variables have no case."""
    return {known.lower(): value for known, value in values.items()}.get(name.lower())


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Routes.model_json_schema(by_alias=True)}


# --- what is wrong with a file ---------------------------------------------------------------------------------------

_MISFITS = "misfits"
Location = tuple[int | str, ...]


def _misfits(routes: Routes) -> Iterator[tuple[Location, str]]:
    known = list(routes.channels)
    names: set[str] = set()
    for place, rule in enumerate(routes.rules):
        if rule.name in names:
            yield ("rules", place, "name"), f"more than one rule is named {rule.name}"
        names.add(rule.name)
        for index, name in enumerate(rule.to):
            if name not in known:
                yield ("rules", place, "to", index), f"{name!r} is no channel of this file{_meant(name, known)}"
        for name in rule.escalate.to if rule.escalate else ():
            if name not in known:
                yield ("rules", place, "escalate", "to"), f"{name!r} is no channel of this file{_meant(name, known)}"
    for place, window in enumerate(routes.maintenance):
        start, end = window.span(routes.zone)
        if start >= end:
            yield ("maintenance", place, "to"), "a window must end after it begins"


def _meant(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else f" (there are {', '.join(known)})"


def _read(path: Path) -> Routes:
    try:
        content = LocatedYaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YamlProblem) as error:
        raise AlertError(
            f"The routes of alerts {path} can't be read: {error}",
            remedy=f"Correct the file, or name another by {variable_name('alerts_file')}.",
        ) from error
    try:
        return Routes.model_validate(content.value)
    except ValidationError as error:
        wrong = [one for item in error.errors() for one in _wrong(item)]
        wrong.sort(key=lambda one: content.line(one[0]))
        lines = [
            f"{path.name}:{content.line(location)}: {', '.join(str(part) for part in location)}: {message}"
            for location, message in wrong
        ]
        raise AlertError(
            f"The routes of alerts {path} can't be used:\n  " + "\n  ".join(lines),
            remedy=f"Correct these lines; the JSON schema in {SCHEMA.name} (printed by `analytics-dagster alerts "
            "schema`) lets an editor complete and check them.",
        ) from None


_WANTED = {
    "string_type": "a text (in quotes where YAML sees something else in it)",
    "string_too_short": "a text that is not empty",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "missing": "this key",
}
_SCALARS = (str, int, float, date)


def _wrong(item: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Yield what one of pydantic's errors says, in the words of who writes YAML, and where."""
    location: Location = item["loc"]
    kind: str = item["type"]
    if kind == _MISFITS:
        yield from item["ctx"]["misfits"]
    elif kind == "extra_forbidden":
        model = _model_at(location)
        known = sorted(field.alias or name for name, field in model.model_fields.items())
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        meant = f"; did you mean `{near[0]}`?" if near else ""
        yield location, f"there is no such key{meant} (the keys are {', '.join(known)})"
    elif kind == "value_error":
        yield location, str(item["ctx"]["error"])
    else:
        given = item["input"]
        told = f", not {given!r}" if isinstance(given, _SCALARS) and kind != "missing" else ""
        yield location, (f"{_WANTED[kind]} is wanted" if kind in _WANTED else str(item["msg"])) + told


_MODELS: Mapping[tuple[str, ...], type[BaseModel]] = {
    ("channels", "", "quiet_hours"): QuietHours,
    ("channels", ""): Channel,
    ("rules", "", "when"): When,
    ("rules", "", "escalate"): Escalation,
    ("rules", ""): Rule,
    ("maintenance", ""): Window,
    ("critical",): Critical,
}


def _model_at(location: Location) -> type[BaseModel]:
    """Return what is described at the place of a key; the second part of a place is a name or an index."""
    place = tuple("" if index == 1 else str(part) for index, part in enumerate(location[:-1]))
    return _MODELS.get(place, Routes)
