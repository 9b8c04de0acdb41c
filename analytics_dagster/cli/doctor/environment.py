"""Checks the machine: installed versions, environment variables and the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from analytics_dagster.cli.doctor.result import Check, CheckResult, Clocks
from analytics_dagster.settings import Environment, Settings, misspelled_settings, variable_name

OURS = "analytics-dagster"
VERSIONS = Check("versions")
SETTINGS = Check("settings")
CLOCK = Check("clock")

_SHOWN = ("dagster", "dagster-dbt", "dbt-core", "dbt-duckdb", "duckdb")
_CLOCK_WARNING = 30.0  # seconds; schedules tick by the minute
_CLOCK_ERROR = 300.0  # seconds; S3 refuses requests after fifteen minutes, tokens sooner


@dataclass(frozen=True)
class Installed:
    """The version of an installed distribution, and what its metadata requires."""

    version: str
    requires: tuple[Requirement, ...] = ()
    python: str = ""


def read_installed() -> Mapping[str, Installed]:
    """Return our own distribution and its installed requirements, optional ones included, by name."""
    ours = _find(OURS)
    if ours is None:
        return {}
    names = sorted({str(canonicalize_name(requirement.name)) for requirement in ours.requires} - {OURS})
    return {name: one for name in (OURS, *names) if (one := _find(name)) is not None}


def _find(name: str) -> Installed | None:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    requires = tuple(Requirement(text) for text in found.requires or ())
    return Installed(found.version, requires, "".join(found.metadata.get_all("Requires-Python") or []))


def check_versions(installed: Mapping[str, Installed], python: str) -> Iterator[CheckResult]:
    """Yield the requirements of our own distribution, and of those that it requires, which are not met. Pure."""
    if OURS not in installed:
        message = "The package can be imported but is not installed: its requirements are unknown."
        yield VERSIONS.warning(message, "Install it: run `pip install .` in its folder.")
        return
    unmet = list(_unmet(installed, python))
    yield from unmet
    if not unmet:
        shown = ", ".join(f"{name} {installed[name].version}" for name in _SHOWN if name in installed)
        yield VERSIONS.ok(f"{OURS} {installed[OURS].version}, Python {python}, {shown}: all requirements are met.")


def _unmet(installed: Mapping[str, Installed], python: str) -> Iterator[CheckResult]:
    ours = installed[OURS]
    if python not in SpecifierSet(ours.python):
        yield VERSIONS.error(f"Python {python} is running; {OURS} needs {ours.python}.", "Install with another Python.")
    for requirement in _requirements(ours, extras=False):
        if canonicalize_name(requirement.name) not in installed:
            yield VERSIONS.error(f"{requirement.name} is not installed.", _install(requirement))
    for name, one in installed.items():
        for requirement in _requirements(one, extras=name == OURS):
            found = installed.get(canonicalize_name(requirement.name))
            if found is not None and not requirement.specifier.contains(found.version, prereleases=True):
                is_installed = f"{requirement.name} {found.version} is installed"
                needed = f"{name} {one.version} needs {requirement.specifier}"
                yield VERSIONS.error(f"{is_installed}; {needed}.", _install(requirement))


def _requirements(one: Installed, *, extras: bool) -> Iterator[Requirement]:
    """Yield what a distribution requires on this machine; with ``extras`` also what any of its extras requires."""
    for requirement in one.requires:
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or (extras and "extra" in str(marker)):
            yield requirement


def _install(requirement: Requirement) -> str:
    return f'pip install "{requirement.name}{requirement.specifier}"'


def check_settings(settings: Settings, names: Iterable[str]) -> Iterator[CheckResult]:
    """Yield the environment, and the variables whose name is similar to a setting's but has no effect. Pure."""
    names = list(names)
    for name, meant in misspelled_settings(names).items():
        yield SETTINGS.warning(
            f"{name} is not a setting and has no effect. Did you mean {meant}?", "Rename or unset it."
        )
    is_default = settings.environment is Environment.DEV and variable_name("environment") not in names
    environment = f"environment {settings.environment.value}{' (the default)' if is_default else ''}"
    automation = "on" if settings.automation_is_on else "off"
    yield SETTINGS.ok(f"{environment}; schedules and sensors start turned {automation}.")


def check_clock(now: datetime, others: Clocks) -> CheckResult:
    """Return how far this machine's clock is from the clocks of ``others``, by name. Pure."""
    if not others:
        return CLOCK.ok(f"{now:%Y-%m-%d %H:%M:%S %Z}; no other clock was available for a comparison.")
    name, other = max(others.items(), key=lambda item: abs(now - item[1]))
    seconds = (now - other).total_seconds()
    if abs(seconds) <= _CLOCK_WARNING:
        return CLOCK.ok(f"It differs from that of {name} by less than {_CLOCK_WARNING:g} s.")
    message = f"This machine's clock is {abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} {name}."
    make = CLOCK.error if abs(seconds) > _CLOCK_ERROR else CLOCK.warning
    return make(message, "Synchronize it by NTP (`timedatectl set-ntp true`): schedules depend on it.")
