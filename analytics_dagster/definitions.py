"""What Dagster loads: the code location that the environment describes."""

from __future__ import annotations

from analytics_dagster import run_process

run_process.start_dbt()

from analytics_dagster.location import build_location  # noqa: E402 - it takes as long to import as dbt does
from analytics_dagster.settings import load_settings  # noqa: E402

_location = build_location(load_settings())
run_process.warm_up_dbt(_location.dbt_assets)
defs = _location.definitions
