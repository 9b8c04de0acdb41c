"""YAML that knows its lines: where each part stands, and every text that is no YAML told as such."""

from __future__ import annotations

import pytest

from analytics_dagster.yaml_positions import LocatedYaml, YamlProblem

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
    ("location", "line"),
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
def test_each_part_has_the_line_where_it_stands(location: tuple[int | str, ...], line: int) -> None:
    assert LocatedYaml(TEXT).line(location) == line


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("groups", 0, "absent"), 3),
        (("groups", 0, "cron", 9), 4),
        (("groups", 9), 2),
        (("absent", 0), 2),
        (("groups", 0, "name", "deeper"), 3),
    ],
)
def test_a_part_that_is_not_there_has_the_line_of_the_last_that_is(location: tuple[int | str, ...], line: int) -> None:
    assert LocatedYaml(TEXT).line(location) == line


def test_the_value_is_what_yaml_makes_of_the_text() -> None:
    value = LocatedYaml(TEXT).value
    assert value["groups"][1] == {"name": "nightly", "vars": {"day": 1, 5: "five"}}
    assert value["more"] == {"cpu": 1}


@pytest.mark.parametrize("text", ["", "# a comment alone\n", "\ufeff"])
def test_an_empty_text_has_no_value_and_one_line(text: str) -> None:
    content = LocatedYaml(text)
    assert content.value is None
    assert content.line(("groups", 0)) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "'a' stands twice in one mapping (lines 1 and 3)"),
        ("- {x: {y: 1,\n  y: 2}}", "'y' stands twice in one mapping (lines 1 and 2)"),
        ("a: &b {c: 1}\nd: [{e: 1, e: 2}, *b]", "'e' stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_told_with_both_lines(text: str, told: str) -> None:
    with pytest.raises(YamlProblem) as raised:
        LocatedYaml(text)
    assert told in str(raised.value)


@pytest.mark.parametrize("text", ["a: {b: 1}\nc: {b: 2}", "- {b: 1}\n- {b: 2}", "a: &a {b: 1}\nc: *a\nd: *a"])
def test_a_key_may_stand_in_several_mappings(text: str) -> None:
    assert LocatedYaml(text).value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "line 1"),
        ("a: 1\n  b: 2", "line 2"),
        ("a: \x00", "special characters"),
        ("a: 1\n---\nb: 2", "line 2"),
        ("a: *nowhere", "undefined alias"),
        ("a: !!python/object:os.system x", "line 1"),
        ("? {a: b}\n: c", "unhashable"),
        ("a: 1\nb: 2024-13-45", "line 2: '2024-13-45' can't be taken for the timestamp"),
        ("a: !!bool perhaps", "line 1: 'perhaps' can't be taken for the bool"),
        ("a: !!float x", "line 1"),
        ("a: " + "9" * 5000, "line 1"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_yaml_is_a_problem_that_names_the_line(text: str, told: str) -> None:
    with pytest.raises(YamlProblem) as raised:
        LocatedYaml(text)
    assert told in str(raised.value)


def test_a_text_that_holds_itself_is_read_all_the_same() -> None:
    content = LocatedYaml("a: &a\n  b: *a")
    assert content.value["a"]["b"] is content.value["a"]
    assert content.line(("a", "b", "b")) == 2


def test_a_text_that_names_the_same_part_over_and_over_is_read_in_no_time() -> None:
    lines = ["l0: &l0 [x, x]"] + [f"l{place}: &l{place} [*l{place - 1}, *l{place - 1}]" for place in range(1, 60)]
    assert LocatedYaml("\n".join(lines)).line(("l59", 0)) == 59
