"""Finds the dbt project of the settings and reads its `dbt_project.yml` without importing dbt, which is slow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import yaml

from analytics_dagster.errors import ProjectError
from analytics_dagster.project.jinja import YamlRenderer
from analytics_dagster.redaction import redact
from analytics_dagster.settings import Environment, Settings, environment_variables, variable_name

PROJECT = "dbt_project.yml"
"""The name of the file that makes a folder a dbt project."""

SHOP_VARIABLE = "analytics_dagster_shop"
"""The var of the bundled `dbt_project.yml` that enables the shop's Python assets."""


@dataclass(frozen=True)
class DbtProjectFiles:
    """A dbt project on disk, and what the settings say about it.

    ``directory`` is the absolute folder of `dbt_project.yml`, ``configuration`` the content of that file, and
    ``artifacts`` the absolute folder of the manifest and of each run's artifacts. ``profiles_dirs`` are the folders in
    which `profiles.yml` is looked for, in order. ``target`` is None for the profile's default target, which only the
    environment `dev` uses. ``variables`` are the location's dbt vars as a JSON object.
    """

    directory: Path
    configuration: Mapping[str, Any] = field(repr=False)
    artifacts: Path
    profiles_dirs: tuple[Path, ...]
    profile: str
    target: str | None
    environment: Environment
    variables: str

    @property
    def name(self) -> str:
        """The name of the project."""
        return str(self.configuration.get("name", ""))

    @property
    def is_shop(self) -> bool:
        """Whether this is the bundled shop, or a copy of it: `dbt_project.yml` has a var that says so."""
        variables = self.configuration.get("vars")
        return isinstance(variables, dict) and variables.get(SHOP_VARIABLE) is True

    @property
    def vars(self) -> Mapping[str, Any]:
        """The location's dbt vars."""
        variables: Mapping[str, Any] = orjson.loads(self.variables)
        return variables

    def rendered(self, key: str, target: Mapping[str, Any]) -> Any:
        """Return a value of `dbt_project.yml` with its Jinja rendered; ``target`` has the properties of the target.

        Raises `ProjectError` if it can't be rendered.
        """
        return YamlRenderer(self.directory / PROJECT, self.vars, target, ProjectError).render(
            self.configuration.get(key), key
        )

    def packages_dir(self, target: Mapping[str, Any]) -> Path:
        """Return the folder of installed dbt packages."""
        return self.directory / str(self.rendered("packages-install-path", target) or "dbt_packages")

    def needs_packages(self, target: Mapping[str, Any]) -> bool:
        """Return whether declared packages are not installed, or were declared after the last installation."""
        declared = [self.directory / name for name in ("packages.yml", "dependencies.yml")]
        newest = max((path.stat().st_mtime for path in declared if path.is_file()), default=None)
        if newest is None:
            return False
        installed = self.packages_dir(target)
        return not installed.is_dir() or installed.stat().st_mtime < newest


def find_project(settings: Settings) -> DbtProjectFiles:
    """Return the dbt project that the settings name; reads `dbt_project.yml` alone. Raises `ProjectError`."""
    directory = settings.project_dir
    path = directory / PROJECT
    if not path.is_file():
        raise ProjectError(
            f"{directory} is not a dbt project: it has no {PROJECT}.",
            remedy=f"Set {variable_name('dbt_project_dir')} to the folder of your dbt project.",
        )
    configuration = read_configuration(path)
    variables = environment_variables()
    renderer = YamlRenderer(
        path,
        settings.dbt_vars,
        error=ProjectError,
        remedy="Correct the expression: `target` is not known here. Instead of it set "
        f"{variable_name('dbt_profile')} or {variable_name('dbt_target_path')}.",
    )
    artifacts = settings.dbt_target_path or variables.get("DBT_TARGET_PATH")
    profiles_dir = settings.dbt_profiles_dir or variables.get("DBT_PROFILES_DIR")
    return DbtProjectFiles(
        directory=directory,
        configuration=configuration,
        artifacts=(directory / (artifacts or renderer.render(configuration.get("target-path")) or "target")).resolve(),
        # dbt's own order: `--profiles-dir` or its variable, the current folder (for us the project's), `~/.dbt`.
        # Source: https://docs.getdbt.com/docs/core/connect-data-platform/connection-profiles
        profiles_dirs=(Path(profiles_dir),) if profiles_dir else (directory, Path.home() / ".dbt"),
        profile=settings.dbt_profile or str(renderer.render(configuration.get("profile", "default"))),
        target=settings.target_name,
        environment=settings.environment,
        variables=orjson.dumps(settings.dbt_vars, option=orjson.OPT_SORT_KEYS).decode(),
    )


def read_configuration(path: Path) -> Mapping[str, Any]:
    """Return the content of `dbt_project.yml`; raises `ProjectError` if it can't be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProjectError(f"{path} can't be read: {redact(str(error))}", remedy="Correct the file.") from error
    return content if isinstance(content, dict) else {}
