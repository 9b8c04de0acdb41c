"""Schedule groups as data: which nodes of the dbt project run together, when and how, read from one YAML file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import orjson
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

from analytics_dagster.dbt_process import Selection
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.located_yaml import LocatedYaml, YamlProblem
from analytics_dagster.settings import Settings, TimeZone, variable_name

BUNDLED = Path(__file__).with_name("groups.yaml")

SCHEMA = Path(__file__).with_name("groups.schema.json")
"""The JSON schema of the file, for editors; a test holds it against the classes below."""

RESERVED = frozenset({"consumers", "exposures", "ingestion", "sources"})
"""Names of the location's other jobs and asset groups, which no schedule group may have."""


class OnOverlap(str, Enum):
    """What it means that several groups select the same node."""

    ERROR = "error"
    """A mistake: one message lists all such nodes."""
    FIRST = "first"
    """It is the first group's, in the order of the file, alone."""
    ALL = "all"
    """It is the first group's, and every other group that selects it refreshes it in its own runs too."""


class FullRefresh(str, Enum):
    """Whether incremental models and seeds are rebuilt from scratch."""

    ON_REQUEST = "on_request"
    """When the launchpad or `--full-refresh` asks for it."""
    NEVER = "never"
    """A request is refused before anything runs."""
    ALWAYS = "always"
    """In every run."""


class Backoff(str, Enum):
    """How the time between a failure and its retry grows with the retries."""

    CONSTANT = "constant"
    """It does not."""
    LINEAR = "linear"
    """By the same each time."""
    EXPONENTIAL = "exponential"
    """It doubles."""


class OnUpstreamFailure(str, Enum):
    """What a run does that waits for an upstream group whose run of the same tick fails."""

    RUN = "run"
    """It starts all the same, and reads what the upstream group built before."""
    SKIP = "skip"
    """It is left out as soon as the upstream run has failed."""
    WAIT = "wait"
    """It waits for the upstream run's retries, starts if one of them succeeds, and is left out otherwise."""


def _as_quantity(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _valid_quantity(quantity: str) -> str:
    if not re.fullmatch(r"[0-9.]+([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?", quantity):
        raise ValueError(f"{quantity!r} is no quantity of Kubernetes (such as 500m, 2, 1Gi)")
    return quantity


Quantity = Annotated[
    str,
    BeforeValidator(_as_quantity),
    AfterValidator(_valid_quantity),
    WithJsonSchema({"type": ["string", "number"]}),
]


class Resources(BaseModel):
    """What a run's pod asks for and may use, in Kubernetes' own words and units (`cpu: 500m`, `memory: 1Gi`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: dict[str, Quantity] = Field(default_factory=dict, description="What the pod is given at least.")
    limits: dict[str, Quantity] = Field(default_factory=dict, description="What the pod may use at most.")


def _valid_name(name: str) -> str:
    if name.lower() in RESERVED:
        raise ValueError(f"{name!r} is the name of another job or asset group of this location")
    try:
        # Dagster itself says which names it has for itself.
        dg.GraphDefinition(name=name)
    except dg.DagsterInvalidDefinitionError:
        raise ValueError(f"{name!r} can't be the name of a job: Dagster or Python reserves it") from None
    return name


def _as_one_text(select: Any) -> Any:
    if isinstance(select, list):
        raise ValueError(  # noqa: TRY004 - pydantic wants this type
            "one text is wanted, in which several selections (either is meant) have spaces between them"
        )
    return select


def _valid_selection(select: str) -> str:
    words = select.split()
    if not words:
        raise ValueError("an empty selection names nothing; all nodes are `*`")
    for word in words:
        # dbt would take each of these for the name of a node that there is not, and say nothing.
        if word.startswith("-"):
            raise ValueError(
                f"{word!r} is no selection but an option; select positively, or name one of the project's YAML "
                "selectors by `selector`, which can exclude"
            )
        if not all(word.split(",")):
            raise ValueError(f"{word!r}: a comma (both are meant) stands between two selections, without spaces")
    return select


def _valid_cron(cron: str) -> str:
    try:
        # Dagster itself says which crons it can run.
        dg.ScheduleDefinition(job_name="any", cron_schedule=cron)
    except dg.DagsterInvalidDefinitionError:
        raise ValueError(
            f"{cron!r} is no cron schedule; write one such as '0 6 * * *' (minute, hour, day, month, weekday)"
        ) from None
    return cron


def _as_list(value: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise ValueError("a cron schedule or a list of them is wanted")  # noqa: TRY004 - pydantic wants this type
    return [value] if isinstance(value, str) else value


def _valid_variables(variables: dict[str, Any]) -> dict[str, Any]:
    try:
        _as_json(variables)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"dbt is given its vars as JSON, and these can't be written as such: {error}") from None
    return variables


Crons = Annotated[
    tuple[Annotated[str, AfterValidator(_valid_cron)], ...],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


_TEXT = {"type": "string"}
_ONE_SELECTION: dict[str, Any] = {
    "oneOf": [
        {"required": ["select"], "properties": {"select": _TEXT}},
        {"required": ["selector"], "properties": {"selector": _TEXT}},
    ]
}


class ScheduleGroup(BaseModel):
    """Nodes of the dbt project that run together, when and how."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_ONE_SELECTION)

    name: Annotated[str, AfterValidator(_valid_name)] = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Also the name of the group's job and of its asset group."
    )
    select: Annotated[str, BeforeValidator(_as_one_text), AfterValidator(_valid_selection)] | None = Field(
        default=None,
        description="The nodes, in dbt's selection syntax: `tag:hourly`, `+orders,config.materialized:table`.",
    )
    selector: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The nodes, by the name of one of the dbt project's YAML selectors."
    )
    cron: Crons = Field(
        default=(), description="When it runs: one cron schedule or several; none means only by hand or by sensor."
    )
    time_zone: TimeZone | None = Field(
        default=None, description="The IANA time zone of the cron; that of the settings otherwise."
    )
    default: bool = Field(default=False, description="Whether it takes every node that no group selects.")
    after_ingestion: bool = Field(default=False, description="Whether newly ingested files start it too.")
    variables: Annotated[dict[str, Any], AfterValidator(_valid_variables)] = Field(
        default_factory=dict, alias="vars", description="dbt vars of its runs, beside the location's."
    )
    full_refresh: FullRefresh = Field(
        default=FullRefresh.ON_REQUEST,
        description="Whether incremental models and seeds are rebuilt from scratch: on request, never, or always.",
    )
    retries: int = Field(
        default=0,
        ge=0,
        le=10,
        description="How often what failed of a run is run again, and only that, where it may pass by itself.",
    )
    retry_delay: int = Field(default=60, ge=0, description="How many seconds after a failure its first retry starts.")
    retry_backoff: Backoff = Field(
        default=Backoff.EXPONENTIAL,
        description="How that time grows: `constant`, `linear`, or `exponential` (it doubles).",
    )
    on_upstream_failure: OnUpstreamFailure = Field(
        default=OnUpstreamFailure.WAIT,
        description="What happens to its run when an upstream group's run of the same tick fails: it runs all the "
        "same, is skipped, or waits for the retries and is skipped if they fail too.",
    )
    reads_previous: tuple[str, ...] = Field(
        default=(),
        description="Groups whose tables it reads as their last run left them, on purpose: it does not wait for these, "
        "and a cycle through them is allowed.",
    )
    resources: Resources | None = Field(default=None, description="What the pod of its runs asks for in Kubernetes.")

    @model_validator(mode="after")
    def _selects_in_one_way(self) -> ScheduleGroup:
        if (self.select is None) == (self.selector is None):
            raise ValueError("give either `select` or `selector`")
        return self

    @property
    def selection(self) -> Selection:
        """What dbt is asked for to find the group's nodes."""
        return Selection(select=self.select, selector=self.selector, variables=_as_json(self.variables))

    @property
    def changes(self) -> Selection | None:
        """What dbt is asked for to find the nodes that the group's vars change; None where it has none."""
        return Selection(variables=_as_json(self.variables), changed=True) if self.variables else None


class ScheduleGroups(BaseModel):
    """The whole file; the order of the groups counts where several select the same node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_overlap: OnOverlap = Field(
        default=OnOverlap.ERROR,
        description="What it means that several groups select a node: an error, the first group's, or all refresh it.",
    )
    # Pydantic's own `min_length` counts the groups that are right alone, so that one mistake would be told as two.
    groups: tuple[ScheduleGroup, ...] = Field(description="The schedule groups.", json_schema_extra={"minItems": 1})

    @model_validator(mode="after")
    def _fit_together(self) -> ScheduleGroups:
        misfits = list(_misfits(self.groups))
        if misfits:
            messages = "; ".join(message for _, message in misfits)
            raise PydanticCustomError(_MISFITS, "{messages}", {"messages": messages, "misfits": misfits})
        return self

    @property
    def selections(self) -> tuple[Selection, ...]:
        """All that dbt is asked for, once each."""
        asked = [one for group in self.groups for one in (group.selection, group.changes) if one is not None]
        return tuple(dict.fromkeys(asked))


_MISFITS = "misfits"

Location = tuple[int | str, ...]
"""Where something stands in the file: keys and indexes."""


def _misfits(groups: Sequence[ScheduleGroup]) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong between groups that are right each, and where."""
    if not groups:
        yield ("groups",), "at least one group is wanted"
    names: dict[str, str] = {}
    defaults: list[str] = []
    for place, group in enumerate(groups):
        # Settings name groups by environment variables, which have no case.
        twin = names.get(group.name.lower())
        if twin is not None:
            told = "" if twin == group.name else f" (capitals do not tell it from {group.name})"
            yield ("groups", place, "name"), f"more than one group is named {twin}{told}"
        names[group.name.lower()] = group.name
        defaults += [group.name] if group.default else []
        if group.default and len(defaults) > 1:
            yield ("groups", place, "default"), f"more than one group is the default: {', '.join(defaults)}"
        others = [other.name for other in groups if other is not group]
        for index, name in enumerate(group.reads_previous):
            if name not in others:
                yield (
                    ("groups", place, "reads_previous", index),
                    f"{name!r} is no other group of this file{_meant(name, others)}",
                )


def _meant(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def load_groups(settings: Settings) -> ScheduleGroups:
    """Read the schedule groups, with the cron and time zone that settings give them.

    Raises `ScheduleGroupError` that names the file, the line, the group and the key that are wrong.
    """
    path = (settings.schedule_groups_file or BUNDLED).expanduser().resolve()
    groups = _read(path)
    _require_known(settings, path, [group.name for group in groups.groups])
    return groups.model_copy(
        update={"groups": tuple(_with_settings(group, settings) for group in groups.groups)},
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ScheduleGroups.model_json_schema()}


def _read(path: Path) -> ScheduleGroups:
    try:
        content = LocatedYaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YamlProblem) as error:
        raise ScheduleGroupError(
            f"The schedule groups {path} can't be read: {error}",
            remedy=f"Correct the file, or name another by {variable_name('schedule_groups_file')}.",
        ) from error
    try:
        return ScheduleGroups.model_validate(content.value)
    except ValidationError as error:
        wrong = [one for item in error.errors() for one in _wrong(item)]
        wrong.sort(key=lambda one: content.line(one[0]))
        lines = [_line(path, content, location, message) for location, message in wrong]
        raise ScheduleGroupError(
            f"The schedule groups {path} can't be used:\n  " + "\n  ".join(lines),
            remedy="Correct these lines; the JSON schema in "
            f"{SCHEMA.name} (printed by `analytics-dagster schema`) lets an editor complete and check them.",
        ) from None


def _wrong(item: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Yield what one of pydantic's errors says, in the words of who writes YAML, and where."""
    location: Location = item["loc"]
    kind: str = item["type"]
    if kind == _MISFITS:
        yield from item["ctx"]["misfits"]
    elif kind == "extra_forbidden":
        known = sorted(field.alias or name for name, field in _model_at(location).model_fields.items())
        yield location, f"there is no such key{_meant(str(location[-1]), known)} (the keys are {', '.join(known)})"
    elif kind == "value_error":
        yield location, str(item["ctx"]["error"])
    else:
        given = item["input"]
        told = f", not {given!r}" if isinstance(given, _SCALARS) else ""
        yield location, (f"{_WANTED[kind]} is wanted" if kind in _WANTED else str(item["msg"])) + told


_SCALARS = (str, int, float, date)

_WANTED = {
    "string_type": "a text (in quotes where YAML sees something else in it)",
    "string_pattern_mismatch": "a name of letters, digits and underscores that begins with no digit",
    "string_too_short": "a text that is not empty",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "missing": "this key",
}
"""What a value is to be, by pydantic's type of the error, which speaks of Python's tuples and dictionaries."""


def _model_at(location: Location) -> type[BaseModel]:
    match location:
        case ("groups", int(), "resources", _):
            return Resources
        case ("groups", int(), _):
            return ScheduleGroup
        case _:
            return ScheduleGroups


def _line(path: Path, content: LocatedYaml, location: Location, message: str) -> str:
    match location:
        case ("groups", int(index), *rest):
            group = content.value["groups"][index]
            name = group.get("name") if isinstance(group, dict) else None
            known = (str(part) for part in rest if part != "[key]")
            where = [f"group {name if isinstance(name, str) else index + 1}", *known]
        case _:
            where = [str(part) for part in location]
    place = f"{path.name}:{content.line(location)}"
    return f"{place}: {', '.join(where)}: {message}" if where else f"{place}: {message}"


def _require_known(settings: Settings, path: Path, names: list[str]) -> None:
    unknown = [name for name in settings.cron if name not in {known.lower() for known in names} | set(names)]
    if unknown:
        raise ScheduleGroupError(
            f"{variable_name('cron')} names groups that {path} does not have: {', '.join(unknown)}.",
            remedy=f"Name one of: {', '.join(names)}.",
        )


def _with_settings(group: ScheduleGroup, settings: Settings) -> ScheduleGroup:
    # The names of environment variables have no case, so a group may be named by its name in lower case.
    cron = settings.cron.get(group.name) or settings.cron.get(group.name.lower())
    changes: Mapping[str, Any] = {
        "time_zone": group.time_zone or settings.time_zone,
        "variables": {**settings.dbt_vars, **group.variables} if group.variables else {},
    }
    if cron is None:
        return group.model_copy(update=changes)
    try:
        _valid_cron(cron)
    except ValueError as error:
        variable = f"{variable_name('cron')}__{group.name.upper()}"
        raise ScheduleGroupError(f"{variable}: {error}.", remedy="Correct the variable.") from None
    return group.model_copy(update={**changes, "cron": (cron,)})


def _as_json(variables: Mapping[str, Any]) -> str:
    return orjson.dumps(variables, option=orjson.OPT_SORT_KEYS).decode() if variables else ""
