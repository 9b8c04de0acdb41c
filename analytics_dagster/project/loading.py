"""The dbt project: find it, prepare it where that is allowed, and load its manifest, once."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import yaml
from filelock import FileLock

from analytics_dagster.errors import ProfileError, ProjectError
from analytics_dagster.project import parse
from analytics_dagster.project.extensions import ensure_target_extensions
from analytics_dagster.project.fingerprint import Inputs, read_configuration, read_inputs, read_record, write_record
from analytics_dagster.project.manifest import MANIFEST, LazyManifest, read_manifest
from analytics_dagster.project.parse import DBT_FOLDER_VARIABLES, Selection
from analytics_dagster.project.placeholder_profile import FOLDER, make_stand_in
from analytics_dagster.project.profile import Target, load_target, render
from analytics_dagster.settings import Settings, environment_variables, variable_name

if TYPE_CHECKING:
    from analytics_dagster.dagster_internals.lazy_dagster_dbt import DbtProject

PREPARE = "analytics-dagster prepare"
"""The command that makes a missing or stale manifest."""

PROJECT = "dbt_project.yml"
"""The name of the file that makes a folder a dbt project."""

SHOP_VARIABLE = "analytics_dagster_shop"
"""The var of the bundled `dbt_project.yml` that asks for the shop's Python assets."""

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Project:
    """A dbt project with its manifest, and what each selection that was asked for names (dbt unique ids).

    ``directory`` is the absolute folder of `dbt_project.yml`, ``artifacts`` that of the manifest and of each run's
    artifacts. The manifest is read when something is looked up in it.
    """

    name: str
    directory: Path
    artifacts: Path
    target: Target
    manifest: Mapping[str, Any] = field(repr=False)
    selected: Mapping[Selection, frozenset[str]] = field(repr=False)
    is_shop: bool = False
    """Whether this is the bundled shop, or a copy of it: `dbt_project.yml` says so by a var."""
    is_current: Callable[[], bool] = field(default=lambda: False, repr=False, compare=False)
    """Says whether dbt, if it parsed now, would find all as it was for the manifest, whatever folder it writes to."""

    @cached_property
    def dbt(self) -> DbtProject:
        """The project as dagster-dbt has it, which takes long to import."""
        from analytics_dagster.dagster_internals.lazy_dagster_dbt import DbtProject

        return DbtProject(
            self.directory,
            target_path=self.artifacts,
            profiles_dir=self.target.profiles_dir,
            profile=self.target.profile,
            target=self.target.name,
        )


def load_project(settings: Settings, selections: Sequence[Selection]) -> Project:
    """Load the project's manifest; `dagster dev` and `dg` make a missing or stale one first.

    Never runs dbt in any other process, and never opens the warehouse. Raises `ProjectError`.
    """
    location = _locate(settings)
    if settings.is_dev_cli:
        _prepare(location, selections, _to_stderr)
    return _load(location, selections)


def load_or_stand_in(
    settings: Settings, selections: Sequence[Selection], announce: Announce
) -> tuple[Project, ProfileError | None]:
    """Prepare the project and load it, by a stand-in for its profile where that can't be used here; return also why.

    What it makes by a stand-in lies in a folder of its own. Raises `ProjectError` with what dbt said.
    """
    reason: ProfileError | None = None
    try:
        location = _locate(settings)
    except ProfileError as error:
        location, reason = _locate_with_stand_in(settings), error
    _prepare(location, selections, announce)
    return _load(location, selections), reason


def _load(location: _Location, selections: Sequence[Selection]) -> Project:
    record = read_record(location.artifacts)
    difference = "it was not made for this location" if record is None else None
    if record is not None:
        difference = record.difference(location.inputs(), selections)
    manifest = location.artifacts / MANIFEST
    if record is None or difference:
        if not manifest.exists():
            raise ProjectError(f"There is no manifest at {manifest}.", remedy=f"Run `{PREPARE}`.")
        raise ProjectError(
            f"The manifest {manifest} is stale: {difference}.",
            remedy=f"Run `{PREPARE}`; `dagster dev` and `dg` do so by themselves.",
        )
    return Project(
        name=str(location.configuration.get("name", "")),
        is_shop=_is_shop(location.configuration),
        directory=location.directory,
        artifacts=location.artifacts,
        target=location.target,
        manifest=LazyManifest(manifest, remedy=f"Run `{PREPARE}`."),
        selected=dict(zip(record.selections, record.selected, strict=True)),
        is_current=lambda: (
            record.difference(location.inputs(), selections) is None and not DBT_FOLDER_VARIABLES & {*record.variables}
        ),
    )


def prepare_project(settings: Settings, selections: Sequence[Selection], announce: Announce) -> bool:
    """Make the manifest if it is missing or stale; return whether it had to be made.

    ``announce`` is called with a line before the work starts. Raises `ProjectError` with what dbt said.
    """
    return _prepare(_locate(settings), selections, announce)


def find_target(settings: Settings) -> Target:
    """Return the target that dbt builds in, without the manifest; raises `ProjectError`."""
    return _locate(settings).target


def _is_shop(configuration: Mapping[str, Any]) -> bool:
    variables = configuration.get("vars")
    return isinstance(variables, dict) and variables.get(SHOP_VARIABLE) is True


@dataclass(frozen=True)
class _Location:
    directory: Path
    artifacts: Path
    configuration: Mapping[str, Any]
    target: Target
    variables: str

    def inputs(self) -> Inputs:
        return read_inputs(self.directory, self.configuration, self.target, self.artifacts, self.variables)

    @property
    def needs_packages(self) -> bool:
        """Whether packages are declared that are not installed, or were declared since they were."""
        declared = [self.directory / name for name in ("packages.yml", "dependencies.yml")]
        installed = self.directory / self.configuration.get("packages-install-path", "dbt_packages")
        newest = max((path.stat().st_mtime for path in declared if path.is_file()), default=None)
        if newest is None:
            return False
        return not installed.is_dir() or installed.stat().st_mtime < newest


def _locate(settings: Settings) -> _Location:
    directory, configuration = _configuration(settings)
    target = load_target(settings, _profile_name(configuration))
    _require_adapter(target)
    artifacts = _artifacts(settings, directory, configuration)
    return _Location(directory, artifacts, configuration, target, _variables(settings))


def _locate_with_stand_in(settings: Settings) -> _Location:
    directory, configuration = _configuration(settings)
    artifacts = _artifacts(settings, directory, configuration) / FOLDER
    target = make_stand_in(settings, _profile_name(configuration), artifacts)
    return _Location(directory, artifacts, configuration, target, _variables(settings))


def _artifacts(settings: Settings, directory: Path, configuration: Mapping[str, Any]) -> Path:
    path = settings.dbt_target_path or environment_variables().get("DBT_TARGET_PATH")
    if not path:
        path = render(directory / PROJECT, configuration.get("target-path") or "target")
    return (directory / path).resolve()


def _profile_name(configuration: Mapping[str, Any]) -> str:
    return str(configuration.get("profile", "default"))


def _variables(settings: Settings) -> str:
    return orjson.dumps(settings.dbt_vars, option=orjson.OPT_SORT_KEYS).decode()


def _configuration(settings: Settings) -> tuple[Path, Mapping[str, Any]]:
    directory = settings.project_dir
    path = directory / PROJECT
    if not path.is_file():
        raise ProjectError(
            f"{directory} is no dbt project: it holds no {PROJECT}.",
            remedy=f"Name the folder of your dbt project by {variable_name('dbt_project_dir')}.",
        )
    try:
        return directory, read_configuration(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProjectError(f"{path} can't be read: {error}", remedy="Correct the file.") from error


def _require_adapter(target: Target) -> None:
    if not target.adapter:
        raise ProfileError(
            f"The target {target.name!r} of the profile {target.profile!r} in {target.profiles_dir} has no type.",
            remedy="Give it one: `type: duckdb`, or whatever its warehouse is.",
        )
    if not _is_installed(target.adapter):
        raise ProfileError(
            f"The target {target.name!r} of the profile {target.profile!r} is of type {target.adapter!r}, "
            "whose dbt adapter is not installed.",
            remedy=f"Install it: pip install dbt-{target.adapter}",
        )


def _is_installed(adapter: str) -> bool:
    # To find `dbt.adapters.…` Python imports what is above it, and with that dbt; so the folders are looked at first.
    folders = (Path(folder, "dbt", "adapters", adapter) for folder in sys.path)
    return any(folder.is_dir() for folder in folders) or importlib.util.find_spec(f"dbt.adapters.{adapter}") is not None


def _prepare(location: _Location, selections: Sequence[Selection], announce: Announce) -> bool:
    location.artifacts.mkdir(parents=True, exist_ok=True)
    # `dagster dev` loads the location in several processes at once: one of them prepares, the others wait for it.
    with FileLock(location.artifacts / ".preparing.lock"):
        ensure_target_extensions(location.target)
        reason = _stale(location, selections)
        if reason is None:
            return False
        announce(f"Preparing the dbt project {location.directory} ({reason})")
        before = location.inputs()
        try:
            selected = parse.parse(
                parse.Request(
                    project_dir=str(location.directory),
                    profiles_dir=str(location.target.profiles_dir),
                    profile=location.target.profile,
                    target=location.target.name,
                    target_path=str(location.artifacts),
                    install_packages=location.needs_packages,
                    variables=location.variables,
                    selections=tuple(selections),
                )
            )
        except parse.DbtFailedError as failure:
            said = location.target.redact(failure.output).strip()
            raise ProjectError(
                f"`{failure.command}` failed in {location.directory}:\n{said}",
                remedy=failure.remedy,
            ) from None
        # Looked at again after the parse, which may have installed packages.
        write_record(location.artifacts, location.inputs().known_since(before), selections, selected)
        return True


def _stale(location: _Location, selections: Sequence[Selection]) -> str | None:
    manifest = location.artifacts / MANIFEST
    if not manifest.exists():
        return "no manifest yet"
    record = read_record(location.artifacts)
    # One that somebody else has made since, by calling dbt, is as good if it can be read.
    if record is None or not record.is_of(manifest):
        try:
            read_manifest(manifest, remedy="")
        except ProjectError as error:
            return error.problem
    return (
        "no record of how its manifest was made" if record is None else record.difference(location.inputs(), selections)
    )


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - before any logger is set up
