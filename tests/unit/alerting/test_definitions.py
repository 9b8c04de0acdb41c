"""The alerts sensor and the `slack` resource of a location.

No ``from __future__ import annotations`` here: Dagster reads the annotations of decorated functions at run time.
"""

from dataclasses import replace

import dagster as dg
import pytest
from dagster_slack import SlackResource

from analytics_dagster.alerting.definitions import SLACK, build_alerts_sensor, slack_resources
from analytics_dagster.alerting.instigators import SENSOR
from analytics_dagster.errors import AlertError
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario


def tick(scenario: AlertScenario) -> str:
    sensor = build_alerts_sensor(lambda *_: scenario.monitor(), dg.DefaultSensorStatus.STOPPED)
    definitions = dg.Definitions.merge(scenario.definitions, dg.Definitions(sensors=[sensor]))
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(instance=scenario.instance, repository_def=repository, sensor_name=SENSOR)
    return str(repository.get_sensor_def(SENSOR).evaluate_tick(context).skip_message)


def test_a_tick_lists_what_was_sent_and_survives_a_failing_channel(scenario: AlertScenario) -> None:
    assert tick(scenario) == "Nothing to send."
    scenario.fake_channels.fail("slack", 500)
    scenario.run(model_1=BINDER)
    message = tick(scenario)
    assert "hook: opened: model_1 failed: SQL error" in message
    assert "slack: Slack answers 500; attempt 1 of: model_1 failed: SQL error" in message


def test_the_tick_that_gives_up_a_notification_fails_in_the_ui_and_the_next_one_works(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 400, times=6, body="no_text")
    scenario.run(model_1=BINDER)
    tick(scenario)
    make_due(scenario)
    assert "attempt 2 of" in tick(scenario)
    make_due(scenario)
    with pytest.raises(
        AlertError, match="Not delivered to hook: model_1 failed: SQL error: Slack answers 400"
    ) as raised:
        tick(scenario)
    assert "`analytics-dagster alerts` lists" in raised.value.remedy
    assert "slack: opened: the channel hook does not deliver" in tick(scenario)


def make_due(scenario: AlertScenario) -> None:
    state = scenario.state
    ready = tuple(replace(one, not_before=0.0) for one in state.notifications)
    scenario.store.write(replace(state, notifications=ready))


def test_a_tick_waits_while_another_process_sends(scenario: AlertScenario) -> None:
    with scenario.store.lease("command"):
        assert tick(scenario) == "Another process is sending alerts."
    assert tick(scenario) == "Nothing to send."


def test_an_asset_uses_the_slack_resource_as_a_slack_resource_of_dagster(scenario: AlertScenario) -> None:
    @dg.asset
    def summary(slack: SlackResource) -> None:
        slack.get_client().chat_postMessage(channel="#sales", text="ready")

    resources = slack_resources(scenario.all_settings)
    assert dg.materialize([summary], instance=scenario.instance, resources=resources).success
    [message] = scenario.fake_channels.accepted("chat.postMessage")
    assert message["channel"] == "#sales"


def test_the_slack_resource_shows_no_token_in_the_ui(scenario: AlertScenario) -> None:
    definitions = dg.Definitions(resources=slack_resources(scenario.all_settings))
    assert "hunter2" not in repr(vars(definitions.get_repository_def().get_top_level_resources()[SLACK]))
