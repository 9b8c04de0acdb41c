"""`analytics-dagster prepare`: make the dbt manifest that every other process reads."""

from __future__ import annotations

from rich.markup import escape

from analytics_dagster.cli.terminal import error_boundary, print_line, read_settings
from analytics_dagster.settings import Settings


def prepare() -> None:
    """Make the dbt manifest if it is missing or stale."""
    with error_boundary():
        if not prepare_manifest(read_settings()):
            print_line("The manifest is up to date.")


def prepare_manifest(settings: Settings) -> bool:
    """Make the manifest if it is missing or stale, and print that; return whether it was made."""
    from analytics_dagster.location import prepare_location  # imports Dagster, which takes seconds

    return prepare_location(settings, lambda line: print_line(escape(line)))
