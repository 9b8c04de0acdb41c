"""docs/alerts.md: its tables match the models, its example is valid, and its messages are real."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from pydantic import BaseModel

from analytics_dagster.alerting.routes import (
    ChannelConfig,
    Critical,
    Escalation,
    MaintenanceWindow,
    Match,
    QuietHours,
    Routes,
    RoutingRule,
)
from analytics_dagster.alerting.routes_file import json_schema
from analytics_dagster.cli.commands.alerts import alerts
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.yaml_file import field_descriptions
from tests.failure_classes import CLASSES
from tests.unit.alerting.example import mail_text, slack_text

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")


def between(name: str) -> str:
    return TEXT.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- /{name} -->")[0]


def default(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, int) else ""


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("routes", Routes),
        ("channel", ChannelConfig),
        ("quiet", QuietHours),
        ("rule", RoutingRule),
        ("when", Match),
        ("escalation", Escalation),
        ("critical", Critical),
        ("window", MaintenanceWindow),
    ],
)
def test_the_tables_of_keys_match_the_models(name: str, model: type[BaseModel]) -> None:
    descriptions = field_descriptions(model)
    rows = [
        f"| `{field.alias or key}` | {default(field.default)} | {descriptions[key]} |"
        for key, field in model.model_fields.items()
    ]
    assert between(name).splitlines() == ["| key | default | meaning |", "| --- | --- | --- |", *rows]


def test_the_table_of_failure_classes_matches_the_tests() -> None:
    assert between("classes").splitlines() == [
        "| class | how a test produces it | retried | what runs again | notified channels |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(one.row)} |" for one in CLASSES),
    ]


def test_the_example_is_valid_for_the_models_and_the_schema() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    content = yaml.safe_load(example)
    Routes.model_validate(content)
    content["maintenance"][0] |= {key: str(content["maintenance"][0][key]) for key in ("from", "to")}
    jsonschema.validate(content, json_schema())


def test_the_messages_are_those_of_the_example_run() -> None:
    assert between("slack") == f"````\n{slack_text()}\n````"
    assert between("mail") == f"```\n{mail_text()}\n```"


def test_every_kind_of_failure_is_listed_as_transient_or_permanent() -> None:
    [row] = re.findall(r"^\| (connection lost.*) \| (compilation.*) \|$", TEXT, flags=re.MULTILINE)
    for kind in FailureKind:
        expected = "any other error" if kind is FailureKind.CODE else kind.value
        assert expected in row[0 if kind.is_transient else 1]


def test_the_named_commands_exist() -> None:
    named = set(re.findall(r"analytics-dagster alerts (\w+)", TEXT))
    assert named == {
        command.name or command.callback.__name__ for command in alerts.registered_commands if command.callback
    }
