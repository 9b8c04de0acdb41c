"""What another code location takes of this one: a dbt project's definitions, to be merged into its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from analytics_dagster.location import build_guest, prepare_location
from analytics_dagster.settings import Settings, load_settings


def build_dbt_definitions(
    project_dir: str | Path | None = None,
    *,
    groups_file: str | Path | None = None,
    settings: Settings | None = None,
) -> dg.Definitions:
    """Return a dbt project's assets, checks, jobs, schedules, sensors and resources, for `Definitions.merge`.

    ``project_dir`` (the folder of `dbt_project.yml`) and ``groups_file`` win over ``settings``, and these over the
    environment, which is read for whatever neither says. The jobs of the schedule groups bring the executor that
    waits for the warehouse; all other jobs keep that of the definitions which these are merged into. Nothing else of
    the process is changed.

    The resources are named `dbt` and `warehouse`, and the jobs after the groups: a code location takes one such
    project, a second is a location of its own. Reads what was prepared and opens nothing; `dagster dev` and `dg`
    prepare it first, any other process finds it as `prepare_dbt_definitions` left it. Raises `AnalyticsError`.
    """
    return build_guest(_settings(project_dir, groups_file, settings))


def prepare_dbt_definitions(
    project_dir: str | Path | None = None,
    *,
    groups_file: str | Path | None = None,
    settings: Settings | None = None,
    announce: Callable[[str], None] = print,
) -> bool:
    """Make what `build_dbt_definitions` reads, with the same arguments, where it is missing or stale.

    Returns whether dbt had to parse; ``announce`` is called with a line before it does. Raises `AnalyticsError`. It is
    for the build of an image: `analytics-dagster prepare` does the same with the environment's settings.
    """
    return prepare_location(_settings(project_dir, groups_file, settings), announce)


def _settings(project_dir: str | Path | None, groups_file: str | Path | None, settings: Settings | None) -> Settings:
    named = {"dbt_project_dir": project_dir, "schedule_groups_file": groups_file}
    given = {field: Path(path) for field, path in named.items() if path is not None}
    return (settings or load_settings()).model_copy(update=given)
