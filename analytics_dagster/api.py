"""The definitions of a dbt project, for another code location to merge into its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from analytics_dagster.location import build_mergeable_definitions, prepare_location
from analytics_dagster.settings import Settings, load_settings


def build_dbt_definitions(
    project_dir: str | Path | None = None,
    *,
    groups_file: str | Path | None = None,
    settings: Settings | None = None,
) -> dg.Definitions:
    """Return a dbt project's assets, checks, jobs, schedules, sensors and resources, for `Definitions.merge`.

    ``project_dir`` (the folder of `dbt_project.yml`) and ``groups_file`` take precedence over ``settings``. Without
    ``settings``, the environment is read. Only the jobs of the schedule groups have the executor that waits for the
    warehouse; all other jobs keep the executor of the definitions that these are merged into. Nothing else in the
    process is changed.

    The resources are named `dbt` and `warehouse`, and the jobs like the groups, so a code location can hold one such
    project; a second project needs its own location. Reads the prepared project and opens
    nothing. `dagster dev` and `dg` prepare it first; for other processes call `prepare_dbt_definitions` before. Raises
    `AnalyticsError`.
    """
    return build_mergeable_definitions(_settings(project_dir, groups_file, settings))


def prepare_dbt_definitions(
    project_dir: str | Path | None = None,
    *,
    groups_file: str | Path | None = None,
    settings: Settings | None = None,
    announce: Callable[[str], None] = print,
) -> bool:
    """Prepare what `build_dbt_definitions` reads, with the same arguments, if it is missing or stale.

    Returns whether dbt had to parse; ``announce`` is called with a line before it does. Raises `AnalyticsError`. Call
    it when an image is built: `analytics-dagster prepare` does the same with the settings of the environment.
    """
    return prepare_location(_settings(project_dir, groups_file, settings), announce, is_shared=True)


def _settings(project_dir: str | Path | None, groups_file: str | Path | None, settings: Settings | None) -> Settings:
    arguments = {"dbt_project_dir": project_dir, "schedule_groups_file": groups_file}
    update = {field: Path(path) for field, path in arguments.items() if path is not None}
    return (settings or load_settings()).model_copy(update=update)
