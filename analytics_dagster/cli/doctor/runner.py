"""All checks, one after the other: what one has found out the next may need, and none keeps another from its work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone

from analytics_dagster.cli.doctor import (
    channels,
    clock,
    lake,
    postgres,
    project,
    storage,
    storage_locations,
    variables,
    versions,
    warehouse,
)
from analytics_dagster.cli.doctor.finding import Finding, Status, ill, of_error
from analytics_dagster.errors import AnalyticsError, SettingsError
from analytics_dagster.execution.failures.deployment import build_deployment_info
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.project.files import find_project
from analytics_dagster.project.profile import Target, load_target
from analytics_dagster.redaction import redact, useful_lines
from analytics_dagster.settings import Settings, environment_variables
from analytics_dagster.warehouse import Kind, duckdb_path, kind_of


def examine(read_settings: Callable[[], Settings]) -> Iterator[Finding]:
    """Yield what every check finds, as soon as it has; no secret is in it."""
    yield from versions.check_versions(versions.read_installed())
    try:
        settings = read_settings()
    except SettingsError as error:
        yield of_error(variables.CHECK, error)
        return
    secrets = build_deployment_info(settings, "").secrets
    for finding in _Examination(settings).findings():
        yield Finding(finding.check, finding.status, redact(finding.said, secrets), redact(finding.remedy, secrets))


class _Examination:
    """The settings, and what has been found out by them so far."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._target: Target | None = None
        self._groups: ScheduleGroups | None = None
        self._clocks: dict[str, datetime] = {}

    def findings(self) -> Iterator[Finding]:
        """Yield what the checks find."""
        settings = self._settings
        yield from variables.check_settings(settings, environment_variables())
        yield from _guarded(project.PROJECT, self._find_target)
        yield from _guarded(project.GROUPS, self._find_groups)
        if self._groups is not None and self._target is not None:
            yield from _guarded(project.MANIFEST, self._find_manifest)
        if self._target is not None:
            yield from _guarded(warehouse.EXTENSIONS, self._find_extensions)
            yield from _guarded(warehouse.CHECK, self._find_warehouse)
        yield from _guarded(storage.CHECK, lambda: storage.check_storage(settings))
        yield from _guarded(storage_locations.CHECK, lambda: storage_locations.check_places(settings))
        yield from _guarded(channels.ALERTS, self._find_channels)
        yield clock.check_clock(datetime.now(tz=timezone.utc), self._clocks)
        if self._groups is not None:
            yield from project.check_time_zones(settings, self._groups, datetime.now(tz=timezone.utc))

    def _find_target(self) -> Iterator[Finding]:
        self._target = load_target(find_project(self._settings))
        yield from project.check_target(self._settings, self._target)

    def _find_groups(self) -> Iterable[Finding]:
        self._groups = load_groups(self._settings)
        return ()

    def _find_manifest(self) -> Iterator[Finding]:
        if self._groups is None or self._target is None:
            raise AssertionError
        found, findings = project.check_manifest(self._settings, self._target, self._groups)
        yield from findings
        if found is not None:
            yield from project.check_plan(self._groups, found)

    def _find_warehouse(self) -> Iterator[Finding]:
        if self._target is None:
            raise AssertionError
        project_dir, kind = self._settings.project_dir, kind_of(self._target)
        path = duckdb_path(self._target, project_dir)
        if path is not None:
            yield from warehouse.check_file(path)
            return
        if kind is Kind.LAKE:
            yield from lake.check_lake(self._target, project_dir)
            return
        is_postgres = kind is Kind.POSTGRES
        probed = postgres.check_postgres(self._target) if is_postgres else warehouse.probe(self._target, project_dir)
        if probed.now is not None:
            self._clocks["the warehouse"] = probed.now
        yield from probed.findings

    def _find_extensions(self) -> Iterator[Finding]:
        if self._target is not None and self._target.adapter == "duckdb":
            yield from warehouse.check_extensions(self._target.credentials)

    def _find_channels(self) -> Iterator[Finding]:
        settings = self._settings
        yield from _guarded(channels.ALERTS, lambda: channels.check_routes(settings))
        if settings.slack_token is not None:
            answer = channels.ask_slack(settings.slack_token, settings.slack_api_url, settings.alert_timeout)
            if answer.moment is not None:
                self._clocks["Slack"] = answer.moment
            yield answer.finding
        yield from channels.check_webhooks(settings.slack_webhooks)
        yield from channels.check_pagerduty(settings.pagerduty_keys)
        if settings.smtp_url is not None:
            yield channels.check_mail(settings.smtp_url, settings.mail_from or "", settings.alert_timeout)


def _guarded(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds, or the finding that it could not look."""
    try:
        yield from look()
    except AnalyticsError as error:
        yield of_error(check, error)
    except Exception as error:  # noqa: BLE001 - each library has errors of its own, and one must not hide the rest
        said = useful_lines(f"{type(error).__name__}: {error}", most=3)
        yield ill(check, said, "Correct what it names, or tell the maintainers: no check is to end like this.")


def is_well(findings: Iterable[Finding]) -> bool:
    """Return whether nothing found is an error."""
    return all(finding.status is not Status.ERROR for finding in findings)
