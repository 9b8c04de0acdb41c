"""A Dagster code location for dbt: schedule groups, checks, sensors and Python assets from any dbt project.

`__all__` is the public API for other code locations; `docs/building_blocks.md` describes it. Names are imported when
they are first used, since importing Dagster takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analytics_dagster.api import build_dbt_definitions, prepare_dbt_definitions
    from analytics_dagster.errors import AnalyticsError
    from analytics_dagster.settings import Settings

__all__ = ["AnalyticsError", "Settings", "build_dbt_definitions", "prepare_dbt_definitions"]

_MODULES = {
    "AnalyticsError": "errors",
    "Settings": "settings",
    "build_dbt_definitions": "api",
    "prepare_dbt_definitions": "api",
}


if not TYPE_CHECKING:  # a type checker would accept every name

    def __getattr__(name: str) -> Any:
        """Import a public name from its module; raises AttributeError for any other name."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
