"""Reads the schedule groups' file and applies the settings to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.groups import ScheduleGroup, ScheduleGroups, valid_cron
from analytics_dagster.settings import Settings, variable_name
from analytics_dagster.yaml_file import YamlFile, YamlPath

BUNDLED = Path(__file__).with_name("groups.yaml")

SCHEMA = Path(__file__).with_name("groups.schema.json")
"""The JSON schema of the file, for editors; a test compares it with the classes."""


def load_groups(settings: Settings) -> ScheduleGroups:
    """Return the schedule groups, with the cron, the time zone and the dbt vars of the settings.

    Raises `ScheduleGroupError` that names the file, the line, the group and the key.
    """
    path = (settings.schedule_groups_file or BUNDLED).expanduser().resolve()
    groups = _FILE.read(path)
    _require_known(settings, path, [group.name for group in groups.groups])
    return groups.model_copy(update={"groups": tuple(_with_settings(group, settings) for group in groups.groups)})


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the file."""
    return _FILE.json_schema()


def _describe(content: Any, position: YamlPath) -> Iterator[str]:
    """Yield the words for a position: a group by its name, if it has one."""
    match position:
        case ("groups", int(index), *rest):
            group = content["groups"][index]
            name = group.get("name") if isinstance(group, dict) else None
            yield f"group {name if isinstance(name, str) else index + 1}"
            yield from (str(part) for part in rest if part != "[key]")
        case _:
            yield from (str(part) for part in position)


_FILE = YamlFile(
    model=ScheduleGroups,
    title="The schedule groups",
    error=ScheduleGroupError,
    setting="schedule_groups_file",
    schema=SCHEMA,
    command="analytics-dagster schema",
    describe=_describe,
)


def _require_known(settings: Settings, path: Path, names: list[str]) -> None:
    unknown = [name for name in settings.cron if name not in {known.lower() for known in names} | set(names)]
    if unknown:
        raise ScheduleGroupError(
            f"{variable_name('cron')} names groups that are not in {path}: {', '.join(unknown)}.",
            remedy=f"Use one of: {', '.join(names)}.",
        )


def _with_settings(group: ScheduleGroup, settings: Settings) -> ScheduleGroup:
    # Environment variables have no case, so a group can be named in lower case.
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
