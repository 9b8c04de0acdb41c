"""dagster-dbt's resource, without two things that it does before every build and that a build here has no use for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_dbt import DbtCliResource
from packaging.version import Version


class DbtResource(DbtCliResource):
    """Runs the dbt of this Python's environment.

    Overrides two private members of dagster-dbt, since nothing public turns off what they do (measured: a third of
    the CPU time of a small build): the first starts dbt only to ask for its version; the second imports dbt
    and loads all macros into Dagster's process, for an adapter that `execution` uses for row counts alone. Without
    them dbt is called with the same arguments and environment; a test fails when dagster-dbt no longer uses the names.
    """

    with_adapter: bool
    """Whether rows are counted through dbt's adapter, because the warehouse is not one that Python opens itself."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return super()._initialize_dbt_core_adapter(args) if self.with_adapter else None


def dbt_executable() -> str:
    """Return the dbt of this Python's environment, which need not be on the PATH."""
    beside = Path(sys.executable).with_name("dbt")
    return str(beside) if beside.exists() else "dbt"
