"""Schedule groups as data: which nodes of the dbt project run together, when and how, read from one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
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

from analytics_dagster.dbt_process import Selection
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.located_yaml import LocatedYaml, YamlProblem
from analytics_dagster.settings import Settings, TimeZone, variable_name

BUNDLED = Path(__file__).with_name("groups.yaml")

SCHEMA = Path(__file__).with_name("groups.schema.json")
"""The JSON schema of the file, for editors; a test holds it against the classes below."""


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


class OnUpstreamFailure(str, Enum):
    """What a run does that waits for an upstream group whose run of the same tick fails."""

    RUN = "run"
    """It starts all the same, and reads what the upstream group built before."""
    SKIP = "skip"
    """It is left out as soon as the upstream run has failed."""
    WAIT = "wait"
    """It waits for the upstream run's retries, starts if one of them succeeds, and is left out otherwise."""


class Resources(BaseModel):
    """What a run's pod asks for and may use, in Kubernetes' own words and units (`cpu: 500m`, `memory: 1Gi`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: dict[str, str | int | float] = Field(default_factory=dict, description="What the pod is given at least.")
    limits: dict[str, str | int | float] = Field(default_factory=dict, description="What the pod may use at most.")


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
    return [value] if isinstance(value, str) else value


Crons = Annotated[
    tuple[Annotated[str, AfterValidator(_valid_cron)], ...],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class ScheduleGroup(BaseModel):
    """Nodes of the dbt project that run together, when and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Also the name of the group's job and of its asset group."
    )
    select: str | None = Field(
        default=None,
        description="The nodes, in dbt's selection syntax: `tag:hourly`, `+orders,config.materialized:table`.",
    )
    selector: str | None = Field(
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
    variables: dict[str, Any] = Field(
        default_factory=dict, alias="vars", description="dbt vars of its runs, beside the location's."
    )
    full_refresh: FullRefresh = Field(
        default=FullRefresh.ON_REQUEST,
        description="Whether incremental models and seeds are rebuilt from scratch: on request, never, or always.",
    )
    retries: int = Field(
        default=0, ge=0, le=10, description="How often Dagster runs again what failed of a run, and only that."
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
    def everything(self) -> Selection | None:
        """What dbt is asked for to find all nodes that there are under the group's vars; None where it has none."""
        return Selection(variables=_as_json(self.variables)) if self.variables else None


class ScheduleGroups(BaseModel):
    """The whole file; the order of the groups counts where several select the same node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_overlap: OnOverlap = Field(
        default=OnOverlap.ERROR,
        description="What it means that several groups select a node: an error, the first group's, or all refresh it.",
    )
    groups: tuple[ScheduleGroup, ...] = Field(min_length=1, description="The schedule groups.")

    @model_validator(mode="after")
    def _fit_together(self) -> ScheduleGroups:
        names = [group.name for group in self.groups]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"more than one group is named {', '.join(twice)}")
        defaults = [group.name for group in self.groups if group.default]
        if len(defaults) > 1:
            raise ValueError(f"more than one group is the default: {', '.join(defaults)}")
        for group in self.groups:
            unknown = sorted(set(group.reads_previous) - set(names))
            if unknown:
                raise ValueError(f"{group.name} reads_previous names no group of this file: {', '.join(unknown)}")
        return self

    @property
    def selections(self) -> tuple[Selection, ...]:
        """All that dbt is asked for, once each."""
        asked = [one for group in self.groups for one in (group.selection, group.everything) if one is not None]
        return tuple(dict.fromkeys(asked))


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
        lines = [_line(path, content, item["loc"], _message(item)) for item in error.errors()]
        raise ScheduleGroupError(
            f"The schedule groups {path} can't be used:\n  " + "\n  ".join(lines),
            remedy="Correct these lines; the JSON schema in "
            f"{SCHEMA.name} (printed by `analytics-dagster schema`) lets an editor complete and check them.",
        ) from None


def _message(item: Mapping[str, Any]) -> str:
    if item["type"] != "extra_forbidden":
        return str(item["msg"]).removeprefix("Value error, ")
    model: type[BaseModel] = ScheduleGroups
    if "resources" in item["loc"]:
        model = Resources
    elif "groups" in item["loc"]:
        model = ScheduleGroup
    known = sorted(field.alias or name for name, field in model.model_fields.items())
    return f"there is no such key; the keys are {', '.join(known)}"


def _line(path: Path, content: LocatedYaml, location: tuple[int | str, ...], message: str) -> str:
    match location:
        case ("groups", int(index), *rest):
            group = content.value["groups"][index]
            name = group.get("name") if isinstance(group, dict) else None
            where = [f"group {name or index + 1}", *map(str, rest)]
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
