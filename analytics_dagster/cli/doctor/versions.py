"""Whether the installed versions fit together, by what the distributions themselves say that they need."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, well

OURS = "analytics-dagster"
CHECK = "versions"

_TOLD = ("dagster", "dagster-dbt", "dbt-core", "dbt-duckdb", "duckdb")


@dataclass(frozen=True)
class Installed:
    """A distribution: its version, and what its metadata says that it needs."""

    version: str
    requires: tuple[Requirement, ...] = ()
    python: str = ""


def read_installed() -> Mapping[str, Installed]:
    """Return our own distribution, and those that it needs or may need, as far as they are installed; by name."""
    ours = _find(OURS)
    if ours is None:
        return {}
    names = {canonicalize_name(requirement.name) for requirement in ours.requires}
    found = {str(name): _find(name) for name in sorted(names) if name != OURS}
    return {OURS: ours, **{name: one for name, one in found.items() if one is not None}}


def _find(name: str) -> Installed | None:
    try:
        found: Distribution = distribution(name)
    except PackageNotFoundError:
        return None
    requires = tuple(Requirement(text) for text in found.requires or ())
    return Installed(found.version, requires, "".join(found.metadata.get_all("Requires-Python") or []))


def check_versions(installed: Mapping[str, Installed], python: str = platform.python_version()) -> Iterator[Finding]:
    """Yield what does not fit: what we need and is absent or of another version, and what others need of each other.

    Pure: ``installed`` holds our own distribution and those that it names.
    """
    if OURS not in installed:
        yield doubt(
            CHECK,
            "The package is not installed, only importable: what it needs can't be looked up.",
            "Install it: `pip install .` in its folder.",
        )
        return
    misfits = [*_python(installed[OURS], python), *_absent(installed)]
    misfits += [misfit for name, one in installed.items() for misfit in _misfits(name, one, installed)]
    yield from misfits
    if not misfits:
        told = ", ".join(f"{name} {installed[name].version}" for name in _TOLD if name in installed)
        yield well(CHECK, f"{OURS} {installed[OURS].version}, Python {python}, {told}: they fit together.")


def _python(ours: Installed, python: str) -> Iterator[Finding]:
    if python not in SpecifierSet(ours.python):
        yield ill(CHECK, f"Python {python} runs this; {OURS} needs {ours.python}.", "Install with another Python.")


def _absent(installed: Mapping[str, Installed]) -> Iterator[Finding]:
    for requirement in _needed(installed[OURS], extras=False):
        if canonicalize_name(requirement.name) not in installed:
            yield ill(CHECK, f"{requirement.name} is not installed.", _install(requirement))


def _misfits(name: str, one: Installed, installed: Mapping[str, Installed]) -> Iterator[Finding]:
    for requirement in _needed(one, extras=name == OURS):
        needed = installed.get(canonicalize_name(requirement.name))
        if needed is not None and not requirement.specifier.contains(needed.version, prereleases=True):
            said = f"{requirement.name} {needed.version} is installed; {name} {one.version} needs"
            yield ill(CHECK, f"{said} {requirement.specifier}.", _install(requirement))


def _needed(one: Installed, *, extras: bool) -> Iterator[Requirement]:
    """Yield what a distribution needs here; with ``extras`` also what it would need with any of its extras."""
    environment = {name: str(value) for name, value in default_environment().items()}
    for requirement in one.requires:
        marker = requirement.marker
        if marker is None or marker.evaluate({**environment, "extra": ""}) or (extras and "extra" in str(marker)):
            yield requirement


def _install(requirement: Requirement) -> str:
    return f'pip install "{requirement.name}{requirement.specifier}"'
