"""Warms up dbt in a process that executes a run, while Dagster and the code location are still loading."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.settings import uses_warm_dbt

if TYPE_CHECKING:
    # dbt must start before this import.
    from analytics_dagster.assets.build import DbtAssets


def start_dbt() -> None:
    """Start a dbt worker if this process executes a run and the settings allow it.

    If the run has no dbt step, the worker ends with this process.
    """
    if _uses_worker():
        dbt_worker_pool.start()


def warm_up_dbt(dbt_assets: DbtAssets) -> None:
    """Let the worker parse the project with the vars of the location, which most groups use."""
    if _uses_worker():
        location = dbt_assets.build_context()
        dbt_worker_pool.preload([dbt_assets.dbt.warm_up(location, location.variables)])


def executes_run(arguments: Sequence[str], *, is_child: bool) -> bool:
    """Return whether a process with this command line executes a run.

    ``is_child`` says whether Python's multiprocessing has started it. A run is executed by `dagster api execute_run`,
    for example in a container, or by a child of the code server (`dagster api grpc`) with the server's command line.
    """
    command = list(arguments[1:3])
    return command == ["api", "execute_run"] or (command == ["api", "grpc"] and is_child)


def _uses_worker() -> bool:
    return uses_warm_dbt() and executes_run(sys.argv, is_child=multiprocessing.parent_process() is not None)
