"""Schedule groups as data: name, dbt selection, cron, time zone, read from one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from analytics_dagster.dbt_process import Selection
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.settings import Settings, TimeZone, variable_name

BUNDLED = Path(__file__).with_name("groups.yaml")


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


class ScheduleGroup(BaseModel):
    """Nodes of the dbt project that run together, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Also the name of the asset group and the job.")
    select: str | None = Field(default=None, description="The nodes, in dbt's selection syntax.")
    selector: str | None = Field(default=None, description="The nodes, by the name of one of dbt's YAML selectors.")
    cron: Annotated[tuple[Annotated[str, AfterValidator(_valid_cron)], ...], BeforeValidator(_as_list)] = Field(
        default=(), description="When it runs: one cron schedule or several; none means only by hand or by sensor."
    )
    time_zone: TimeZone | None = Field(default=None, description="The time zone of the cron; the setting's otherwise.")
    default: bool = Field(default=False, description="Whether it takes every node that no group selects.")
    after_ingestion: bool = Field(default=False, description="Whether newly ingested files start it.")

    @model_validator(mode="after")
    def _selects_in_one_way(self) -> ScheduleGroup:
        if (self.select is None) == (self.selector is None):
            raise ValueError("give either `select` or `selector`")
        return self

    @property
    def selection(self) -> Selection:
        """What dbt is asked for to find the group's nodes."""
        return Selection(select=self.select, selector=self.selector)


class ScheduleGroups(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: tuple[ScheduleGroup, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> ScheduleGroups:
        names = [group.name for group in self.groups]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"more than one group is named {', '.join(twice)}")
        defaults = [group.name for group in self.groups if group.default]
        if len(defaults) > 1:
            raise ValueError(f"more than one group is the default: {', '.join(defaults)}")
        return self


def load_groups(settings: Settings) -> tuple[ScheduleGroup, ...]:
    """Read the schedule groups, with the cron and time zone that settings give them.

    Raises `ScheduleGroupError` that names the file, the group and the key that are wrong.
    """
    path = (settings.schedule_groups_file or BUNDLED).expanduser().resolve()
    groups = _read(path).groups
    return tuple(_with_settings(group, settings) for group in _known(groups, settings, path))


def _read(path: Path) -> ScheduleGroups:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScheduleGroupError(
            f"The schedule groups {path} can't be read: {error}",
            remedy=f"Correct the file, or name another by {variable_name('schedule_groups_file')}.",
        ) from error
    try:
        return ScheduleGroups.model_validate(content)
    except ValidationError as error:
        raise ScheduleGroupError(
            f"The schedule groups {path} can't be used:\n  "
            + "\n  ".join(_line(content, item["loc"], item["msg"]) for item in error.errors()),
            remedy="Correct the file.",
        ) from None


def _line(content: Any, location: tuple[int | str, ...], message: str) -> str:
    match location:
        case ("groups", int(index), *rest):
            name = content["groups"][index].get("name") if isinstance(content["groups"][index], dict) else None
            where = [f"group {name or index + 1}", *map(str, rest)]
        case _:
            where = [str(part) for part in location]
    return f"{', '.join(where)}: {message}" if where else message


def _known(groups: tuple[ScheduleGroup, ...], settings: Settings, path: Path) -> tuple[ScheduleGroup, ...]:
    names = [group.name for group in groups]
    unknown = [name for name in settings.cron if name not in {known.lower() for known in names} | set(names)]
    if unknown:
        raise ScheduleGroupError(
            f"{variable_name('cron')} names groups that {path} does not have: {', '.join(unknown)}.",
            remedy=f"Name one of: {', '.join(names)}.",
        )
    return groups


def _with_settings(group: ScheduleGroup, settings: Settings) -> ScheduleGroup:
    # The names of environment variables have no case, so a group may be named by its name in lower case.
    cron = settings.cron.get(group.name) or settings.cron.get(group.name.lower())
    changes: Mapping[str, Any] = {"time_zone": group.time_zone or settings.time_zone}
    if cron is None:
        return group.model_copy(update=changes)
    try:
        _valid_cron(cron)
    except ValueError as error:
        variable = f"{variable_name('cron')}__{group.name.upper()}"
        raise ScheduleGroupError(f"{variable}: {error}.", remedy="Correct the variable.") from None
    return group.model_copy(update={**changes, "cron": (cron,)})
