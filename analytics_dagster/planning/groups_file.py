"""The schedule groups' file, and what settings change of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.groups import ScheduleGroup, ScheduleGroups, valid_cron
from analytics_dagster.settings import Settings, variable_name
from analytics_dagster.yaml_file import Location, YamlFile

BUNDLED = Path(__file__).with_name("groups.yaml")

SCHEMA = Path(__file__).with_name("groups.schema.json")
"""The JSON schema of the file, for editors; a test holds it against the classes."""


def load_groups(settings: Settings) -> ScheduleGroups:
    """Read the schedule groups, with the cron and time zone that settings give them.

    Raises `ScheduleGroupError` that names the file, the line, the group and the key that are wrong.
    """
    path = (settings.schedule_groups_file or BUNDLED).expanduser().resolve()
    groups = _FILE.read(path)
    _require_known(settings, path, [group.name for group in groups.groups])
    return groups.model_copy(
        update={"groups": tuple(_with_settings(group, settings) for group in groups.groups)},
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the file."""
    return _FILE.json_schema()


def _place(value: Any, location: Location) -> Iterator[str]:
    """Yield where something stands: a group by its name, where it has one."""
    match location:
        case ("groups", int(index), *rest):
            group = value["groups"][index]
            name = group.get("name") if isinstance(group, dict) else None
            yield f"group {name if isinstance(name, str) else index + 1}"
            yield from (str(part) for part in rest if part != "[key]")
        case _:
            yield from (str(part) for part in location)


_FILE = YamlFile(
    model=ScheduleGroups,
    title="The schedule groups",
    error=ScheduleGroupError,
    setting="schedule_groups_file",
    schema=SCHEMA,
    command="analytics-dagster schema",
    place=_place,
)


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
        valid_cron(cron)
    except ValueError as error:
        variable = f"{variable_name('cron')}__{group.name.upper()}"
        raise ScheduleGroupError(f"{variable}: {error}.", remedy="Correct the variable.") from None
    return group.model_copy(update={**changes, "cron": (cron,)})
