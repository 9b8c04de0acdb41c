"""`analytics-dagster schema`: what an editor checks the schedule groups' file by."""

from __future__ import annotations

from importlib.resources import files

import typer


def schema() -> None:
    """Print the JSON schema of the schedule groups' file, for editors."""
    # As a file of the package: nothing needs to be imported for it.
    typer.echo((files("analytics_dagster") / "planning" / "groups.schema.json").read_text("utf-8"), nl=False)
