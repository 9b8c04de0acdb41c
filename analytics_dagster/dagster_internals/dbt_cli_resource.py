"""Makes dagster-dbt's `DbtCliResource` without the preparations that our builds do not need.

Reason: `cli` starts dbt only to ask for its version, and loads dbt and all macros into Dagster's process for an adapter
that most builds do not use. No setting turns this off, so two private members are overridden.
Cost of the public alternative (the stock resource): a third of the CPU time of a small build.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from packaging.version import Version

from analytics_dagster.dagster_internals.dbt_duckdb import correct_attachments, is_file_path
from analytics_dagster.dagster_internals.guard import available, require_parameters
from analytics_dagster.dagster_internals.lazy_dagster_dbt import DbtCliInvocation, DbtCliResource

DBT_VERSION = Version(version("dbt-core"))
"""The version of dbt in this Python's environment."""


class QuickDbtCliResource(DbtCliResource):
    """Reads dbt's version from its package, and makes an adapter only in `make_adapter`."""

    def make_adapter(self, arguments: Sequence[str]) -> Any:
        """Return a dbt adapter for a dbt command with these arguments."""
        from dagster._utils import pushd  # `contextlib.chdir` needs Python 3.11

        with pushd(self.project_dir):
            return super()._initialize_dbt_core_adapter(arguments)

    @cached_property
    def _cli_version(self) -> Version:
        return DBT_VERSION

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:  # noqa: ARG002 - as in the base class
        return None


def make_dbt_cli(**settings: Any) -> DbtCliResource:
    """Return a `QuickDbtCliResource`, or the stock resource if its private members have changed."""
    return (available("DbtCliResource._cli_version", _quick_class, _FALLBACK) or DbtCliResource)(**settings)


_FALLBACK = "each dbt command starts dbt twice and loads it into Dagster's process"


def _quick_class() -> type[QuickDbtCliResource]:
    from dagster._utils import pushd

    names = "_cli_version", "_initialize_dbt_core_adapter"
    _, initialize = (getattr(DbtCliResource, name) for name in names)
    require_parameters(initialize, "self", "args")
    require_parameters(pushd, "path")
    return QuickDbtCliResource


@contextmanager
def open_adapter(cli: DbtCliResource, invocation: DbtCliInvocation) -> Iterator[Any]:
    """Open a connection of dbt's adapter with the arguments of a dbt command that has ended.

    Yields the adapter, or None if the stock resource could not make one.
    """
    adapter = invocation.adapter
    if adapter is None and isinstance(cli, QuickDbtCliResource):
        adapter = cli.make_adapter(cast("Sequence[str]", invocation.process.args)[1:])
    if adapter is None:
        yield None
        return
    is_duckdb = adapter.type() == "duckdb"
    if is_duckdb:
        _correct_credentials(cast("Any", adapter.config.credentials), Path(cli.project_dir))
    try:
        with adapter.connection_named("analytics_dagster"):
            yield adapter
    finally:
        adapter.cleanup_connections()
        if is_duckdb:
            # dbt-duckdb keeps an in-memory database open, with everything that is attached to it.
            cast("Any", adapter).connections.close_all_connections()


def _correct_credentials(credentials: Any, project_dir: Path) -> None:
    """Correct what dagster-dbt does to DuckDB without a file, such as DuckLake: it takes `:memory:` for a file name.

    The in-memory database is opened for writing, since it is empty. Attached databases are opened for reading.
    """
    path = credentials.path.removeprefix(f"{project_dir.absolute()}/")
    if is_file_path(path):
        return
    credentials.path = path
    if path == ":memory:":
        credentials.config_options.pop("access_mode", None)
    correct_attachments(credentials.attach, project_dir, read_only=True)
