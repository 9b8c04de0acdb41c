"""`analytics-dagster schema`: print the JSON schema of the schedule groups file."""

from __future__ import annotations

from importlib.resources import files

import typer


def schema() -> None:
    """Print the JSON schema of the schedule groups file, for editors."""
    # Read from a file of the package, so that nothing heavy is imported.
    typer.echo((files("analytics_dagster") / "planning" / "groups.schema.json").read_text("utf-8"), nl=False)
