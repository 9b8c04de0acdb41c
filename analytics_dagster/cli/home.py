"""Dagster's home: its folder and configuration, its instance, and the limit of the warehouse's pool."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock
from rich.markup import escape

from analytics_dagster.cli.terminal import print_line
from analytics_dagster.execution.dead_runs import RunOwner, fail_dead_runs
from analytics_dagster.project.files import find_project
from analytics_dagster.project.profile import load_target
from analytics_dagster.settings import Settings, set_dagster_home, set_default_variable
from analytics_dagster.warehouse import POOL, count_writers

WORKSPACE = Path(__file__).with_name("workspace.yaml")
"""The workspace that the UI opens."""

CONFIGURATION = Path(__file__).with_name("dagster.yaml")
"""The configuration of a new home. After a change, add the SHA-256 of the previous file to `EARLIER`."""

EARLIER = frozenset(
    {
        "cfdf8a25c02286cd3cda815e944f08387e9f8d1b50670a5058e6c8a186c1184d",
        "dd172adf0184351722d0fd343222dc027033993ffdc1289b72326f0f48013e0d",
        "991e3a470df8d11681705167fc13d10b8afe160915a313a7faa5e9d37a0803cb",
        "7b76b4b48210f0d445cfe1a0f3dbd64328cd493add1d738404c2437de1ace2e4",
        "717bd4dbbe6e6bf80345c678ab118fea12d65b043528c42753ef8197746bda3d",
        "a48144ee53652c20a18746921f64b95aa583d96dbca81f50a9e0351d4d57053c",
        "dcd8bdb760a74ec65a9e11175452a6664c7b7be1ba44bf0e84e033b43691f7db",
    }
)
"""The configurations of earlier versions. A home that still has one of these was not changed by a user."""

_EVENT_LOG = "EVENT_LOG"
# The default location of the event log in any home. Another location was chosen by a user and is kept.
_BASE_DIR = re.compile(r'(?<=base_dir: )"[^"\n]*/history/runs"')
_EVENT_BATCH_SIZE = "1000"


def prepare_home(settings: Settings) -> Path:
    """Create Dagster's home and its configuration if they are missing, set `DAGSTER_HOME`, and return the folder.

    A configuration written by an earlier version, or before the home was moved, is replaced. One that a user has
    changed, or that cannot be written, is kept.
    """
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    set_dagster_home(home)
    # A run starts with one event per asset and check: they are written together.
    set_default_variable("DAGSTER_EVENT_BATCH_SIZE", _EVENT_BATCH_SIZE)
    configuration = home / "dagster.yaml"
    if configuration.exists() and not os.access(home, os.W_OK):
        # In a pod the configuration is a ConfigMap.
        return home
    event_log = json.dumps(str(home / "history" / "runs"))
    # If two processes start in a new home at once, the second fails when the first creates a table.
    with FileLock(home / "home.lock"):
        current = CONFIGURATION.read_text(encoding="utf-8")
        if not configuration.exists() or _is_unchanged(configuration.read_text(encoding="utf-8"), current):
            configuration.write_text(current.replace(_EVENT_LOG, event_log), encoding="utf-8")
        if not (home / "history").exists():
            with dg.DagsterInstance.get() as instance:
                instance.event_log_storage.get_pool_limits()
    return home


def _is_unchanged(text: str, current: str) -> bool:
    """Return whether a configuration is the one of this or an earlier version, whatever the path of its home."""
    template = _BASE_DIR.sub(_EVENT_LOG, text)
    return template == current or hashlib.sha256(template.encode()).hexdigest() in EARLIER


@contextmanager
def opened_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the instance of Dagster's home, which is created if it is missing."""
    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        yield instance


def reset_stale_state(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Fail the project's runs whose process was killed, and set the limit of the warehouse's pool."""
    files = find_project(settings)
    for run in fail_dead_runs(instance, RunOwner(files.name)):
        print_line(f"[yellow]Run {run.run_id} of {run.job} was marked as failed[/]: {escape(run.reason)}")
    writers = count_writers(settings, load_target(files))
    set_pool_limit(instance, writers, replace=settings.warehouse_writers is not None)


def set_pool_limit(instance: dg.DagsterInstance, writers: int, *, replace: bool) -> None:
    """Set how many runs may use the warehouse at once, unless a limit is set; ``replace`` sets it in any case."""
    storage = instance.event_log_storage
    known = {limit.name: limit for limit in storage.get_pool_limits()}.get(POOL)
    if known is None or known.from_default or (replace and known.limit != writers):
        storage.set_concurrency_slots(POOL, writers)
