"""Each check of the doctor finds what is wrong, says what to do, and holds its tongue about secrets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from analytics_dagster.cli.doctor import clock, lake, storage, storage_locations, variables, warehouse
from analytics_dagster.cli.doctor.channels import ask_slack, check_mail, check_pagerduty, check_routes, check_webhooks
from analytics_dagster.cli.doctor.finding import Finding, Status
from analytics_dagster.cli.doctor.runner import _guarded, examine, is_well
from analytics_dagster.errors import SettingsError
from analytics_dagster.settings import Settings

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


# --- settings and clock ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ANALYTICS_TIMEZONE", "ANALYTICS_TIME_ZONE"),
        ("ANALYTICS_SLACK_WEBHOOK__FINANCE", "ANALYTICS_SLACK_WEBHOOKS"),
        ("ANALYTICS_TIME_ZONE", None),
        ("ANALYTICS_CRON__HOURLY", None),
        ("ANALYTICS_POSTGRES_HOST", None),
        ("TIMEZONE", None),
    ],
)
def test_a_variable_that_is_almost_a_setting_is_named_with_the_one_that_is_meant(name: str, meant: str | None) -> None:
    doubts = [one for one in variables.check_settings(Settings(), [name]) if one.status is Status.WARNING]
    assert [one.said for one in doubts] == (
        [f"{name} is no setting, and has no effect by itself; is {meant} meant?"] if meant else []
    )


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, Status.OK), (-29, Status.OK), (45, Status.WARNING), (-45, Status.WARNING), (900, Status.ERROR)],
)
def test_a_clock_that_is_wrong_by_minutes_is_an_error(seconds: float, status: Status) -> None:
    others = {"Slack": NOON - timedelta(seconds=seconds), "the warehouse": NOON}
    finding = clock.check_clock(NOON, others)
    assert finding.status is status
    assert seconds <= 0 or status is Status.OK or "ahead of Slack" in finding.said


# --- places ---------------------------------------------------------------------------------------------------------


def test_local_places_are_there_or_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file")
    (tmp_path / "reports").mkdir()
    settings = Settings(data_dir=tmp_path, outbound_url=str(tmp_path / "exports"))
    by_name = {finding.check: finding for finding in storage_locations.check_places(settings)}
    assert by_name["landing zone"].status is Status.WARNING
    assert by_name["landing zone"].remedy == f"mkdir -p {tmp_path / 'landing'}"
    assert by_name["exports"].status is Status.ERROR
    assert by_name["reports"].status is Status.OK
    assert not (tmp_path / "landing").exists(), "nothing is made"


@pytest.mark.parametrize(
    ("url", "told"),
    [("nowhere://user:hunter22@host/path", "nowhere://host/path can't be"), ("memory://landing", "memory://landing")],
)
def test_a_place_that_can_not_be_opened_is_told_without_its_password(url: str, told: str, tmp_path: Path) -> None:
    findings = storage_locations.check_places(Settings(data_dir=tmp_path, landing_url=url))
    [finding] = [finding for finding in findings if finding.check == "landing zone"]
    assert finding.status is Status.ERROR
    assert told in finding.said
    assert "hunter22" not in finding.said + finding.remedy
    assert "ANALYTICS_LANDING" in finding.remedy


def test_a_driver_that_does_not_come_back_is_not_waited_for() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        storage_locations.within(0.1, lambda: time.sleep(5))
    assert time.monotonic() - started < 2
    with pytest.raises(ZeroDivisionError):
        storage_locations.within(5, lambda: 1 // 0)


# --- warehouse ------------------------------------------------------------------------------------------------------


def test_a_warehouse_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "data" / "warehouse.duckdb"
    [finding] = warehouse.check_file(path)
    assert finding.status is Status.OK
    assert not path.parent.exists()


def test_a_warehouse_is_written_for_a_try_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(path)).close()
    [finding] = warehouse.check_file(path)
    assert finding.status is Status.OK, finding
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select count(*) from information_schema.tables").fetchone() == (0,)


def test_a_file_that_is_no_warehouse_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_text("not a database, " * 1000)
    [finding] = _guarded("warehouse", lambda: warehouse.check_file(path))
    assert finding.status is Status.ERROR
    assert str(path) in finding.said


@pytest.mark.parametrize(
    ("credentials", "needed"),
    [
        ({"path": "a.duckdb"}, []),
        ({"path": "a.duckdb", "extensions": ["httpfs", {"name": "h3", "repo": "community"}]}, ["httpfs", "h3"]),
        ({"path": "a.duckdb", "secrets": [{"type": "s3"}, {"type": "postgres"}]}, ["httpfs", "postgres_scanner"]),
        ({"path": ":memory:", "attach": [{"path": "ducklake:postgres:dbname=a"}]}, ["ducklake", "postgres_scanner"]),
        ({"path": ":memory:", "attach": [{"path": "dbname=a", "type": "postgres"}]}, ["postgres_scanner"]),
        ({"path": "ducklake:meta.ducklake", "extensions": ["ducklake"]}, ["ducklake"]),
        ({"path": "md:analytics"}, ["motherduck"]),
        ({"path": "C:\\data\\a.duckdb"}, []),
    ],
    ids=str,
)
def test_the_extensions_that_a_target_needs_are_read_off_it(credentials: dict[str, Any], needed: list[str]) -> None:
    assert warehouse.needed_extensions(credentials) == needed


@pytest.mark.parametrize(
    ("attached", "found"),
    [
        ([], []),
        ([{"path": "other.duckdb"}, "text"], []),
        ([{"path": "ducklake:metadata.ducklake"}], []),
        ([{"path": "ducklake:postgres:dbname=a"}], [lake.Catalog("dbname=a", "", "public")]),
        (
            [{"path": "ducklake:postgres:", "options": {"META_SECRET": "s", "metadata_schema": "lake"}}],
            [lake.Catalog("", "s", "lake")],
        ),
    ],
    ids=str,
)
def test_the_catalogs_in_postgresql_are_read_off_a_target(attached: list[Any], found: list[lake.Catalog]) -> None:
    assert lake.catalogs({"attach": attached}) == found
    assert lake.catalogs({}) == []


@pytest.mark.parametrize(
    ("options", "status", "remedy"),
    [
        ({}, Status.WARNING, "On a closed network install it from the package registry: pip install"),
        ({"autoinstall_known_extensions": "false"}, Status.ERROR, "then analytics-dagster prepare"),
    ],
    ids=["downloaded", "closed"],
)
def test_an_extension_that_is_not_there_is_told_with_its_package(
    options: dict[str, str], status: Status, remedy: str, tmp_path: Path
) -> None:
    credentials = {"extensions": ["spatial"], "config_options": {"extension_directory": str(tmp_path), **options}}
    [finding] = warehouse.check_extensions(credentials)
    assert finding.status is status
    assert str(tmp_path) in finding.said
    assert "duckdb-extension-spatial" in finding.remedy
    assert remedy in finding.remedy


def test_extensions_that_are_there_are_well() -> None:
    [finding] = warehouse.check_extensions({"extensions": ["json", "icu"]})
    assert finding.status is Status.OK


def test_an_extension_in_a_package_is_put_in_place_by_the_next_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(warehouse, "_is_packaged", lambda _: True)
    credentials = {"extensions": ["spatial"], "config_options": {"extension_directory": str(tmp_path)}}
    [finding] = warehouse.check_extensions(credentials)
    assert (finding.status, finding.remedy) == (Status.WARNING, "analytics-dagster prepare")


# --- storage --------------------------------------------------------------------------------------------------------


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    [ours] = storage.check_storage(Settings(dbt_project_dir=tmp_path / "dbt"))
    assert ours.status is Status.OK
    [named] = storage.check_storage(Settings(dagster_home=tmp_path / "home"))
    assert named.status is Status.WARNING
    assert named.remedy == f"mkdir -p {tmp_path / 'home'}"
    [relative] = storage.check_storage(Settings(dagster_home=Path("home")))
    assert relative.status is Status.ERROR
    assert list(tmp_path.iterdir()) == []


# --- channels -------------------------------------------------------------------------------------------------------


class _Slack(BaseHTTPRequestHandler):
    """Answers `auth.test` by the token: one is in force, one may not post, all others are unknown."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        token = self.headers["Authorization"].removeprefix("Bearer ")
        known = token in {"xoxb-good", "xoxb-mute"}
        body = (
            b'{"ok": true, "user": "dagster", "team": "Data"}' if known else b'{"ok": false, "error": "invalid_auth"}'
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if known:
            self.send_header("x-oauth-scopes", "chat:write,users:read" if token == "xoxb-good" else "users:read")  # noqa: S105
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def slack() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slack) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("token", "status", "told"),
    [
        ("xoxb-good", Status.OK, "dagster in Data"),
        ("xoxb-mute", Status.ERROR, "lacks the scope chat:write"),
        ("xoxb-gone", Status.ERROR, "invalid_auth"),
    ],
)
def test_slack_says_whose_a_token_is_and_what_time_it_is(slack: str, token: str, status: Status, told: str) -> None:
    answer = ask_slack(SecretStr(token), slack, timeout=5)
    assert answer.finding.status is status
    assert told in answer.finding.said
    assert token not in answer.finding.said + answer.finding.remedy
    assert answer.moment is not None
    assert abs(answer.moment - datetime.now(tz=timezone.utc)) < timedelta(seconds=10)


def test_a_slack_that_does_not_answer_is_an_error() -> None:
    answer = ask_slack(SecretStr("xoxb-good"), "http://127.0.0.1:9/api/", timeout=1)
    assert answer.finding.status is Status.ERROR
    assert "127.0.0.1:9" in answer.finding.said
    assert answer.moment is None


def test_what_can_not_be_asked_is_looked_at_by_its_form() -> None:
    webhooks = {"finance": SecretStr("https://hooks.slack.com/services/T/B/x"), "ops": SecretStr("hooks.slack.com/x")}
    [finding] = check_webhooks(webhooks)
    assert finding.said.startswith("ANALYTICS_SLACK_WEBHOOKS__OPS:")
    keys = {"good": SecretStr("a1" * 16), "on_call": SecretStr("too-short")}
    [finding] = check_pagerduty(keys)
    assert finding.said.startswith("ANALYTICS_PAGERDUTY_KEYS__ON_CALL:")
    assert "too-short" not in finding.said
    assert [one.status for one in check_pagerduty({"good": keys["good"]})] == [Status.OK]
    assert list(check_pagerduty({})) == list(check_webhooks({})) == []


def test_nobody_who_hears_is_a_doubt_in_production_alone() -> None:
    assert [one.status for one in check_routes(Settings())] == [Status.OK]
    assert [one.status for one in check_routes(Settings(environment="prod"))] == [Status.WARNING]


class _Nobody:
    """Takes mail."""


def test_the_mail_server_is_greeted() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(_Nobody(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        url = SecretStr(f"smtp://127.0.0.1:{port}")
        assert check_mail(url, "dagster@example.com", 5).status is Status.OK
        refused = check_mail(SecretStr(f"smtp://me:hunter22@127.0.0.1:{port}"), "dagster@example.com", 5)
    finally:
        server.stop()
    assert refused.status is Status.ERROR
    assert "hunter22" not in refused.said + refused.remedy
    assert check_mail(url, "dagster@example.com", 1).status is Status.ERROR, "it is gone"


# --- all of them ----------------------------------------------------------------------------------------------------


def test_a_check_that_fails_is_a_finding_and_not_the_end() -> None:
    def fail() -> Iterator[Finding]:
        yield Finding("one", Status.OK, "was well")
        raise RuntimeError("out of paper")

    findings = list(_guarded("printer", fail))
    assert [finding.status for finding in findings] == [Status.OK, Status.ERROR]
    assert "RuntimeError: out of paper" in findings[1].said
    assert not is_well(findings)


def test_settings_that_can_not_be_used_end_the_examination() -> None:
    def read() -> Settings:
        raise SettingsError("ANALYTICS_TIME_ZONE is wrong.", remedy="Correct it.")

    [*_, last] = examine(read)
    assert (last.check, last.status) == ("settings", Status.ERROR)
    assert (last.said, last.remedy) == ("ANALYTICS_TIME_ZONE is wrong.", "Correct it.")
