"""Prepares and loads a dbt project: dbt parses it if its manifest is missing or stale, then the manifest is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from analytics_dagster.errors import ProfileError, ProjectError
from analytics_dagster.project import parse
from analytics_dagster.project.extensions import ensure_target_extensions
from analytics_dagster.project.files import DbtProjectFiles
from analytics_dagster.project.fingerprint import read_inputs, read_record, write_record
from analytics_dagster.project.manifest import MANIFEST, read_manifest
from analytics_dagster.project.parse import DBT_FOLDER_VARIABLES, ParseRequest, Selection
from analytics_dagster.project.placeholder_profile import write_placeholder
from analytics_dagster.project.profile import Target, load_target

if TYPE_CHECKING:
    from analytics_dagster.dagster_internals.lazy_dagster_dbt import DbtProject

PREPARE = "analytics-dagster prepare"
"""The command that makes a missing or stale manifest."""

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Project:
    """A dbt project with its manifest, and the nodes that each selection names (dbt unique ids)."""

    files: DbtProjectFiles
    target: Target
    selected: Mapping[Selection, frozenset[str]] = field(repr=False)
    is_current: Callable[[], bool] = field(default=lambda: False, repr=False, compare=False)
    """Returns whether dbt would still parse the manifest's inputs, whatever folder it writes to."""

    @property
    def name(self) -> str:
        """The name of the project."""
        return self.files.name

    @property
    def directory(self) -> Path:
        """The absolute folder of `dbt_project.yml`."""
        return self.files.directory

    @property
    def artifacts(self) -> Path:
        """The absolute folder of the manifest and of each run's artifacts."""
        return self.files.artifacts

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest; raises `ProjectError` if it can't be read. A load from the cache does not need it."""
        return read_manifest(self.artifacts / MANIFEST, remedy=f"Run `{PREPARE}`.")

    @cached_property
    def dbt(self) -> DbtProject:
        """The project as dagster-dbt represents it; dagster-dbt is slow to import."""
        from analytics_dagster.dagster_internals.lazy_dagster_dbt import DbtProject

        return DbtProject(
            self.directory,
            target_path=self.artifacts,
            profiles_dir=self.target.profiles_dir,
            profile=self.target.profile,
            target=self.target.name,
        )


def prepare_manifest(
    files: DbtProjectFiles, target: Target, selections: Sequence[Selection], announce: Announce
) -> bool:
    """Let dbt parse the project if its manifest is missing or stale; return whether it had to.

    ``announce`` is called with a line before dbt starts. Raises `ProjectError` with dbt's own message.
    """
    files.artifacts.mkdir(parents=True, exist_ok=True)
    # `dagster dev` loads the location in several processes at once: one of them prepares, the others wait for it.
    with FileLock(files.artifacts / ".preparing.lock"):
        ensure_target_extensions(target)
        reason = _stale(files, target, selections)
        if reason is None:
            return False
        announce(f"Preparing the dbt project {files.directory} ({reason})")
        before = read_inputs(files, target)
        request = ParseRequest.of(files, target, selections, install_packages=files.needs_packages(target.properties))
        try:
            selected = parse.parse(request)
        except parse.DbtFailedError as failure:
            output = target.redact(failure.output).strip()
            raise ProjectError(
                f"`{failure.command}` failed in {files.directory}:\n{output}", remedy=failure.remedy
            ) from None
        # Read again after the parse, which may have installed packages.
        inputs = read_inputs(files, target).without_changes_since(before)
        write_record(files.artifacts, inputs, selections, selected)
        return True


def load_project(files: DbtProjectFiles, target: Target, selections: Sequence[Selection]) -> Project:
    """Return the project with its prepared manifest; never runs dbt and never opens the warehouse.

    Raises `ProjectError` if the manifest is missing or stale.
    """
    manifest = files.artifacts / MANIFEST
    record = read_record(files.artifacts)
    if record is None:
        difference: str | None = "it has no record of its inputs"
    else:
        difference = record.difference(read_inputs(files, target), selections)
    if record is None or difference:
        if not manifest.exists():
            raise ProjectError(f"There is no manifest at {manifest}.", remedy=f"Run `{PREPARE}`.")
        raise ProjectError(
            f"The manifest {manifest} is stale: {difference}.",
            remedy=f"Run `{PREPARE}`; `dagster dev` and `dg` do so themselves.",
        )
    return Project(
        files=files,
        target=target,
        selected={selection: record.selected_by(selection) for selection in selections},
        is_current=lambda: (
            record.difference(read_inputs(files, target), selections) is None
            and not DBT_FOLDER_VARIABLES & {*record.variables}
        ),
    )


def load_or_placeholder(
    files: DbtProjectFiles, selections: Sequence[Selection], announce: Announce
) -> tuple[Project, ProfileError | None]:
    """Prepare and load the project, with a placeholder if its profile can't be used; return also why it can't.

    What dbt writes with the placeholder has a folder of its own. Raises `ProjectError` with dbt's own message.
    """
    reason: ProfileError | None = None
    try:
        target = load_target(files)
    except ProfileError as error:
        (files, target), reason = write_placeholder(files), error
    prepare_manifest(files, target, selections, announce)
    return load_project(files, target, selections), reason


def _stale(files: DbtProjectFiles, target: Target, selections: Sequence[Selection]) -> str | None:
    """Return why the manifest has to be made, or None if it is up to date."""
    manifest = files.artifacts / MANIFEST
    if not manifest.exists():
        return "no manifest yet"
    record = read_record(files.artifacts)
    # A manifest that another dbt command wrote later is also usable if it can be read.
    if record is None or not record.is_of(manifest):
        try:
            read_manifest(manifest, remedy="")
        except ProjectError as error:
            return error.problem
    return "no record of its inputs" if record is None else record.difference(read_inputs(files, target), selections)
