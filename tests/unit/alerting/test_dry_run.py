"""Alerts tried out: a test message to every channel, what a run would come to, and the watch over Dagster's daemon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat  # what the daemon writes

from analytics_dagster.alerting.dry_run import explain_run, send_test
from analytics_dagster.alerting.watch import watch_daemon
from analytics_dagster.errors import AlertError
from analytics_dagster.execution.failures.deployment import find_commit
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels


def test_a_test_message_goes_to_every_channel_and_leaves_nobody_paged(scenario: AlertScenario) -> None:
    assert send_test(scenario.all_settings, []) == {"slack": "", "webhook": "", "on_call": ""}
    assert "nothing has failed" in scenario.fake_channels.accepted("chat.postMessage")[0]["text"]
    assert [event["event_action"] for event in scenario.fake_channels.accepted("pager")] == ["trigger", "resolve"]


def test_what_a_channel_says_against_it_is_told_without_secrets(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 404, body=f"no_service at {scenario.fake_channels.webhook_url}")
    found = send_test(scenario.all_settings, ["webhook"])
    assert found["webhook"].startswith("Slack says 404 no_service")
    assert "hunter22" not in found["webhook"]
    with pytest.raises(AlertError, match="There is no channel pigeon"):
        send_test(scenario.all_settings, ["pigeon"])


class Explained:
    """Enough of the alerts of a location to explain a run of a town."""

    def __init__(self, scenario: AlertScenario) -> None:
        self._site = scenario.monitor().context

    def context(self, *_: object) -> Any:
        """Return the town."""
        return self._site


def test_it_is_explained_who_would_hear_of_a_run_and_nobody_does(scenario: AlertScenario) -> None:
    run = scenario.run(model_0=BINDER)
    alerting: Any = Explained(scenario)
    repository: Any = None
    report, lines = explain_run(alerting, repository, scenario.instance, run)
    assert report.skipped == ("model_2",)
    assert lines == [
        f"Run {run} of nightly: FAILURE",
        "model_0 failed: SQL error (error)",
        "  owner: ann@example.com",
        "  -> slack, by the rule 'everything'",
        "  -> hook, by the rule 'everything'",
    ]
    assert not scenario.fake_channels.requests
    with pytest.raises(AlertError, match="is not known"):
        explain_run(alerting, repository, scenario.instance, "nobody")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Give an instance that has a daemon to watch."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def beat(instance: dg.DagsterInstance, moment: float) -> None:
    for name in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(moment, name, "", []))


def test_a_silent_daemon_is_told_once_and_that_it_is_back(
    home: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    settings = AlertScenario(home, fake_channels).all_settings
    beat(home, time.time())
    assert watch_daemon(settings, home, 300) == (False, ["Dagster's daemon beats."])
    beat(home, time.time() - 1_000)
    silent, lines = watch_daemon(settings, home, 300)
    assert silent
    assert lines[0] == "Dagster's daemon is silent since 16 min"
    watch_daemon(settings, home, 300)
    [event] = fake_channels.accepted("pager")
    assert event["payload"]["severity"] == "critical"
    assert len(fake_channels.accepted("hook")) == 1
    beat(home, time.time())
    assert not watch_daemon(settings, home, 300)[0]
    assert fake_channels.accepted("pager")[-1]["event_action"] == "resolve"
    assert "Recovered" in fake_channels.accepted("hook")[-1]["text"]


def test_the_commit_is_the_one_that_is_checked_out(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert find_commit(tmp_path / "dbt") == ""
    (git / "packed-refs").write_text("# pack-refs\n" + "a" * 40 + " refs/heads/main\n")
    assert find_commit(tmp_path / "dbt") == "a" * 40
    (git / "refs" / "heads" / "main").write_text("b" * 40 + "\n")
    assert find_commit(tmp_path / "dbt") == "b" * 40
    (git / "HEAD").write_text("c" * 40)
    assert find_commit(tmp_path) == "c" * 40
