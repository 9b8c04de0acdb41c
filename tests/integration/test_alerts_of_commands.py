"""`build` and `retry` send alerts by the routes and with the incidents of the alerts sensor; with a real dbt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.alerting.instigators import SENSOR
from analytics_dagster.alerting.store import AlertStore
from tests.conftest import ProjectCopy
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

BROKEN, GOOD = "select no_such_column from {{ ref('first') }}", "select * from {{ ref('first') }}"
FILES = {
    "dbt_project.yml": "name: tiny\nversion: '1.0'\nprofile: tiny\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles/profiles.yml": "tiny: {target: laptop, outputs: {laptop: {type: duckdb, path: tiny.duckdb}}}\n",
    "schedule_groups.yaml": "groups:\n  - {name: only, select: '*', default: true}\n",
    "models/first.sql": "select 1 as one",
    "models/second.sql": BROKEN,
}


@dataclass(frozen=True)
class CronJob:
    """A project whose builds are started without a daemon, and the server that receives the alerts."""

    copy: ProjectCopy
    channels: FakeChannels

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.copy.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, *arguments: str, code: int, **variables: str) -> str:
        """Run a command, and return what it prints."""
        done = self.copy.run(*arguments, **variables)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def titles(self) -> list[str]:
        """The first lines of all messages so far, without durations."""
        lines = [str(message["text"]).splitlines()[0] for message in self.channels.accepted("hook")]
        return [re.sub(r"\d+ (s|min)", "N", line) for line in lines]

    def instance(self) -> dg.DagsterInstance:
        """Open the Dagster home."""
        return dg.DagsterInstance.from_config(self.copy.environment["DAGSTER_HOME"])


@pytest.fixture
def cron(tmp_path: Path) -> Iterator[CronJob]:
    with open_fake_channels() as channels:
        variables = {"ANALYTICS_SLACK_WEBHOOKS__DEFAULT": channels.webhook_url}
        found = CronJob(ProjectCopy(tmp_path, "tiny", profiles="profiles", variables=variables), channels)
        for name, text in FILES.items():
            found.write(name, text)
        yield found


def test_builds_from_cron_open_one_incident_and_report_its_recovery(cron: CronJob) -> None:
    assert "Alert sent to webhook: opened: second failed: SQL error" in cron.run("build", code=1)
    assert cron.titles == [":red_circle: second failed: SQL error"]
    cron.run("build", code=1)
    cron.run("retry", code=1)
    assert len(cron.titles) == 1, "the same incident"
    listed = cron.run("alerts", "list", code=0)
    assert re.search(r"^\w{12}  second failed: SQL error \(error, for .*; told: webhook\)$", listed, re.MULTILINE)
    assert re.sub(r"\d+ (s|min)", "N", cron.run("alerts", code=0)) == re.sub(r"\d+ (s|min)", "N", listed)
    cron.write("models/second.sql", GOOD)
    cron.run("retry", code=0)
    assert cron.titles[1:] == [":large_green_circle: Recovered after N: second failed: SQL error"]
    assert cron.run("alerts", code=0).strip() == "No incident is open, and no notification is queued."


def test_a_build_that_cannot_start_is_an_incident_too(cron: CronJob) -> None:
    cron.write("models/second.sql", "select {{ ref('absent') }}")
    cron.run("build", code=2)
    cron.run("build", code=2)
    assert cron.titles == [":red_circle: `analytics-dagster build` failed"]
    assert "absent" in cron.channels.accepted("hook")[0]["text"]
    cron.write("models/second.sql", GOOD)
    cron.run("build", code=0)
    assert cron.titles[1:] == [":large_green_circle: Recovered after N: `analytics-dagster build` failed"]


def test_no_alerts_are_sent_without_channels_or_with_no_alerts(cron: CronJob) -> None:
    assert "Alert" not in cron.run("build", "--no-alerts", code=1)
    silent = replace(cron, copy=replace(cron.copy, variables={}))
    assert "Alert" not in silent.run("build", code=1)
    cron.write("models/second.sql", "select {{ ref('absent') }}")
    cron.run("build", "--no-alerts", code=2)
    assert not cron.channels.requests


def test_the_sensor_of_a_running_daemon_sends_instead(cron: CronJob) -> None:
    cron.run("prepare", code=0)
    cron.run("alerts", code=0)
    with cron.instance() as instance, AlertStore(instance.daemon_cursor_storage, "tiny").lease(SENSOR):
        pass
    assert "Alerts: sent by the alerts sensor of the running daemon." in cron.run("build", code=1)
    assert not cron.titles


def test_a_failing_channel_does_not_change_the_result_and_is_tried_again(cron: CronJob) -> None:
    cron.channels.fail("hook", 503, times=1)
    output = cron.run("build", code=1)
    assert "Alert not sent to webhook: Slack answers 503" in output
    assert cron.titles == [":red_circle: second failed: SQL error"], "the second attempt, 15 seconds later"
    cron.write("models/second.sql", GOOD)
    cron.channels.fail("hook", 404, times=20, body="no_service")
    assert "Alerts: 1 notification queued" in cron.run("build", code=0)
    assert "queued for webhook: Recovered" in cron.run("alerts", code=0)


def test_a_webhook_that_takes_ten_seconds_receives_one_message(cron: CronJob) -> None:
    cron.channels.stall["hook"] = 11.0
    cron.run("build", code=1)
    cron.run("build", code=1)
    assert len(cron.titles) == 1


def test_an_incident_of_a_deleted_model_ends_and_others_are_closed_by_hand(cron: CronJob) -> None:
    cron.run("build", code=1)
    (cron.copy.project / "models" / "second.sql").rename(cron.copy.project / "models" / "renamed.sql")
    cron.run("build", code=1)
    assert sorted(cron.titles[1:]) == [
        ":red_circle: renamed failed: SQL error",
        ":white_circle: Closed, because what failed no longer exists, after N: second failed: SQL error",
    ]
    [identity] = re.findall(r"^(\w{12})  renamed failed", cron.run("alerts", code=0), re.MULTILINE)
    assert "No incident 123 is open" in cron.run("alerts", "close", "123", code=2)
    assert "Name incidents, or give --all" in cron.run("alerts", "close", code=2)
    assert "closed: renamed failed: SQL error" in cron.run("alerts", "close", identity, code=0)
    assert cron.titles[-1] == ":white_circle: Closed by hand after N: renamed failed: SQL error"
    cron.run("build", code=1)
    assert cron.titles[-1] == ":red_circle: renamed failed: SQL error"
    cron.run("alerts", "close", "--all", code=0)
    assert cron.titles[-1].startswith(":white_circle: Closed by hand")


@pytest.mark.parametrize(
    ("variables", "code", "expected"),
    [
        ({"ANALYTICS_SLACK_WEBHOOKS__DEFAULT": ""}, 2, "No channel is set up."),
        ({}, 0, "webhook: sent"),
        ({"ANALYTICS_SLACK_WEBHOOKS__DEFAULT": "http://127.0.0.1:1/x"}, 1, "webhook: not sent: Slack does not answer"),
        (
            {"ANALYTICS_SMTP_URL": "smtp://127.0.0.1:1", "ANALYTICS_MAIL_FROM": "a@example.com"},
            0,
            "owners: not sent: its addresses are those of the owners of what fails",
        ),
        (
            {
                "ANALYTICS_SLACK_WEBHOOKS__DEFAULT": "",
                "ANALYTICS_SMTP_URL": "smtp://127.0.0.1:1",
                "ANALYTICS_MAIL_FROM": "a@example.com",
            },
            1,
            "owners: not sent",
        ),
        (
            {
                "ANALYTICS_SMTP_URL": "smtp://127.0.0.1:1",
                "ANALYTICS_MAIL_FROM": "a@example.com",
                "ANALYTICS_ALERTS_FILE": "mail.yaml",
            },
            1,
            "mail: not sent: the mail server is not available",
        ),
    ],
)
def test_alerts_test_says_what_was_sent(cron: CronJob, variables: dict[str, str], code: int, expected: str) -> None:
    routes = "channels: {mail: {email: a@example.com}}\nrules: [{name: all, to: mail}]\n"
    (cron.copy.folder / "mail.yaml").write_text(routes)
    assert expected in cron.run("alerts", "test", code=code, **variables)
