"""The flows of prefect-dbt's documentation, one for each way to run a dbt build.

Run by the peers' own Python: ``python prefect_flows.py operation|runner|waves PROJECT SELECTION``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from prefect import flow  # type: ignore[import-not-found] # installed in a separate environment


def _operation(project: Path, selection: str) -> None:
    from prefect_dbt import DbtCoreOperation  # type: ignore[import-not-found]

    command = f"dbt build --select {selection}"
    DbtCoreOperation(commands=[command], project_dir=project, profiles_dir=project).run()


def _runner(project: Path, selection: str) -> None:
    from prefect_dbt import PrefectDbtRunner, PrefectDbtSettings

    settings = PrefectDbtSettings(project_dir=project, profiles_dir=project)
    PrefectDbtRunner(settings=settings).invoke(["build", "--select", selection])


def _waves(project: Path, selection: str) -> None:
    from prefect_dbt import PrefectDbtSettings
    from prefect_dbt.core._orchestrator import PrefectDbtOrchestrator  # type: ignore[import-not-found]

    settings = PrefectDbtSettings(project_dir=project, profiles_dir=project)
    PrefectDbtOrchestrator(settings=settings).run_build(select=selection)


WAYS: Mapping[str, Callable[[Path, str], None]] = {"operation": _operation, "runner": _runner, "waves": _waves}

if __name__ == "__main__":
    way, project, selection = sys.argv[1:]
    flow(name=way, log_prints=True)(lambda: WAYS[way](Path(project), selection))()
