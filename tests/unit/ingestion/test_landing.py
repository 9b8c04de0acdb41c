"""The landing zone: which files are listed, and errors without secrets."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from analytics_dagster.errors import LandingZoneError
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.tables import LandedTable

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


ORDERS = LandedTable("source.p.shop.orders", "shop", "orders", "raw", "orders", "orders/**/*.csv", "csv")


def source(landing: Any, **more: Any) -> dict[str, Any]:
    return {
        "source_name": "shop",
        "name": "orders",
        "schema": "raw",
        "identifier": "orders_v2",
        "original_file_path": "models/shop.yml",
        "meta": {"landing": landing},
        **more,
    }


def put(folder: Path, path: str, content: bytes = b"id\n1\n", modified: datetime | None = None) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    if modified:
        os.utime(file, (modified.timestamp(), modified.timestamp()))
    return file


def test_files_of_a_table_are_listed_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for path in ("orders/b.csv", "orders/2026/01/a.csv", "items/a.csv", "orders/a.txt"):
        put(tmp_path, path, modified=NOON)
    for path in ("_rejected/orders/x.csv", "orders/_tmp/x.csv", "orders/.x.csv.part", "orders/.x.csv", "orders/_x.csv"):
        put(tmp_path, path)
    expected = (LandedFile("orders/2026/01/a.csv", 5, NOON), LandedFile("orders/b.csv", 5, NOON))
    assert Landing(str(tmp_path)).list_files(ORDERS) == expected
    assert Landing(f"file://{tmp_path}/").list_files(ORDERS) == expected


def test_a_landing_zone_may_be_any_fsspec_url() -> None:
    url = f"memory://{uuid4().hex}"
    fsspec.filesystem("memory").pipe_file(f"{url}/orders/a.csv", b"id\n1\n")
    landing = Landing(url)
    (file,) = landing.list_files(ORDERS)
    assert (file.path, file.size, file.modified.tzinfo) == ("orders/a.csv", 5, timezone.utc)
    assert landing.read(file.path) == b"id\n1\n"
    assert landing.quarantine_path(file) == "_rejected/orders/a.csv"
    assert landing.quarantined(ORDERS) == {}
    assert landing.quarantine(file, "_rejected/orders/a.csv", "broken: at 1")
    assert landing.quarantined(ORDERS) == {"_rejected/orders/a.csv": "broken: at 1"}
    assert landing.list_files(ORDERS) == ()
    assert landing.read("_rejected/orders/a.csv.reason.txt") == b"orders/a.csv: broken: at 1\n"


def test_a_file_younger_than_the_settle_time_is_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "orders/a.csv", modified=NOON)
    landing = Landing(str(tmp_path), settle_seconds=60)
    assert landing.list_files(ORDERS, now=NOON + timedelta(seconds=59)) == ()
    assert len(landing.list_files(ORDERS, now=NOON + timedelta(seconds=60))) == 1


def test_a_landing_zone_without_files_of_the_table_is_no_error(tmp_path: Path) -> None:
    assert Landing(str(tmp_path)).list_files(ORDERS) == ()


def test_a_missing_folder_is_an_error_that_names_it_and_the_variable(tmp_path: Path) -> None:
    with pytest.raises(LandingZoneError, match="nowhere") as caught:
        Landing(str(tmp_path / "nowhere")).list_files(ORDERS)
    assert "ANALYTICS_LANDING_URL" in caught.value.remedy


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense://bucket/x", "nonsense"),
        ("gs://bucket/landing", "gcsfs"),
        ("http://127.0.0.1:9/landing", "can't be read"),
        ("sftp://me:sesame@127.0.0.1:9/x", "can't be read"),
    ],
)
def test_a_url_that_cannot_be_read_is_an_error_with_the_cause_and_no_secret(url: str, message: str) -> None:
    options = {"key": "AKIAEXAMPLE", "client_kwargs": {"aws_secret_access_key": "hunter2"}}
    with pytest.raises(LandingZoneError) as caught:
        Landing(url, options=options).list_files(ORDERS)
    assert message in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("AKIAEXAMPLE", "hunter2", "sesame"))
    assert caught.value.__cause__ is None


def test_a_drivers_error_is_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    class DeniedError(Exception):
        pass

    def deny(*_: object, **__: object) -> None:
        raise DeniedError("403 for key AKIAEXAMPLE with secret hunter2 at http://s3.local")

    memory = fsspec.filesystem("memory").__class__
    monkeypatch.setattr(memory, "find", deny)
    options = {"key": "AKIAEXAMPLE", "secret": "hunter2", "endpoint_url": "http://s3.local"}
    with pytest.raises(
        LandingZoneError, match=r"DeniedError: 403 for key \*\*\* with secret \*\*\* at http://s3.local"
    ):
        Landing("memory://x", options=options).list_files(ORDERS)


def test_secrets_are_not_in_the_repr_of_a_landing_zone() -> None:
    assert "hunter2" not in repr(Landing("s3://b", options={"secret": "hunter2"}))


def test_a_second_malformed_file_of_one_name_does_not_replace_the_first(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    for content in (b"first", b"second"):
        put(tmp_path, "orders/a.csv", content, modified=NOON)
        (file,) = landing.list_files(ORDERS)
        assert landing.quarantine(file, landing.quarantine_path(file), "broken")
    kept = {path.read_bytes() for path in (tmp_path / "_rejected/orders").glob("*.csv")}
    assert kept == {b"first", b"second"}
    assert len(landing.quarantined(ORDERS)) == 2


def test_a_quarantined_file_without_its_reason_is_still_listed(tmp_path: Path) -> None:
    put(tmp_path, "_rejected/orders/a.csv")
    put(tmp_path, "_rejected/items/a.csv")
    assert Landing(str(tmp_path)).quarantined(ORDERS) == {"_rejected/orders/a.csv": "the reason is not known"}
