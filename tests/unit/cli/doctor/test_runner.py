"""All checks run, whatever one of them raises."""

from __future__ import annotations

from collections.abc import Iterator

from analytics_dagster.cli.doctor.result import Check, CheckResult, CheckStatus
from analytics_dagster.cli.doctor.runner import _guarded, has_error, run_checks
from analytics_dagster.errors import SettingsError
from analytics_dagster.settings import Settings


def test_a_check_that_raises_is_an_error_result_and_the_others_run() -> None:
    def fail() -> Iterator[CheckResult]:
        yield CheckResult("one", CheckStatus.OK, "worked")
        raise RuntimeError("out of paper")

    results = list(_guarded(Check("printer"), fail))
    assert [result.status for result in results] == [CheckStatus.OK, CheckStatus.ERROR]
    assert "RuntimeError: out of paper" in results[1].message
    assert has_error(results)


def test_invalid_settings_end_the_checks() -> None:
    def read() -> Settings:
        raise SettingsError("ANALYTICS_TIME_ZONE is wrong.", remedy="Correct it.")

    [*_, last] = run_checks(read)
    assert (last.check, last.status) == ("settings", CheckStatus.ERROR)
    assert (last.message, last.remedy) == ("ANALYTICS_TIME_ZONE is wrong.", "Correct it.")
