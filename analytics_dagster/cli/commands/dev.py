"""`analytics-dagster dev`: open Dagster's UI with schedules and sensors."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from analytics_dagster.cli.commands.prepare import prepare_manifest
from analytics_dagster.cli.terminal import error_boundary, print_line, read_settings


def dev(
    port: Annotated[int, typer.Option(help="The port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="The address that the UI listens on.")] = "127.0.0.1",
) -> None:
    """Open the UI; schedules, sensors and run history are kept between starts."""
    with error_boundary():
        settings = read_settings()
        from analytics_dagster.cli import home as dagster_home  # imports Dagster

        home = dagster_home.prepare_home(settings)
        dagster_home.lock_home(home)
        prepare_manifest(settings)
        with dagster_home.opened_instance(settings) as instance:
            dagster_home.reset_stale_state(settings, instance)
        print_line(f"Dagster's home is {escape(str(home))}; the UI opens at http://{host}:{port}")
    arguments = ["dagster", "dev", "--workspace", str(dagster_home.WORKSPACE), "--port", str(port), "--host", host]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - this process becomes Dagster's
