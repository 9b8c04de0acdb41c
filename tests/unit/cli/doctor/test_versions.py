"""Versions that do not fit together are named with what would mend them."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from analytics_dagster.cli.doctor.finding import Status
from analytics_dagster.cli.doctor.versions import OURS, Installed, check_versions, read_installed


def _installed(version: str, *requires: str, python: str = "") -> Installed:
    return Installed(version, tuple(map(Requirement, requires)), python)


OUR_OWN = _installed(
    "0.1.0",
    "dagster<1.14,>=1.13.27",
    "dagster-dbt<0.30,>=0.29.27",
    'dbt-postgres>=1.9; extra == "production"',
    'colorama; sys_platform == "nowhere"',
    python="<3.14,>=3.10",
)
FITTING = {
    OURS: OUR_OWN,
    "dagster": _installed("1.13.27"),
    "dagster-dbt": _installed("0.29.27", "dagster==1.13.27", 'dagster>=9; extra == "test"'),
}


def test_what_fits_is_told_in_one_line() -> None:
    [finding] = check_versions(FITTING, python="3.12.1")
    assert finding.status is Status.OK
    assert "Python 3.12.1, dagster 1.13.27, dagster-dbt 0.29.27" in finding.said


@pytest.mark.parametrize(
    ("changed", "python", "said", "remedy"),
    [
        (
            {"dagster": _installed("1.14.0")},
            "3.12.1",
            "dagster 1.14.0 is installed; analytics-dagster 0.1.0 needs <1.14,>=1.13.27.",
            'pip install "dagster<1.14,>=1.13.27"',
        ),
        (
            {"dagster": _installed("1.13.28")},
            "3.12.1",
            "dagster 1.13.28 is installed; dagster-dbt 0.29.27 needs ==1.13.27.",
            'pip install "dagster==1.13.27"',
        ),
        ({"dagster-dbt": None}, "3.12.1", "dagster-dbt is not installed.", 'pip install "dagster-dbt<0.30,>=0.29.27"'),
        (
            {"dbt-postgres": _installed("1.8.2")},
            "3.12.1",
            "dbt-postgres 1.8.2 is installed; analytics-dagster 0.1.0 needs >=1.9.",
            'pip install "dbt-postgres>=1.9"',
        ),
        (
            {},
            "3.14.0",
            "Python 3.14.0 runs this; analytics-dagster needs <3.14,>=3.10.",
            "Install with another Python.",
        ),
    ],
    ids=["beyond our range", "of another release", "absent", "of an extra that is there", "another Python"],
)
def test_what_does_not_fit_is_an_error_with_the_command_that_mends_it(
    changed: dict[str, Installed | None], python: str, said: str, remedy: str
) -> None:
    installed = {name: one for name, one in {**FITTING, **changed}.items() if one is not None}
    findings = [finding for finding in check_versions(installed, python) if finding.status is Status.ERROR]
    assert (said, remedy) in [(finding.said, finding.remedy) for finding in findings]


def test_a_package_that_is_only_importable_is_a_doubt() -> None:
    [finding] = check_versions({})
    assert finding.status is Status.WARNING


def test_what_is_installed_here_is_read_and_fits() -> None:
    installed = read_installed()
    assert {OURS, "dagster", "dagster-dbt", "dbt-core", "duckdb"} <= installed.keys()
    assert [finding.said for finding in check_versions(installed) if finding.status is not Status.OK] == []
