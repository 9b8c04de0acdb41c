"""The `dbt` resource of the code location: it invokes dbt, and opens dbt's adapter after a build.

dagster-dbt takes as long to import as Dagster, so it is imported at the first dbt invocation, not at load.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.execution.arguments import variable_arguments
from analytics_dagster.execution.artifacts import RunFolders
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_worker_pool import DbtCommand, WarmUp
from analytics_dagster.settings import DbtArtifacts, DbtRunner, environment_variables
from analytics_dagster.warehouse import Warehouse

if TYPE_CHECKING:
    from dagster_dbt import DbtCliInvocation, DbtCliResource


class DbtResource(dg.ConfigurableResource[None]):
    """How dbt is invoked: by the dbt of this Python's environment, in a worker process that may already be warm."""

    project_dir: str
    profiles_dir: str
    profile: str
    target: str
    runner: str
    """How dbt is called: a value of `DbtRunner`."""
    artifacts: str
    """Of which builds dbt's artifacts are kept: a value of `DbtArtifacts`."""
    artifacts_days: float
    """How many days the artifacts of a failed build are kept."""

    def warm_up(self, location: BuildContext, variables: Mapping[str, Any]) -> WarmUp:
        """Return what a worker can do before it is invoked with these vars."""
        partial_parse = location.partial_parse(variables)
        return WarmUp(
            folder=Path(self.project_dir),
            arguments=(*self._profile_arguments, *variable_arguments(variables)),
            partial_parse=partial_parse,
            environment=self._environment(partial_parse.parent),
        )

    def invoke(
        self,
        arguments: Sequence[str],
        *,
        target_path: Path,
        location: BuildContext,
        variables: Mapping[str, Any],
        warehouse: Warehouse,
    ) -> DbtCliInvocation:
        """Start dbt and return the invocation, as `DbtCliResource.cli` does; ``arguments`` include the vars."""
        from analytics_dagster.dagster_internals.dbt_cli_resource import DBT_VERSION, QuickDbtCliResource
        from analytics_dagster.dagster_internals.lazy_dagster_dbt import DagsterDbtTranslator, DbtCliInvocation
        from analytics_dagster.execution.dbt_supervision import redact_output

        partial_parse = location.partial_parse(variables)
        if partial_parse.exists():
            # dbt then parses only what has changed since.
            shutil.copyfile(partial_parse, target_path / partial_parse.name)
        cli = self._dbt_cli()
        # Only the stock resource makes an adapter for every invocation by itself.
        if self.runner == DbtRunner.PLAIN.value or not isinstance(cli, QuickDbtCliResource):
            invocation = cli.cli(arguments, target_path=target_path)
            redact_output(invocation.process)
            return invocation
        complete = [*arguments, *self._profile_arguments]
        process = dbt_worker_pool.run(
            DbtCommand(
                arguments=tuple(complete),
                environment=self._environment(target_path),
                warm_up=self.warm_up(location, variables),
                # Only then is the worker's early parse used.
                unchanged=location.project.is_current(),
                live_row_counts=can_count_live(warehouse),
            )
        )
        # dagster-dbt quotes them in errors: there the dbt command is meant, not the worker's.
        process.args = [dbt_executable(), *complete]
        redact_output(process)
        return DbtCliInvocation(
            process=process,
            manifest={},
            dagster_dbt_translator=DagsterDbtTranslator(),
            project_dir=Path(self.project_dir),
            target_path=target_path,
            raise_on_error=True,
            cli_version=DBT_VERSION,
        )

    def run_folders(self, location: BuildContext, run_id: str, step: str) -> RunFolders:
        """Return the artifact folders of a step of a run."""
        all_kept = self.artifacts == DbtArtifacts.ALL.value
        return RunFolders(location.project.artifacts, run_id, step, days=self.artifacts_days, all_kept=all_kept)

    def open_adapter(self, invocation: DbtCliInvocation) -> AbstractContextManager[Any]:
        """Open dbt's adapter after an invocation has ended; yields None if there is no adapter."""
        from analytics_dagster.dagster_internals.dbt_cli_resource import open_adapter

        return open_adapter(self._dbt_cli(), invocation)

    def _dbt_cli(self) -> DbtCliResource:
        from analytics_dagster.dagster_internals.dbt_cli_resource import make_dbt_cli

        return make_dbt_cli(
            project_dir=self.project_dir,
            profiles_dir=self.profiles_dir,
            profile=self.profile,
            target=self.target,
            dbt_executable=dbt_executable(),
        )

    @property
    def _profile_arguments(self) -> list[str]:
        return [
            *(["--profile", self.profile] if self.profile else []),
            *(["--target", self.target] if self.target else []),
        ]

    def _environment(self, target_path: Path) -> dict[str, str]:
        """Return the environment that dagster-dbt gives to dbt; a test compares the two."""
        variables = environment_variables()
        return {
            "PYTHONLEGACYWINDOWSSTDIO": "1",
            **variables,
            "DAGSTER_DBT_CLI": "true",
            "PYTHONUNBUFFERED": "1",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_LOG_FORMAT": "json",
            # People read dbt.log: it is text, as after a dbt command in a terminal.
            "DBT_LOG_FORMAT_FILE": variables.get("DBT_LOG_FORMAT_FILE", "debug"),
            "DBT_TARGET_PATH": os.fspath(target_path),
            "DBT_LOG_PATH": os.fspath(target_path),
            **({"DBT_PROFILES_DIR": self.profiles_dir} if self.profiles_dir else {}),
            "DBT_PROJECT_DIR": os.fspath(self.project_dir),
        }


def dbt_executable() -> str:
    """Return the dbt of this Python's environment, which need not be on the PATH."""
    beside = Path(sys.executable).with_name("dbt")
    return str(beside) if beside.exists() else "dbt"


def can_count_live(warehouse: Warehouse) -> bool:
    """Return whether rows can be counted during a build: DuckDB without a file (DuckLake) takes one query at a time."""
    return warehouse.adapter != "duckdb" or bool(warehouse.path)
