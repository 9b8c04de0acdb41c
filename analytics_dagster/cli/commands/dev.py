"""`analytics-dagster dev`: the UI, on a home that outlives it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from analytics_dagster.cli.commands.prepare import make_ready
from analytics_dagster.cli.instance import opened_instance, reset_stale_state
from analytics_dagster.cli.terminal import error_boundary, read_settings, say


def dev(
    port: Annotated[int, typer.Option(help="Where the UI listens.")] = 3000,
    host: Annotated[str, typer.Option(help="At which address the UI listens.")] = "127.0.0.1",
) -> None:
    """Open the UI with schedules, sensors and run history that are kept between starts."""
    with error_boundary():
        settings = read_settings()
        from analytics_dagster.cli.home import WORKSPACE, lock_home, prepare_home  # as Dagster

        home = prepare_home(settings)
        lock_home(home)
        make_ready(settings)
        with opened_instance(settings) as instance:
            reset_stale_state(settings, instance)
        say(f"Dagster's home is {escape(str(home))}; the UI opens at http://{host}:{port}")
    arguments = ["dagster", "dev", "--workspace", str(WORKSPACE), "--port", str(port), "--host", host]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - this process becomes Dagster's
