"""Inspects a dbt project and writes the files that it needs to a folder next to it. The project is not changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from dotenv import dotenv_values, load_dotenv

from analytics_dagster.cli.home import WORKSPACE, prepare_home
from analytics_dagster.cli.init import files
from analytics_dagster.cli.init.files import FileOutcome, ScaffoldInputs, write_file
from analytics_dagster.cli.init.proposal import propose
from analytics_dagster.cli.plan.planned_project import PlannedProject, plan_project
from analytics_dagster.errors import ProfileError, ProjectError
from analytics_dagster.project.files import PROJECT, find_project, read_configuration
from analytics_dagster.project.loading import Announce, load_or_placeholder
from analytics_dagster.project.profile import PROFILES, read_profiles
from analytics_dagster.settings import Settings, environment_variables, load_settings, variable_name

_KEPT_SETTINGS = ("dbt_profile", "dbt_target", "dbt_vars")


@dataclass(frozen=True)
class ScaffoldResult:
    """The folder, the outcome for each file, and the plan of the project with these files."""

    folder: Path
    outcomes: Mapping[str, FileOutcome]
    planned: PlannedProject


def scaffold(project_dir: Path, into: Path | None, announce: Announce) -> ScaffoldResult:
    """Write the files, and plan the project with them as the next command will.

    Makes the folder the current one. Raises `AnalyticsError` if there is no dbt project, dbt reads files in the folder,
    or dbt can't parse the project.
    """
    project = project_dir.expanduser().resolve()
    configuration = _configuration(project)
    folder = (into.expanduser() if into else project.with_name(f"{project.name}-dagster")).resolve()
    _require_outside(folder, project, configuration)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "Give a folder that this user may write with --into."
        raise ProjectError(f"The folder {folder} can't be created: {error.strerror}.", remedy=remedy) from error
    earlier = dotenv_values(folder / files.ENVIRONMENT)
    chosen = find_chosen_settings(earlier)
    profile = chosen.get(variable_name("dbt_profile")) or str(configuration.get("profile", "default"))
    zone = find_time_zone() or earlier.get(variable_name("time_zone"))
    if zone is None:
        announce(f"The time zone of this machine is unknown: {variable_name('time_zone')} is UTC. Correct it in .env.")
    profiles = find_profiles(project, profile, Path.home())
    inputs = ScaffoldInputs(folder, project, profiles, zone or "UTC", chosen)
    outcomes = {files.ENVIRONMENT: write_file(folder / files.ENVIRONMENT, files.environment_file(inputs))}
    settings = _settings(inputs)
    # Without selections: the schedule groups are proposed from the manifest's tags.
    found, reason = load_or_placeholder(find_project(settings), (), announce)
    proposal = propose(found.manifest)
    adapter = found.target.adapter if reason is None else ""
    for name, body in {
        files.GROUPS: files.groups_file(proposal),
        "workspace.yaml": WORKSPACE.read_text(encoding="utf-8"),
        "pyproject.toml": files.PYPROJECT,
        "orchestration.py": files.MODULE,
        "helm-values.yaml": files.helm_file(proposal, inputs, found.target.name, adapter),
        ".gitignore": files.GITIGNORE,
    }.items():
        outcomes[name] = write_file(folder / name, body)
    prepare_home(settings)
    return ScaffoldResult(folder, outcomes, plan_project(settings, lambda _: None))


def _settings(inputs: ScaffoldInputs) -> Settings:
    """Return the settings that later commands in the folder read."""
    os.chdir(inputs.folder)
    load_dotenv(files.ENVIRONMENT)
    paths = {"dbt_project_dir": inputs.project, "schedule_groups_file": inputs.folder / files.GROUPS}
    # A variable of `dagster dev` in the environment must have no effect here.
    return load_settings().model_copy(update={**paths, "is_dev_cli": False})


def _configuration(project: Path) -> Mapping[str, Any]:
    """Return the contents of `dbt_project.yml`; raises `ProjectError` if it is missing or can't be read."""
    if not (project / PROJECT).is_file():
        below = sorted(str(path.parent) for path in project.glob(f"*/{PROJECT}"))
        hint = f" There is one in {', '.join(below)}." if below else ""
        raise ProjectError(
            f"{project} is not a dbt project: it has no {PROJECT}.{hint}",
            remedy="Give the folder of dbt_project.yml with --dbt-project.",
        )
    return read_configuration(project / PROJECT)


def _require_outside(folder: Path, project: Path, configuration: Mapping[str, Any]) -> None:
    """Raise `ProjectError` if dbt would read the written files as part of the project."""
    defaults = {"model": "models", "seed": "seeds", "snapshot": "snapshots", "macro": "macros", "test": "tests"}
    read = [path for kind, default in defaults.items() for path in configuration.get(f"{kind}-paths") or [default]]
    for path in (project / str(name) for name in [*read, "analyses", "functions"]):
        if path.resolve() in (folder, *folder.parents):
            raise ProjectError(
                f"dbt reads the files in {path}: {folder} would become a part of the project.",
                remedy="Give another folder with --into, or omit it: the default folder is next to the project.",
            )


def find_profiles(project: Path, name: str, home: Path) -> Path | None:
    """Return the folder of the `profiles.yml` with a profile; None if dbt finds it without help, or there is none.

    Searches the project's folders, its parent, and the folders next to it.
    """
    values = environment_variables()
    named = values.get(variable_name("dbt_profiles_dir")) or values.get("DBT_PROFILES_DIR")
    if named:
        return Path(named).expanduser().resolve()
    if (project / PROFILES).is_file() or _has_profile(home / ".dbt" / PROFILES, name):
        return None
    parent = project.parent
    candidates = [*sorted(project.glob(f"*/{PROFILES}")), parent / PROFILES, *sorted(parent.glob(f"*/{PROFILES}"))]
    return next((path.parent for path in candidates if _has_profile(path, name)), None)


def _has_profile(path: Path, name: str) -> bool:
    try:
        return path.is_file() and name in read_profiles(path)
    except ProfileError:
        return False


def find_time_zone(localtime: Path = Path("/etc/localtime"), timezone: Path = Path("/etc/timezone")) -> str | None:
    """Return the IANA name of this machine's time zone; None if it is unknown.

    The variable `TZ` comes first. Of the files, the first is a link to the zone's file, or a copy of it; Debian writes
    the name into the second.
    """
    variable = environment_variables().get("TZ", "").lstrip(":")
    path = Path(variable or localtime)
    names = [variable, str(path.resolve())] if variable else [str(path.resolve()), _content(timezone)]
    return next((zone for name in names if (zone := _zone(name))), None)


def _zone(name: str) -> str | None:
    """Return the IANA name in a name or in the path of a zone's file; None if there is no such zone."""
    for prefix in ("posix/", "right/"):
        name = name.rpartition("zoneinfo/")[2].removeprefix(prefix)
    short = name.removeprefix("Etc/")
    known = available_timezones() - _PLACEHOLDERS
    return next((one for one in (short, name) if one in known), None)


_PLACEHOLDERS = {"Factory", "localtime"}


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def find_chosen_settings(earlier: Mapping[str, str | None]) -> Mapping[str, str]:
    """Return the settings of the dbt project in the environment, or else in the ``earlier`` `.env`, by variable."""
    values = environment_variables()
    chosen = {name: values.get(name) or earlier.get(name) for name in map(variable_name, _KEPT_SETTINGS)}
    return {name: value for name, value in chosen.items() if value}
