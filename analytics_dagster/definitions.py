"""The module that Dagster loads: the code location of the environment's settings."""

from __future__ import annotations

from analytics_dagster import run_process

run_process.start_dbt()

from analytics_dagster.location import build_location  # noqa: E402 - takes as long to import as dbt
from analytics_dagster.settings import load_settings  # noqa: E402

_location = build_location(load_settings())
run_process.warm_up_dbt(_location.dbt_assets)
defs = _location.definitions
