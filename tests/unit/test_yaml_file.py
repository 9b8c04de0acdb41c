"""YAML files: the line of each part, errors for invalid YAML, and the model of each mapping."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from analytics_dagster.alerting.routes import ChannelConfig, Escalation, QuietHours, Routes, RoutingRule
from analytics_dagster.planning.groups import ScheduleGroup, ScheduleGroups
from analytics_dagster.planning.pods import Resources, Toleration
from analytics_dagster.yaml_file import LocatedYaml, YamlError, YamlPath, model_at


@pytest.mark.parametrize(
    ("root", "position", "expected"),
    [
        (Routes, ("chanels",), Routes),
        (Routes, ("channels", "data", "slak"), ChannelConfig),
        (Routes, ("channels", "quiet_hours", "slak"), ChannelConfig),
        (Routes, ("channels", "data", "quiet_hours", "form"), QuietHours),
        (Routes, ("rules", 1, "escalate", "afer"), Escalation),
        (Routes, ("rules", 1, "contine"), RoutingRule),
        (ScheduleGroups, ("groups", 0, "resources", "request"), Resources),
        (ScheduleGroups, ("groups", 0, "tolerations", 1, "keys"), Toleration),
        (ScheduleGroups, ("groups", 0, "cronn"), ScheduleGroup),
        (ScheduleGroups, ("grups",), ScheduleGroups),
    ],
)
def test_an_unknown_key_is_compared_with_the_keys_of_its_own_mapping(
    root: type[BaseModel], position: YamlPath, expected: type[BaseModel]
) -> None:
    assert model_at(root, position) is expected


TEXT = """\
# a comment
groups:
  - name: hourly
    cron: ["0 * * * *",
           "30 * * * *"]
  -
    name: nightly
    vars: {day: 1,
      5: five}
limits: &limits
  cpu: 1
more:
  <<: *limits
"""


@pytest.mark.parametrize(
    ("position", "line"),
    [
        ((), 2),
        (("groups",), 2),
        (("groups", 0), 3),
        (("groups", 0, "name"), 3),
        (("groups", 0, "cron", 1), 5),
        (("groups", 1, "name"), 7),
        (("groups", 1, "vars", 5), 9),
        (("limits", "cpu"), 11),
        (("more", "cpu"), 11),
    ],
)
def test_each_part_has_its_line(position: YamlPath, line: int) -> None:
    assert LocatedYaml(TEXT).line(position) == line


@pytest.mark.parametrize(
    ("position", "line"),
    [
        (("groups", 0, "absent"), 3),
        (("groups", 0, "cron", 9), 4),
        (("groups", 9), 2),
        (("absent", 0), 2),
        (("groups", 0, "name", "deeper"), 3),
    ],
)
def test_a_missing_part_has_the_line_of_its_closest_ancestor(position: YamlPath, line: int) -> None:
    assert LocatedYaml(TEXT).line(position) == line


def test_the_value_is_that_of_yaml() -> None:
    value = LocatedYaml(TEXT).value
    assert value["groups"][1] == {"name": "nightly", "vars": {"day": 1, 5: "five"}}
    assert value["more"] == {"cpu": 1}


@pytest.mark.parametrize("text", ["", "# a comment alone\n", "\ufeff"])
def test_an_empty_text_has_no_value_and_one_line(text: str) -> None:
    content = LocatedYaml(text)
    assert content.value is None
    assert content.line(("groups", 0)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "'a' appears twice in one mapping (lines 1 and 3)"),
        ("- {x: {y: 1,\n  y: 2}}", "'y' appears twice in one mapping (lines 1 and 2)"),
        ("a: &b {c: 1}\nd: [{e: 1, e: 2}, *b]", "'e' appears twice"),
    ],
)
def test_a_key_that_appears_twice_is_an_error_that_names_both_lines(text: str, message: str) -> None:
    with pytest.raises(YamlError) as raised:
        LocatedYaml(text)
    assert message in str(raised.value)


@pytest.mark.parametrize("text", ["a: {b: 1}\nc: {b: 2}", "- {b: 1}\n- {b: 2}", "a: &a {b: 1}\nc: *a\nd: *a"])
def test_several_mappings_may_have_the_same_key(text: str) -> None:
    assert LocatedYaml(text).value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "line 1"),
        ("a: 1\n  b: 2", "line 2"),
        ("a: \x00", "special characters"),
        ("a: 1\n---\nb: 2", "line 2"),
        ("a: *nowhere", "undefined alias"),
        ("a: !!python/object:os.system x", "line 1"),
        ("? {a: b}\n: c", "unhashable"),
        ("a: 1\nb: 2024-13-45", "line 2: '2024-13-45' is not a valid timestamp"),
        ("a: !!bool perhaps", "line 1: 'perhaps' is not a valid bool"),
        ("a: !!float x", "line 1"),
        ("a: " + "9" * 5000, "line 1"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_invalid_yaml_is_an_error_that_names_the_line(text: str, message: str) -> None:
    with pytest.raises(YamlError) as raised:
        LocatedYaml(text)
    assert message in str(raised.value)


def test_yaml_that_contains_itself_is_read() -> None:
    content = LocatedYaml("a: &a\n  b: *a")
    assert content.value["a"]["b"] is content.value["a"]
    assert content.line(("a", "b", "b")) == 2


def test_nested_aliases_are_read_in_linear_time() -> None:
    lines = ["l0: &l0 [x, x]"] + [f"l{place}: &l{place} [*l{place - 1}, *l{place - 1}]" for place in range(1, 60)]
    assert LocatedYaml("\n".join(lines)).line(("l59", 0)) == 59
