"""What every command shares: reading settings, printing, and reporting errors without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from dotenv import load_dotenv
from rich.console import Console, RenderableType
from rich.markup import escape

from analytics_dagster.errors import AnalyticsError
from analytics_dagster.redaction import redact
from analytics_dagster.settings import Settings, environment_variables, load_settings, misspelled_settings

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

AlertsOption = Annotated[
    bool, typer.Option("--alerts/--no-alerts", help="Send alerts about failures, if a channel is set up.")
]

_console = Console(highlight=False)
if not _console.is_terminal:
    # A log has no width of its own, and 80 columns break the summary.
    _console = Console(highlight=False, width=140)
_errors = Console(stderr=True, highlight=False)


def read_settings(*, warn: bool = True) -> Settings:
    """Return the settings from the environment and from `.env` in the current folder; raises `SettingsError`.

    Prints a warning for each variable that looks like a misspelled setting, if ``warn``. `dagster dev` reads the same
    file.
    """
    load_dotenv(".env")
    for name, meant in misspelled_settings(environment_variables()).items() if warn else ():
        print_stderr(f"Warning: {name} is not a setting and has no effect. Did you mean {meant}?")
    return load_settings()


def show(renderable: RenderableType) -> None:
    """Print a table or another object of rich."""
    _console.print(renderable)


def print_line(markup: str) -> None:
    """Print rich markup without line breaks of rich's own."""
    _console.print(markup, soft_wrap=True)


def print_warning(text: str) -> None:
    """Print plain text in yellow."""
    print_line(f"[yellow]{escape(text)}[/]")


def print_stderr(text: str) -> None:
    """Print plain text on stderr, so that it is not part of a command's JSON."""
    _errors.print(escape(text), soft_wrap=True)


@contextmanager
def error_boundary() -> Iterator[None]:
    """Print an `AnalyticsError` without a traceback and exit with 2."""
    try:
        yield
    except AnalyticsError as error:
        _errors.print(f"[red]{type(error).__name__}[/]: {escape(redact(str(error)))}", soft_wrap=True)
        raise typer.Exit(code=2) from None


@contextmanager
def start_is_alerted(settings: Settings, name: str, *, alerts: bool) -> Iterator[None]:
    """Send an alert if a command fails before or outside of its runs, as from cron nobody sees the terminal."""
    try:
        yield
    except Exception as error:
        if alerts:
            from analytics_dagster.cli.alerts.notify import report_failed_start  # Dagster takes seconds to import

            report_failed_start(settings, name, error)
        raise
