"""The location from a terminal: prepare it, build it headless, open its UI."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated

import typer
from dotenv import load_dotenv
from rich.console import Console, RenderableType
from rich.markup import escape

from analytics_dagster import warm_dbt
from analytics_dagster.alerting.commands import alerts
from analytics_dagster.errors import AnalyticsError, ScheduleGroupError
from analytics_dagster.settings import DbtRunner, Settings, load_settings

if TYPE_CHECKING:
    import dagster as dg

    from analytics_dagster.headless.building import Request
    from analytics_dagster.headless.planning import Planned

app = typer.Typer(
    name="analytics-dagster",
    help="A Dagster code location for dbt, from a terminal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(alerts)
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
def plan(
    group: Annotated[str | None, typer.Option(help="Explain one schedule group.")] = None,
    node: Annotated[
        str | None, typer.Option(help="Explain one node or test: its unique id, its name, or the end of its unique id.")
    ] = None,
    as_json: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--json", help="Print it for machines.")
    ] = False,
) -> None:
    """Show what each schedule group runs, in which order, and what is wrong; needs no warehouse."""
    with _told_errors():
        if group is not None and node is not None:
            raise ScheduleGroupError("A group and a node can't be explained at once.", remedy="Name one of them.")
        settings = _settings()
        from analytics_dagster.headless.planning import plan_project  # noqa: PLC0415 - see `_build`

        planned = plan_project(settings, _tell_aside)
        if planned.stand_in is not None:
            reason = planned.stand_in.problem
            _tell_aside(f"Parsed with a stand-in for the dbt profile (DuckDB, in memory), since: {reason}")
        if as_json:
            typer.echo(_plan_as_json(planned, group, node))
        else:
            _console.print(_plan_for_people(planned, group, node))
    raise typer.Exit(code=1 if planned.plan.problems else 0)


@app.command()
def schema() -> None:
    """Print the JSON schema of the schedule groups' file, for editors."""
    # As a file of the package: nothing needs to be imported for it.
    typer.echo((files("analytics_dagster") / "transform" / "groups.schema.json").read_text("utf-8"), nl=False)


@app.command()
def build(
    group: Annotated[
        list[str] | None, typer.Option(help="A schedule group; several by repeating it. All, and ingestion, without.")
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="Just these nodes, in dbt's selection syntax, each in its group's job.")
    ] = None,
    upstream: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--upstream", help="Also all that they read, and the ingestion of the sources needed.")
    ] = False,
    full_refresh: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--full-refresh", help="Rebuild incremental models and seeds from scratch.")
    ] = False,
) -> None:
    """Run ingestion and the schedule groups, or parts of them, through Dagster, and print what came of it."""
    started = time.monotonic()
    with _told_errors():
        settings = _settings()
        if settings.dbt_runner is DbtRunner.WARM:
            # It takes as long to import as Dagster, for which there is another core.
            warm_dbt.start()
        _prepare(settings)
        from analytics_dagster.headless.building import Request  # noqa: PLC0415 - see `_build`

        request = Request(tuple(group or ()), select, upstream=upstream, full_refresh=full_refresh)
        succeeded = _build(settings, request, started)
    raise typer.Exit(code=0 if succeeded else 1)


@app.command()
def retry(
    run_id: Annotated[str | None, typer.Argument(help="A run; the last one that failed without.")] = None,
) -> None:
    """Run again what failed and what was skipped of a run, and nothing that worked."""
    started = time.monotonic()
    with _told_errors():
        settings = _settings()
        _prepare(settings)
        succeeded = _retry(settings, run_id, started)
    raise typer.Exit(code=0 if succeeded else 1)


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Where the UI listens.")] = 3000,
    host: Annotated[str, typer.Option(help="At which address the UI listens.")] = "127.0.0.1",
) -> None:
    """Open the UI with schedules, sensors and run history that are kept between starts."""
    with _told_errors():
        settings = _settings()
        import dagster as dg  # noqa: PLC0415 - see `_build`

        from analytics_dagster.headless.home import WORKSPACE, occupy_home, prepare_home  # noqa: PLC0415

        home = prepare_home(settings)
        occupy_home(home)
        _prepare(settings)
        with dg.DagsterInstance.get() as instance:
            _tidy(settings, instance)
        _console.print(f"Dagster's home is {escape(str(home))}; the UI opens at http://{host}:{port}", soft_wrap=True)
    arguments = ["dagster", "dev", "--workspace", str(WORKSPACE), "--port", str(port), "--host", host]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - this process becomes Dagster's


def _tidy(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Fail the runs whose process was killed, and set how many runs may use the warehouse at once."""
    from analytics_dagster.headless.home import set_pool_limit  # noqa: PLC0415 - see `_build`
    from analytics_dagster.processes import fail_dead_runs  # noqa: PLC0415
    from analytics_dagster.project import find_target  # noqa: PLC0415
    from analytics_dagster.warehouse import count_writers  # noqa: PLC0415

    for run in fail_dead_runs(instance):
        _console.print(
            f"[yellow]Run {run.run_id} of {run.job} was marked as failed[/]: {escape(run.reason)}", soft_wrap=True
        )
    writers = count_writers(settings, find_target(settings))
    set_pool_limit(instance, writers, replace=settings.warehouse_writers is not None)


def _settings() -> Settings:
    # As `dagster dev` does, so that one file sets up both.
    load_dotenv(".env")
    return load_settings()


def _prepare(settings: Settings) -> bool:
    from analytics_dagster.location import prepare_location  # noqa: PLC0415 - see `_build`

    return prepare_location(settings, lambda line: _console.print(escape(line), soft_wrap=True))


def _build(settings: Settings, request: Request, started: float) -> bool:
    # Dagster takes seconds to import: not before the settings are known to be right, and not for `--help`.
    import dagster as dg  # noqa: PLC0415

    from analytics_dagster.consumers import GROUP as CONSUMERS  # noqa: PLC0415
    from analytics_dagster.headless.building import requested_works  # noqa: PLC0415
    from analytics_dagster.headless.execution import execute_jobs  # noqa: PLC0415
    from analytics_dagster.headless.home import prepare_home  # noqa: PLC0415
    from analytics_dagster.headless.summary import summarize, summary_table  # noqa: PLC0415
    from analytics_dagster.headless.works import asset_groups, preparations  # noqa: PLC0415
    from analytics_dagster.location import build_location  # noqa: PLC0415

    location = build_location(settings)
    works = requested_works(settings, location, request, _warn)
    if not works:
        _console.print("There is nothing to build.")
        return True
    home = prepare_home(settings)
    if settings.dbt_runner is DbtRunner.WARM:
        warm_dbt.expect(preparations(location, works))
    groups = asset_groups(location.definitions)
    with dg.DagsterInstance.get() as instance:
        _tidy(settings, instance)
        results = execute_jobs(location.definitions, works, instance=instance)
        lines = summarize(instance, results, groups)
    _console.print(summary_table(lines, seconds=time.monotonic() - started))
    for result in results:
        if not result.succeeded:
            _console.print(f"[red]{result.job}[/]: {result.reason or f'run {result.run_id} failed'}")
    warehouse = (location.definitions.resources or {})["warehouse"]
    where = {"warehouse": warehouse.path or f"the {warehouse.adapter} target of the dbt profile"}
    if CONSUMERS in groups.values():
        where |= {"reports": settings.reports, "exports": settings.outbound}
    for what, place in {**where, "run history": f"{home} (`analytics-dagster dev` shows it)"}.items():
        _console.print(f"{what:<12} {escape(place)}", soft_wrap=True)
    return all(result.succeeded for result in results)


def _retry(settings: Settings, run_id: str | None, started: float) -> bool:
    import dagster as dg  # noqa: PLC0415 - see `_build`

    from analytics_dagster.headless.execution import execute_jobs  # noqa: PLC0415
    from analytics_dagster.headless.home import prepare_home  # noqa: PLC0415
    from analytics_dagster.headless.retrying import retried_work  # noqa: PLC0415
    from analytics_dagster.headless.summary import summarize, summary_table  # noqa: PLC0415
    from analytics_dagster.headless.works import asset_groups, preparations  # noqa: PLC0415
    from analytics_dagster.location import build_location  # noqa: PLC0415

    location = build_location(settings)
    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        _tidy(settings, instance)
        run, work, leftover = retried_work(instance, location.project.name, run_id)
        if work is None:
            _console.print(f"Nothing of run {run.run_id} of {run.job_name} is left to do.")
            return True
        what = f"{len(leftover.assets)} assets and {len(leftover.checks)} checks"
        _console.print(f"Run {run.run_id} of {run.job_name} left {what}: they are run again.", soft_wrap=True)
        if settings.dbt_runner is DbtRunner.WARM:
            warm_dbt.expect(preparations(location, [work]))
        [result] = execute_jobs(location.definitions, [work], instance=instance)
        lines = summarize(instance, [result], asset_groups(location.definitions))
    _console.print(summary_table(lines, seconds=time.monotonic() - started))
    if not result.succeeded:
        _console.print(f"[red]{result.job}[/]: {result.reason or f'run {result.run_id} failed'}")
    return result.succeeded


def _plan_as_json(planned: Planned, group: str | None, node: str | None) -> str:
    from analytics_dagster.headless.lookup import find_group  # noqa: PLC0415 - see `_build`
    from analytics_dagster.headless.plan_document import node_document, plan_document  # noqa: PLC0415

    if node is not None:
        document = node_document(planned, _node(planned, node))
    else:
        known = list(planned.plan.by_name)
        document = plan_document(planned, _now(), find_group(group, known) if group is not None else None)
    return json.dumps(document, indent=2)


def _plan_for_people(planned: Planned, group: str | None, node: str | None) -> RenderableType:
    from analytics_dagster.headless.explanation import explain  # noqa: PLC0415 - see `_build`
    from analytics_dagster.headless.lookup import find_group  # noqa: PLC0415
    from analytics_dagster.headless.plan_report import group_report, node_report, plan_report  # noqa: PLC0415

    if node is not None:
        return node_report(planned, explain(planned, _node(planned, node)))
    if group is not None:
        return group_report(planned, find_group(group, list(planned.plan.by_name)), _now())
    return plan_report(planned, _now())


def _node(planned: Planned, wanted: str) -> str:
    from analytics_dagster.headless.lookup import find_node, names_of  # noqa: PLC0415 - see `_build`

    return find_node(wanted, names_of(planned.project.manifest, planned.name))


def _now() -> datetime:
    return datetime.now(tz=timezone.utc)


def _warn(line: str) -> None:
    _console.print(f"[yellow]{escape(line)}[/]", soft_wrap=True)


def _tell_aside(line: str) -> None:
    """Tell on stderr what a machine that reads stdout is not to read."""
    _errors.print(escape(line), soft_wrap=True)


@contextmanager
def _told_errors() -> Iterator[None]:
    try:
        yield
    except AnalyticsError as error:
        _errors.print(f"[red]{type(error).__name__}[/]: {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(code=2) from None
