"""Dagster's instance as a command finds it, and in which state it leaves it to others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape

from analytics_dagster.cli.terminal import say

if TYPE_CHECKING:
    import dagster as dg

    from analytics_dagster.settings import Settings


@contextmanager
def opened_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the instance of Dagster's home, which is made where it is missing."""
    import dagster as dg  # takes seconds to import

    from analytics_dagster.cli.home import prepare_home

    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        yield instance


def reset_stale_state(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Fail the runs whose process was killed, and set how many runs may use the warehouse at once."""
    from analytics_dagster.cli.home import set_pool_limit  # imports Dagster
    from analytics_dagster.execution.dead_runs import fail_dead_runs
    from analytics_dagster.project.files import find_project
    from analytics_dagster.project.profile import load_target
    from analytics_dagster.warehouse import count_writers

    for run in fail_dead_runs(instance):
        say(f"[yellow]Run {run.run_id} of {run.job} was marked as failed[/]: {escape(run.reason)}")
    writers = count_writers(settings, load_target(find_project(settings)))
    set_pool_limit(instance, writers, replace=settings.warehouse_writers is not None)
