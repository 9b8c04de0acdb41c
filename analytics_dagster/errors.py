"""Errors that a user can fix: each says what was read, what is wrong and what to do."""

from __future__ import annotations


class AnalyticsError(Exception):
    """An error that a user can fix; the command line prints it without a traceback.

    ``problem`` says what was read, from where, and what is wrong with it; ``remedy`` says what to do.
    """

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem}\n  -> {remedy}")
        self.problem = problem
        self.remedy = remedy


class SettingsError(AnalyticsError):
    """A setting is missing, unknown or malformed."""


class ProjectError(AnalyticsError):
    """The dbt project, its profile or its manifest can't be used."""


class ProfileError(ProjectError):
    """The dbt profile can't be used here: it is missing or incomplete, or its adapter is not installed."""


class ScheduleGroupError(AnalyticsError):
    """The schedule groups, or what they select, can't be used."""


class AlertError(AnalyticsError):
    """The alert routes, or a channel that they name, can't be used."""


class LandingZoneError(AnalyticsError):
    """The landing zone can't be read."""


class FolderError(AnalyticsError):
    """A folder or bucket for results can't be used."""


class WarehouseError(AnalyticsError):
    """The warehouse can't be reached, or another process holds it."""


class NoWarehouseYetError(WarehouseError):
    """The warehouse does not exist yet, so there is nothing to read."""


class HomeError(AnalyticsError):
    """Dagster's home can't be used: another process has it open."""
