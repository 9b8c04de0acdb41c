"""The test message, and the explanation of who would be notified of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analytics_dagster.cli.alerts.dry_run import explain_run, send_test
from analytics_dagster.errors import AlertError
from analytics_dagster.execution.failures.deployment import find_commit
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario


def test_a_test_message_reaches_every_channel_and_resolves_its_page(scenario: AlertScenario) -> None:
    assert send_test(scenario.all_settings, []) == dict.fromkeys(("slack", "webhook", "on_call"), (True, "sent"))
    assert "nothing has failed" in scenario.fake_channels.accepted("chat.postMessage")[0]["text"]
    assert [event["event_action"] for event in scenario.fake_channels.accepted("pager")] == ["trigger", "resolve"]


def test_the_error_of_a_channel_is_shown_without_secrets(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 404, body=f"no_service at {scenario.fake_channels.webhook_url}")
    found = send_test(scenario.all_settings, ["webhook"])
    assert found["webhook"][0] is False
    assert found["webhook"][1].startswith("not sent: Slack answers 404 no_service")
    assert "hunter22" not in found["webhook"][1]
    with pytest.raises(AlertError, match="No channel named pigeon is set up"):
        send_test(scenario.all_settings, ["pigeon"])


class FakeAlerting:
    """The part of `Alerting` that `explain_run` uses."""

    def __init__(self, scenario: AlertScenario) -> None:
        self._site = scenario.monitor().context

    def context(self, *_: object) -> Any:
        """Return the context of the scenario."""
        return self._site


def test_explaining_a_run_lists_channels_and_rules_and_sends_nothing(scenario: AlertScenario) -> None:
    run = scenario.run(model_0=BINDER)
    alerting: Any = FakeAlerting(scenario)
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
