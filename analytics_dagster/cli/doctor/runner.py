"""Runs all checks in order. A check may use what an earlier one has read; a failed check does not stop the others."""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import datetime, timezone
from typing import TypeVar

from analytics_dagster.cli.doctor import (
    channels,
    dagster_storage,
    environment,
    lake,
    postgres,
    project,
    storage_locations,
    warehouse,
)
from analytics_dagster.cli.doctor.result import Check, CheckResult, CheckStatus, Clocks
from analytics_dagster.errors import AnalyticsError, SettingsError
from analytics_dagster.execution.failures.deployment import build_deployment_info
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.project.files import find_project
from analytics_dagster.project.profile import Target, load_target
from analytics_dagster.redaction import redact, useful_lines
from analytics_dagster.settings import Settings, environment_variables
from analytics_dagster.warehouse import Kind, duckdb_path, kind_of

T = TypeVar("T")


def run_checks(read_settings: Callable[[], Settings]) -> Iterator[CheckResult]:
    """Yield the result of each check as soon as it is known, without secrets."""
    yield from environment.check_versions(environment.read_installed(), platform.python_version())
    try:
        settings = read_settings()
    except SettingsError as error:
        yield environment.SETTINGS.failed(error)
        return
    secrets = build_deployment_info(settings, "").secrets
    for one in _run_checks(settings):
        yield CheckResult(one.check, one.status, redact(one.message, secrets), redact(one.remedy, secrets))


def has_error(results: Iterable[CheckResult]) -> bool:
    """Return whether any result is an error."""
    return any(one.status is CheckStatus.ERROR for one in results)


def _run_checks(settings: Settings) -> Iterator[CheckResult]:
    clocks: Clocks = {}
    yield from environment.check_settings(settings, environment_variables())
    target = yield from _read(project.PROJECT, lambda: load_target(find_project(settings)))
    if target is not None:
        yield project.check_target(settings, target)
    groups = yield from _read(project.GROUPS, lambda: load_groups(settings))
    if groups is not None and target is not None:
        yield from _guarded(project.MANIFEST, lambda: project.check_manifest(settings, target, groups))
    if target is not None and target.adapter == "duckdb":
        yield from _guarded(warehouse.EXTENSIONS, lambda: warehouse.check_extensions(target.credentials))
    if target is not None:
        yield from _guarded(warehouse.CHECK, lambda: _check_warehouse(settings, target, clocks))
    yield from _guarded(dagster_storage.STORAGE, lambda: dagster_storage.check_storage(settings))
    yield from _guarded(storage_locations.CHECK, lambda: storage_locations.check_locations(settings))
    yield from _guarded(channels.ALERTS, lambda: channels.check_routes(settings))
    yield from _guarded(channels.ALERTS, lambda: channels.check_channels(settings, clocks))
    now = datetime.now(tz=timezone.utc)
    yield environment.check_clock(now, clocks)
    if groups is not None:
        yield project.check_time_zones(settings, groups, now)


def _check_warehouse(settings: Settings, target: Target, clocks: Clocks) -> Iterable[CheckResult]:
    """Return the results for the kind of warehouse."""
    project_dir, kind = settings.project_dir, kind_of(target)
    path = duckdb_path(target, project_dir)
    if path is not None:
        return warehouse.check_file(path)
    if kind is Kind.LAKE:
        return lake.check_lake(target, project_dir)
    if kind is Kind.POSTGRES:
        return postgres.check_postgres(target, clocks)
    return [warehouse.check_with_dbt(target, project_dir, clocks)]


def _read(check: Check, read: Callable[[], T]) -> Generator[CheckResult, None, T | None]:
    """Return what ``read`` returns, or yield its error and return None."""
    values: list[T] = []

    def run() -> Iterable[CheckResult]:
        values.append(read())
        return ()

    yield from _guarded(check, run)
    return values[0] if values else None


def _guarded(check: Check, run: Callable[[], Iterable[CheckResult]]) -> Iterator[CheckResult]:
    """Yield the results of a check, and an error if it raises."""
    try:
        yield from run()
    except AnalyticsError as error:
        yield check.failed(error)
    except Exception as error:  # noqa: BLE001 - each library has errors of its own, and one must not hide the rest
        message = useful_lines(f"{type(error).__name__}: {error}", most=3)
        yield check.error(message, "Correct the cause; if there is none in your setup, report a bug.")
