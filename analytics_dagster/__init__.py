"""A Dagster code location for dbt: schedule groups, checks, sensors and Python assets from any dbt project.

What is listed here is for other code locations to build on; `docs/building_blocks.md` shows how. It is imported when it
is first asked for, since Dagster takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analytics_dagster.api import build_dbt_definitions, prepare_dbt_definitions
    from analytics_dagster.errors import AnalyticsError
    from analytics_dagster.settings import Settings

__all__ = ["AnalyticsError", "Settings", "build_dbt_definitions", "prepare_dbt_definitions"]

_HOMES = {
    "AnalyticsError": "errors",
    "Settings": "settings",
    "build_dbt_definitions": "api",
    "prepare_dbt_definitions": "api",
}


if not TYPE_CHECKING:  # which would take it that every name is there

    def __getattr__(name: str) -> Any:
        """Import what is listed above from where it is defined; raises AttributeError for anything else."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
