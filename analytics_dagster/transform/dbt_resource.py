"""dagster-dbt's resource, without two things that it does before every build and that a build here has no use for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_dbt import DbtCliResource
from packaging.version import Version


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

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        if not self.with_adapter:
            return None
        adapter = super()._initialize_dbt_core_adapter(args)
        if adapter.type() == "duckdb":
            _only_read(adapter.config.credentials, Path(self.project_dir))
        return adapter


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
