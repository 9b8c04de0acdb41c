"""The location from a terminal: prepare it, build it headless, open its UI."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from dotenv import load_dotenv
from rich.console import Console
from rich.markup import escape

from analytics_dagster.errors import AnalyticsError, ScheduleGroupError
from analytics_dagster.settings import Settings, load_settings

app = typer.Typer(
    name="analytics-dagster",
    help="A Dagster code location for dbt, from a terminal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_console = Console(highlight=False)
if not _console.is_terminal:
    # A log has no width of its own, and eighty columns break the summary.
    _console = Console(highlight=False, width=140)
_errors = Console(stderr=True, highlight=False)


@app.command()
def prepare() -> None:
    """Make the dbt manifest, if it is missing or stale: what every other process finds ready."""
    with _told_errors():
        if not _prepare(_settings()):
            _console.print("The manifest is up to date.")


@app.command()
def build(
    group: Annotated[
        list[str] | None, typer.Option(help="A schedule group; several by repeating it. All, and ingestion, without.")
    ] = None,
    full_refresh: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--full-refresh", help="Rebuild incremental models and seeds from scratch.")
    ] = False,
) -> None:
    """Run ingestion and the schedule groups through Dagster, upstream first, and print what came of it."""
    started = time.monotonic()
    with _told_errors():
        settings = _settings()
        _prepare(settings)
        succeeded = _build(settings, group or [], full_refresh=full_refresh, started=started)
    raise typer.Exit(code=0 if succeeded else 1)


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Where the UI listens.")] = 3000,
    host: Annotated[str, typer.Option(help="At which address the UI listens.")] = "127.0.0.1",
) -> None:
    """Open the UI with schedules, sensors and run history that are kept between starts."""
    with _told_errors():
        settings = _settings()
        from analytics_dagster.headless.home import WORKSPACE, prepare_home  # noqa: PLC0415 - see `_build`

        home = prepare_home(settings)
        _prepare(settings)
        _console.print(f"Dagster's home is {escape(str(home))}; the UI opens at http://{host}:{port}", soft_wrap=True)
    arguments = ["dagster", "dev", "--workspace", str(WORKSPACE), "--port", str(port), "--host", host]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - this process becomes Dagster's


def _settings() -> Settings:
    # As `dagster dev` does, so that one file sets up both.
    load_dotenv(".env")
    return load_settings()


def _prepare(settings: Settings) -> bool:
    from analytics_dagster.project import prepare_project  # noqa: PLC0415 - see `_build`
    from analytics_dagster.transform.groups import load_groups  # noqa: PLC0415 - see `_build`

    return prepare_project(
        settings, load_groups(settings).selections, lambda line: _console.print(escape(line), soft_wrap=True)
    )


def _build(settings: Settings, groups: list[str], *, full_refresh: bool, started: float) -> bool:
    # Dagster takes seconds to import: not before the settings are known to be right, and not for `--help`.
    import dagster as dg  # noqa: PLC0415

    from analytics_dagster.automation.jobs import INGESTION  # noqa: PLC0415
    from analytics_dagster.consumers import GROUP as CONSUMERS  # noqa: PLC0415
    from analytics_dagster.definitions import defs  # noqa: PLC0415
    from analytics_dagster.headless.execution import execute_jobs  # noqa: PLC0415
    from analytics_dagster.headless.home import fail_orphans, living_process, prepare_home  # noqa: PLC0415
    from analytics_dagster.headless.summary import summarize, summary_table  # noqa: PLC0415

    home = prepare_home(settings)
    known = [job.name for job in defs.jobs or []]
    unknown = [name for name in groups if name not in known]
    if unknown:
        raise ScheduleGroupError(
            f"There is no schedule group {', '.join(unknown)}.", remedy=f"Name one of: {', '.join(known)}."
        )
    jobs = [name for name in known if not groups or name in groups]
    configuration = {
        name: {"ops": {f"dbt_{name}": {"config": {"full_refresh": True}}}}
        for name in jobs
        if full_refresh and name != INGESTION
    }
    with dg.DagsterInstance.get() as instance, living_process(home) as process:
        for run_id in fail_orphans(instance, home):
            _console.print(f"[yellow]Run {run_id} was cut off: its process was killed. Marked as failed.[/]")
        results = execute_jobs(defs, jobs, instance=instance, process=process, configuration=configuration)
        asset_groups = {
            key: defs.resolve_asset_graph().get(key).group_name
            for key in defs.resolve_asset_graph().get_all_asset_keys()
        }
        lines = summarize(instance, results, asset_groups)
    _console.print(summary_table(lines, seconds=time.monotonic() - started))
    for result in results:
        if not result.succeeded:
            _console.print(f"[red]{result.job}[/]: {result.reason or f'run {result.run_id} failed'}")
    warehouse = (defs.resources or {})["warehouse"]
    where = {"warehouse": warehouse.path or f"the {warehouse.adapter} target of the dbt profile"}
    if any(group == CONSUMERS for group in asset_groups.values()):
        where |= {"reports": settings.reports, "exports": settings.outbound}
    for what, place in {**where, "run history": f"{home} (`analytics-dagster dev` shows it)"}.items():
        _console.print(f"{what:<12} {escape(place)}", soft_wrap=True)
    return all(result.succeeded for result in results)


@contextmanager
def _told_errors() -> Iterator[None]:
    try:
        yield
    except AnalyticsError as error:
        _errors.print(f"[red]{type(error).__name__}[/]: {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(code=2) from None
