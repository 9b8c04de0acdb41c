"""Finds the dbt project of the settings and reads its `dbt_project.yml` without importing dbt, which is slow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import yaml

from analytics_dagster.errors import ProfileError, ProjectError
from analytics_dagster.redaction import redact
from analytics_dagster.settings import Environment, Settings, environment_variables, variable_name

if TYPE_CHECKING:
    import jinja2

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
    def packages_dir(self) -> Path:
        """The folder of installed dbt packages."""
        return self.directory / str(self.configuration.get("packages-install-path") or "dbt_packages")

    @property
    def needs_packages(self) -> bool:
        """Whether declared packages are not installed, or were declared after the last installation."""
        declared = [self.directory / name for name in ("packages.yml", "dependencies.yml")]
        newest = max((path.stat().st_mtime for path in declared if path.is_file()), default=None)
        if newest is None:
            return False
        return not self.packages_dir.is_dir() or self.packages_dir.stat().st_mtime < newest


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
    artifacts = settings.dbt_target_path or variables.get("DBT_TARGET_PATH")
    profiles_dir = settings.dbt_profiles_dir or variables.get("DBT_PROFILES_DIR")
    return DbtProjectFiles(
        directory=directory,
        configuration=configuration,
        artifacts=(directory / (artifacts or render(path, configuration.get("target-path") or "target"))).resolve(),
        # dbt's own order: `--profiles-dir` or its variable, the current folder (for us the project's), `~/.dbt`.
        # Source: https://docs.getdbt.com/docs/core/connect-data-platform/connection-profiles
        profiles_dirs=(Path(profiles_dir),) if profiles_dir else (directory, Path.home() / ".dbt"),
        profile=settings.dbt_profile or str(configuration.get("profile", "default")),
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


def render(path: Path, value: Any) -> Any:
    """Return a value of a YAML file of dbt with its Jinja rendered; raises `ProfileError` that names the file."""
    if isinstance(value, dict):
        return {key: render(path, item) for key, item in value.items()}
    if isinstance(value, list):
        return [render(path, item) for item in value]
    return _render_text(path, value) if isinstance(value, str) and "{" in value else value


def _render_text(path: Path, text: str) -> Any:
    import jinja2  # many profiles have no Jinja

    expression = _EXPRESSION.match(text)
    try:
        # Like dbt: a text that is one expression keeps the type of its value.
        if expression is None:
            return _jinja().from_string(text).render()
        value = _jinja().compile_expression(expression["inside"], undefined_to_none=False)()
        if isinstance(value, jinja2.Undefined):
            raise jinja2.UndefinedError("the expression has no value")
    except jinja2.TemplateError as error:
        raise ProfileError(f"{path} can't be rendered at {text!r}: {error}", remedy="Correct the expression.") from None
    return value


_EXPRESSION = re.compile(r"^\s*\{\{(?P<inside>(?:(?!\}\}|\{\{).)*)\}\}\s*$", re.DOTALL)


@cache
def _jinja() -> jinja2.Environment:
    import jinja2  # see `_render_text`

    def env_var(name: str, default: str | None = None) -> str:
        value = environment_variables().get(name, default)
        if value is None:
            raise jinja2.UndefinedError(f"the variable {name} is not set")
        return value

    # The output is YAML, not HTML: nothing has to be escaped.
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    jinja.globals["env_var"] = env_var
    # dbt's own filters, which convert a text to another type.
    jinja.filters.update({**dict.fromkeys(("as_number", "as_native", "as_bool"), yaml.safe_load), "as_text": str})
    return jinja
