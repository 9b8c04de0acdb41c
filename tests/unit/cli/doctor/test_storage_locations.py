"""The landing zone, exports and reports are checked without creating anything."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from analytics_dagster.cli.doctor import storage_locations
from analytics_dagster.cli.doctor.result import CheckStatus
from analytics_dagster.settings import Settings


def test_local_folders_exist_or_can_be_created(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file")
    (tmp_path / "reports").mkdir()
    settings = Settings(data_dir=tmp_path, outbound_url=str(tmp_path / "exports"))
    by_name = {result.check: result for result in storage_locations.check_locations(settings)}
    assert by_name["landing zone"].status is CheckStatus.WARNING
    assert by_name["landing zone"].remedy == f"mkdir -p {tmp_path / 'landing'}"
    assert by_name["exports"].status is CheckStatus.ERROR
    assert by_name["reports"].status is CheckStatus.OK
    assert not (tmp_path / "landing").exists(), "nothing is created"


@pytest.mark.parametrize(
    ("url", "told"),
    [("nowhere://user:hunter22@host/path", "nowhere://host/path can't be"), ("memory://landing", "memory://landing")],
)
def test_an_unreachable_location_is_reported_without_its_password(url: str, told: str, tmp_path: Path) -> None:
    results = storage_locations.check_locations(Settings(data_dir=tmp_path, landing_url=url))
    [result] = [result for result in results if result.check == "landing zone"]
    assert result.status is CheckStatus.ERROR
    assert told in result.message
    assert "hunter22" not in result.message + result.remedy
    assert "ANALYTICS_LANDING" in result.remedy


def test_a_driver_that_hangs_is_not_waited_for() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        storage_locations.within(0.1, lambda: time.sleep(5))
    assert time.monotonic() - started < 2
    with pytest.raises(ZeroDivisionError):
        storage_locations.within(5, lambda: 1 // 0)
