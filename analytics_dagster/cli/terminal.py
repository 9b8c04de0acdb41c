"""What every command does alike: read the settings, print, and tell an error that a user can mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from dotenv import load_dotenv
from rich.console import Console, RenderableType
from rich.markup import escape

from analytics_dagster.errors import AnalyticsError
from analytics_dagster.settings import Settings, load_settings

_console = Console(highlight=False)
if not _console.is_terminal:
    # A log has no width of its own, and eighty columns break the summary.
    _console = Console(highlight=False, width=140)
_errors = Console(stderr=True, highlight=False)


def read_settings() -> Settings:
    """Return the settings of the environment and of a file `.env` where the command was typed; raises `SettingsError`.

    As `dagster dev` does, so that one file sets up both.
    """
    load_dotenv(".env")
    return load_settings()


def show(what: RenderableType) -> None:
    """Print a table, or whatever else rich lays out."""
    _console.print(what)


def say(line: str) -> None:
    """Print a line of rich's markup, broken nowhere."""
    _console.print(line, soft_wrap=True)


def warn(line: str) -> None:
    """Print a line of plain text that stands out."""
    say(f"[yellow]{escape(line)}[/]")


def print_stderr(line: str) -> None:
    """Print on stderr a line of plain text that a machine which reads stdout is not to read."""
    _errors.print(escape(line), soft_wrap=True)


@contextmanager
def error_boundary() -> Iterator[None]:
    """Tell an error that a user can mend without a traceback, and exit with 2."""
    try:
        yield
    except AnalyticsError as error:
        _errors.print(f"[red]{type(error).__name__}[/]: {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(code=2) from None
