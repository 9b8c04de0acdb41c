"""`analytics-dagster prepare`: what every other process finds ready."""

from __future__ import annotations

from rich.markup import escape

from analytics_dagster.cli.terminal import error_boundary, read_settings, say
from analytics_dagster.settings import Settings


def prepare() -> None:
    """Make the dbt manifest, if it is missing or stale: what every other process finds ready."""
    with error_boundary():
        if not make_ready(read_settings()):
            say("The manifest is up to date.")


def make_ready(settings: Settings) -> bool:
    """Make the manifest if it is missing or stale, and say so; return whether it had to be made."""
    from analytics_dagster.location import prepare_location  # imports Dagster, which takes seconds

    return prepare_location(settings, lambda line: say(escape(line)))
