"""dagster-dbt's resource, without what it does before a build that has no use for it; and with dbt made ready."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

# As dagster-dbt's own resource does; `contextlib.chdir` is of Python 3.11.
from dagster._utils import pushd
from packaging.version import Version

from analytics_dagster.dagster_internals.lazy_dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtCliResource
from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.execution.dbt_worker_pool import Call, Preparation, RowCounts
from analytics_dagster.settings import DbtArtifacts, DbtRunner, environment_variables
from analytics_dagster.warehouse import Warehouse


class DbtResource(DbtCliResource):
    """Runs the dbt of this Python's environment.

    Overrides two private members of dagster-dbt, since nothing public turns off what they do (measured: a third of
    the CPU time of a small build): the first starts dbt only to ask for its version; the second imports dbt and
    loads all macros into Dagster's process, for an adapter that `execution` uses for row counts and the look at what
    is missing alone. Without them dbt is called with the same arguments and environment; a test fails when dagster-dbt
    no longer uses the names.
    """

    with_adapter: bool
    """Whether the warehouse is asked through dbt's adapter, because it is not one that Python opens itself."""

    runner: str = DbtRunner.WARM.value
    """How dbt is called: a value of `DbtRunner`."""

    row_counts: str = RowCounts.AT_THE_END.value
    """When dbt's own process counts rows, if it is one that is made ready: a value of `RowCounts`."""

    artifacts: str = DbtArtifacts.FAILED.value
    """Of which builds dbt's artifacts are kept: a value of `DbtArtifacts`."""

    artifacts_days: float = 7.0
    """How many days they are kept."""

    def prepare(self, parsed: Path, variables: Mapping[str, Any]) -> Preparation:
        """Return what dbt can do before it is called with these vars; ``parsed`` is what it parsed before."""
        return Preparation(
            folder=Path(self.project_dir),
            arguments=self._parse_arguments(variables),
            parsed=parsed,
            environment=self._environment(parsed.parent),
        )

    def call(
        self,
        arguments: Sequence[str],
        *,
        target_path: Path,
        variables: Mapping[str, Any],
        is_current: Callable[[], bool],
    ) -> DbtCliInvocation:
        """Call dbt as `cli` does, in a process that was made ready if there is one.

        ``arguments`` include the vars; ``is_current`` says whether all that dbt would parse is as it was when the
        location was loaded.
        """
        if self.runner == DbtRunner.PLAIN.value:
            return self.cli(arguments, target_path=target_path)
        complete = [*self.global_config_flags, *arguments, *self._profile_arguments]
        process = dbt_worker_pool.run(
            Call(
                arguments=tuple(complete),
                folder=Path(self.project_dir),
                environment=self._environment(target_path),
                parse=self._parse_arguments(variables),
                unchanged=is_current(),
                row_counts=RowCounts(self.row_counts),
            )
        )
        # What is told of it: how it was started is of no interest.
        process.args = [self.dbt_executable, *complete]
        return DbtCliInvocation(
            process=process,
            manifest={},
            dagster_dbt_translator=DagsterDbtTranslator(),
            project_dir=Path(self.project_dir),
            target_path=target_path,
            raise_on_error=True,
            cli_version=self._cli_version,
        )

    def adapter_of(self, invocation: DbtCliInvocation) -> Any:
        """Return dbt's adapter, of which `call` makes none before one is wanted; None where none is needed."""
        if invocation.adapter is not None:
            return invocation.adapter
        arguments = cast("Sequence[str]", invocation.process.args)[1:]
        with pushd(str(self.project_dir)):
            return self._initialize_dbt_core_adapter(arguments)

    @property
    def _profile_arguments(self) -> list[str]:
        return [
            *(["--profile", self.profile] if self.profile else []),
            *(["--target", self.target] if self.target else []),
        ]

    def _parse_arguments(self, variables: Mapping[str, Any]) -> tuple[str, ...]:
        told = ["--vars", json.dumps(dict(variables), sort_keys=True)] if variables else []
        return (*self._profile_arguments, *told)

    def _environment(self, target_path: Path) -> dict[str, str]:
        """Return the environment that dagster-dbt gives to dbt; a test compares the two."""
        return {
            "PYTHONLEGACYWINDOWSSTDIO": "1",
            **environment_variables(),
            "DAGSTER_DBT_CLI": "true",
            "PYTHONUNBUFFERED": "1",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_LOG_FORMAT": "json",
            # What people read is text, as it is where dbt is called by hand.
            "DBT_LOG_FORMAT_FILE": environment_variables().get("DBT_LOG_FORMAT_FILE", "debug"),
            "DBT_TARGET_PATH": os.fspath(target_path),
            "DBT_LOG_PATH": os.fspath(target_path),
            **({"DBT_PROFILES_DIR": self.profiles_dir} if self.profiles_dir else {}),
            "DBT_PROJECT_DIR": os.fspath(self.project_dir),
        }

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        if not self.with_adapter:
            return None
        _tell_of_dbt(self._cli_version)
        adapter = super()._initialize_dbt_core_adapter(args)
        if adapter.type() == "duckdb":
            _only_read(adapter.config.credentials, Path(self.project_dir))
        return adapter


def _tell_of_dbt(found: Version) -> None:
    """Correct what dagster-dbt knows of dbt: it was imported without. A test fails when the name is gone."""
    from dagster_dbt.core import resource  # of interest here alone

    if vars(resource)["DBT_PYTHON_VERSION"] is None:
        vars(resource)["DBT_PYTHON_VERSION"] = found


@contextmanager
def opened(adapter: Any) -> Iterator[None]:
    """Use an adapter's connection, and close it for good."""
    try:
        with adapter.connection_named("analytics_dagster"):
            yield
    finally:
        adapter.cleanup_connections()
        if adapter.type() == "duckdb":
            # It would keep a database in memory open, and with it all that is attached to it.
            adapter.connections.close_all_connections()


def _only_read(credentials: Any, project_dir: Path) -> None:
    """Correct what dagster-dbt makes of DuckDB without a file of its own, such as DuckLake: it takes it for a file.

    A database in memory is opened for writing, there being nothing in it, and what is attached to it for reading.
    """
    path = credentials.path.removeprefix(f"{project_dir.absolute()}/")
    if ":" not in path:
        return
    credentials.path = path
    if path == ":memory:":
        credentials.config_options.pop("access_mode")
    for attachment in credentials.attach or []:
        attachment.read_only = True
        attachment.options = {key: value for key, value in (attachment.options or {}).items() if key != "read_only"}
        if ":" not in attachment.path:
            attachment.path = str(project_dir / attachment.path)


def dbt_executable() -> str:
    """Return the dbt of this Python's environment, which need not be on the PATH."""
    beside = Path(sys.executable).with_name("dbt")
    return str(beside) if beside.exists() else "dbt"


def when_to_count(warehouse: Warehouse) -> RowCounts:
    """Return when rows are counted: DuckDB without a file of its own, such as DuckLake, takes one query at a time."""
    return RowCounts.AT_THE_END if warehouse.adapter == "duckdb" and not warehouse.path else RowCounts.LIVE
