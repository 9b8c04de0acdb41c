"""What Dagster loads: the code location that the environment describes."""

from __future__ import annotations

from analytics_dagster.location import build_location
from analytics_dagster.settings import load_settings

defs = build_location(load_settings()).definitions
