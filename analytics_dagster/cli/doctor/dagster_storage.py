"""Checks Dagster's home and storage: whether they open, their tables are current, and run logs can be written."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import dagster as dg

from analytics_dagster.cli.doctor.result import Check, CheckResult
from analytics_dagster.cli.doctor.storage_locations import TEST_TEXT, check_write
from analytics_dagster.dagster_internals.compute_logs import cloud_logs
from analytics_dagster.settings import Settings, set_dagster_home, variable_name
from analytics_dagster.warehouse.fsspec_errors import remedy_for

STORAGE = Check("Dagster storage")
RUN_LOGS = Check("run logs")

_HOME = variable_name("dagster_home")


def check_storage(settings: Settings) -> Iterator[CheckResult]:
    """Yield whether the instance opens, its storage has the tables of the installed version, and takes run logs."""
    home, named = settings.home, settings.dagster_home
    if named is not None and not named.expanduser().is_absolute():
        yield STORAGE.error(f"{_HOME} is {named}; Dagster needs an absolute path.", f"Set it to {home}.")
    elif not home.exists() and named is not None:
        message = f"{_HOME} is {home}, which does not exist. Our commands create it; Dagster's own do not."
        yield STORAGE.warning(message, f"mkdir -p {home}")
    elif not home.exists():
        yield STORAGE.ok(f"The first `analytics-dagster build` or `dev` creates {home}.")
    elif not (home / "dagster.yaml").exists() and not (home / "history").exists():
        yield STORAGE.ok(f"{home} is empty; the first command sets it up.")
    else:
        set_dagster_home(home)
        with dg.DagsterInstance.get() as instance:
            yield from check_run_logs(instance)
            yield _check_tables(instance, str(home))


def _check_tables(instance: dg.DagsterInstance, home: str) -> CheckResult:
    versions = {
        "run storage": instance.run_storage.alembic_version(),
        "event log": instance.event_log_storage.alembic_version(),
        "schedule storage": instance.schedule_storage.alembic_version() if instance.schedule_storage else None,
    }
    instance.get_runs(limit=1)
    old = [name for name, version in versions.items() if version and version[0] and version[0] != version[1]]
    if old:
        message = f"{home}: the tables of {', '.join(old)} are of another version of Dagster."
        return STORAGE.error(message, "End all runs, make a backup, then: dagster instance migrate")
    kind = type(instance.run_storage).__name__
    return STORAGE.ok(f"{home} opens ({kind}); its tables are those of Dagster {dg.__version__}.")


def check_run_logs(instance: dg.DagsterInstance) -> Iterator[CheckResult]:
    """Yield whether a log can be written to the bucket of run logs and deleted; nothing if logs are local files."""
    logs = cloud_logs(instance)
    if logs is None:
        return
    key = ["doctor", uuid.uuid4().hex]
    yield check_write(
        RUN_LOGS,
        logs.name,
        write=lambda: logs.write(key, TEST_TEXT),
        delete=lambda: logs.delete(key),
        remedy=lambda error: remedy_for(error, "compute_logs in dagster.yaml", "the cloud's own variables"),
    )
