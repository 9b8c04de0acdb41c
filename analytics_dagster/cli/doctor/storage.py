"""Whether Dagster's home and storage can be used, have the tables of the installed version, and take runs' logs."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, well
from analytics_dagster.cli.doctor.run_logs import check_run_logs
from analytics_dagster.settings import Settings, set_dagster_home, variable_name

CHECK = "Dagster storage"

_HOME = variable_name("dagster_home")


def check_storage(settings: Settings) -> Iterator[Finding]:
    """Yield whether the instance opens, takes runs' logs, and whether its storage is of the installed version."""
    home = settings.home
    if settings.dagster_home is not None and not settings.dagster_home.expanduser().is_absolute():
        yield ill(CHECK, f"{_HOME} is {settings.dagster_home}; Dagster wants an absolute path.", f"Set it to {home}.")
        return
    if not home.exists():
        named = settings.dagster_home is not None
        made = "analytics-dagster's commands make it"
        yield (
            doubt(CHECK, f"{_HOME} names {home}, which is not there; {made}, Dagster's own do not.", f"mkdir -p {home}")
            if named
            else well(CHECK, f"{home} is made by the first `analytics-dagster build` or `dev`.")
        )
        return
    if not (home / "dagster.yaml").exists() and not (home / "history").exists():
        yield well(CHECK, f"{home} is empty; the first command fills it.")
        return
    set_dagster_home(home)
    with dg.DagsterInstance.get() as instance:
        yield from check_run_logs(instance)
        versions = {
            "run storage": instance.run_storage.alembic_version(),
            "event log": instance.event_log_storage.alembic_version(),
            "schedule storage": instance.schedule_storage.alembic_version() if instance.schedule_storage else None,
        }
        instance.get_runs(limit=1)
    old = [name for name, version in versions.items() if version and version[0] and version[0] != version[1]]
    if old:
        yield ill(
            CHECK,
            f"{home}: {', '.join(old)} has the tables of another version of Dagster.",
            "End all runs, keep a copy, then: dagster instance migrate",
        )
    else:
        kind = type(instance.run_storage).__name__
        yield well(CHECK, f"{home}: opens ({kind}), tables of Dagster {dg.__version__}.")
