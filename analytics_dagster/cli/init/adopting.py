"""Looks at a dbt project, and writes what it needs beside it: nothing in the project itself is changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values, load_dotenv

from analytics_dagster.cli.home import prepare_home
from analytics_dagster.cli.init import contents
from analytics_dagster.cli.init.contents import Site
from analytics_dagster.cli.init.discovery import chosen_settings, find_profiles, find_time_zone
from analytics_dagster.cli.init.managed_files import Outcome, keep
from analytics_dagster.cli.init.proposal import propose
from analytics_dagster.cli.plan.planned_project import PlannedProject, plan_project
from analytics_dagster.errors import ProjectError
from analytics_dagster.project.files import PROJECT, find_project, read_configuration
from analytics_dagster.project.loading import Announce, load_or_placeholder
from analytics_dagster.settings import Settings, load_settings, variable_name


@dataclass(frozen=True)
class Adoption:
    """What was written where, and the plan that it gives."""

    folder: Path
    outcomes: Mapping[str, Outcome]
    planned: PlannedProject


def adopt(project_dir: Path, into: Path | None, announce: Announce) -> Adoption:
    """Write the settings, the schedule groups and the rest into a folder, and plan with them as the next command will.

    The folder is the current one from then on. Raises `AnalyticsError` where there is no dbt project, the folder is
    one that dbt reads, or dbt can't parse it.
    """
    project = project_dir.expanduser().resolve()
    configuration = _configuration(project)
    folder = (into.expanduser() if into else project.with_name(f"{project.name}-dagster")).resolve()
    _require_outside(folder, project, configuration)
    _make(folder)
    chosen = chosen_settings(dotenv_values(folder / contents.ENVIRONMENT))
    profile = chosen.get(variable_name("dbt_profile")) or str(configuration.get("profile", "default"))
    site = Site(folder, project, find_profiles(project, profile, Path.home()), find_time_zone(), chosen)
    outcomes = {contents.ENVIRONMENT: keep(folder / contents.ENVIRONMENT, contents.environment_file(site))}
    settings = _settings(site)
    # Without any selection: which there are is what its tags are to say.
    found, reason = load_or_placeholder(find_project(settings), (), announce)
    proposal = propose(found.manifest)
    adapter = found.target.adapter if reason is None else ""
    for name, body in {
        contents.GROUPS: contents.groups_file(proposal),
        "workspace.yaml": contents.workspace_file(),
        "pyproject.toml": contents.pyproject_file(),
        contents.MODULE: contents.module_file(),
        contents.HELM: contents.helm_file(proposal, site, found.target.name, adapter),
        ".gitignore": contents.gitignore_file(),
    }.items():
        outcomes[name] = keep(folder / name, body)
    prepare_home(settings)
    return Adoption(folder, outcomes, plan_project(settings, lambda _: None))


def _settings(site: Site) -> Settings:
    """Return the settings as every later command in the folder will find them."""
    os.chdir(site.folder)
    load_dotenv(contents.ENVIRONMENT)
    given = {"dbt_project_dir": site.project, "schedule_groups_file": site.folder / contents.GROUPS}
    # `dagster dev`'s own variable would have nothing to say here.
    return load_settings().model_copy(update={**given, "is_dev_cli": False})


def _configuration(project: Path) -> Mapping[str, Any]:
    """Return what `dbt_project.yml` holds; raises `ProjectError` where it is not there, or can't be read."""
    if not (project / PROJECT).is_file():
        below = sorted(str(path.parent) for path in project.glob(f"*/{PROJECT}"))
        meant = f" There is one in {', '.join(below)}." if below else ""
        raise ProjectError(
            f"{project} is no dbt project: it holds no {PROJECT}.{meant}",
            remedy="Name the folder of dbt_project.yml by --dbt-project.",
        )
    try:
        return read_configuration(project / PROJECT)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProjectError(f"{project / PROJECT} can't be read: {error}", remedy="Correct the file.") from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "Name one that this user may write by --into."
        raise ProjectError(f"The folder {folder} can't be made: {error.strerror}.", remedy=remedy) from error


def _require_outside(folder: Path, project: Path, configuration: Mapping[str, Any]) -> None:
    """Raise `ProjectError` where dbt would take what is written for a part of the project."""
    named = {"model": "models", "seed": "seeds", "snapshot": "snapshots", "macro": "macros", "test": "tests"}
    read = [path for kind, default in named.items() for path in configuration.get(f"{kind}-paths") or [default]]
    for path in (project / str(name) for name in [*read, "analyses", "functions"]):
        if path.resolve() in (folder, *folder.parents):
            raise ProjectError(
                f"dbt reads what lies in {path}: {folder} would become a part of the project.",
                remedy="Name another folder by --into; without it, one beside the project is made.",
            )
