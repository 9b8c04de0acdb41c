"""`analytics-dagster dev`: open Dagster's UI with schedules and sensors."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from analytics_dagster.cli.commands.prepare import prepare_manifest
from analytics_dagster.cli.terminal import error_boundary, print_line, print_warning, read_settings
from analytics_dagster.settings import environment_variables


def dev(
    port: Annotated[int, typer.Option(help="The port of the UI.", min=1, max=65_535)] = 3000,
    host: Annotated[str, typer.Option(help="The address that the UI listens on.")] = "127.0.0.1",
) -> None:
    """Open the UI; schedules, sensors and run history are kept between starts."""
    with error_boundary():
        settings = read_settings()
        from analytics_dagster.cli import home as dagster_home  # imports Dagster
        from analytics_dagster.cli.home_processes import LEADER, claim_home, require_free_port
        from analytics_dagster.process_identity import Process

        home = dagster_home.prepare_home(settings)
        left_over = claim_home(home)
        if left_over:
            pids = ", ".join(str(one.process.pid) for one in left_over)
            print_warning(f"Ended the processes that a killed `dev` had left: {pids}.")
        require_free_port(host, port)
        prepare_manifest(settings)
        with dagster_home.opened_instance(settings) as instance:
            dagster_home.reset_stale_state(settings, instance)
        print_line(f"Dagster's home is {escape(str(home))}; the UI opens at http://{host}:{port}")
    arguments = ["dagster", "dev", "--workspace", str(dagster_home.WORKSPACE), "--port", str(port), "--host", host]
    environment = {**environment_variables(), LEADER: Process.current().to_text()}
    # This process becomes Dagster's, and what it has not written is lost.
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", *arguments], environment)  # noqa: S606
