"""Dagster's home: its folder, its configuration, and the runs whose process died in it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from analytics_dagster.settings import Settings, set_dagster_home

PROCESS_TAG = "analytics_dagster/process"
"""The tag of a run that names the lock which the process that executes it holds as long as it lives."""

WORKSPACE = Path(__file__).with_name("workspace.yaml")
"""The workspace that the UI opens."""

_CONFIGURATION = Path(__file__).with_name("dagster.yaml")
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def prepare_home(settings: Settings) -> Path:
    """Make Dagster's home and its configuration where they are missing, and let Dagster find it; return its folder."""
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    configuration = home / "dagster.yaml"
    if not configuration.exists():
        template = _CONFIGURATION.read_text(encoding="utf-8")
        event_log = json.dumps(str(home / "history" / "runs"))
        configuration.write_text(template.replace("EVENT_LOG", event_log), encoding="utf-8")
    set_dagster_home(home)
    return home


@contextmanager
def living_process(home: Path) -> Iterator[str]:
    """Hold a lock that the operating system lets go of when this process ends in whatever way; yield its name."""
    name = f"{uuid.uuid4()}.lock"
    path = _locks(home) / name
    with FileLock(path):
        try:
            yield name
        finally:
            path.unlink(missing_ok=True)


def fail_orphans(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Mark as failed every unfinished run of the command line whose process is dead; return their ids.

    Such a run would stay STARTED for ever, and keep its slot of the warehouse's pool.
    """
    orphans = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
        name = run.tags.get(PROCESS_TAG)
        if name is not None and _is_dead(_locks(home) / name):
            instance.report_run_failed(run, "The process that executed this run was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            orphans.append(run.run_id)
    return orphans


def _locks(home: Path) -> Path:
    folder = home / "processes"
    folder.mkdir(exist_ok=True)
    return folder


def _is_dead(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
            return True
    except Timeout:
        return False
