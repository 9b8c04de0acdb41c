"""Processes that execute a run: there dbt is made ready while Dagster and the location are still loading."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.settings import is_dbt_made_ready

if TYPE_CHECKING:
    # Loading it is what is to happen meanwhile.
    from analytics_dagster.assets.build import DbtAssets


def start_dbt() -> None:
    """Start a process that imports dbt, if this one executes a run and the settings allow it.

    It is not known yet which run: where it has no dbt step, that process ends with this one.
    """
    if _is_wanted():
        dbt_worker_pool.start()


def prepare_dbt(dbt_assets: DbtAssets) -> None:
    """Have that process read the project, with the location's own vars: most groups have no others."""
    if _is_wanted():
        variables = dbt_assets.assets.variables
        dbt_worker_pool.expect([dbt_assets.dbt.prepare(dbt_assets.assets.parsed(variables), variables)])


def executes_run(arguments: Sequence[str], *, is_child: bool) -> bool:
    """Return whether a process that loads the location executes a run, by its command line and its parent.

    ``is_child`` says whether Python's multiprocessing has started it. A run is executed by `dagster api execute_run`,
    as in a container, or by a child of the code server, `dagster api grpc`, which has the server's command line.
    """
    command = list(arguments[1:3])
    return command == ["api", "execute_run"] or (command == ["api", "grpc"] and is_child)


def _is_wanted() -> bool:
    return is_dbt_made_ready() and executes_run(sys.argv, is_child=multiprocessing.parent_process() is not None)
