"""The schedule groups' file: the bundled one, settings, JSON schema, and the errors of a user's own file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from analytics_dagster.assets.consumers import GROUP as CONSUMERS
from analytics_dagster.assets.keys import EXPOSURES
from analytics_dagster.assets.translator import SOURCES
from analytics_dagster.automation.jobs import INGESTION
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.ingestion.assets import GROUP as INGESTED
from analytics_dagster.planning.groups import RESERVED, FullRefresh, OnOverlap, OnUpstreamFailure, ScheduleGroup
from analytics_dagster.planning.groups_file import BUNDLED, SCHEMA, json_schema, load_groups
from analytics_dagster.planning.pods import Toleration
from analytics_dagster.project.parse import Selection
from analytics_dagster.settings import Settings

TWO = """
groups:
  - name: morning
    select: tag:morning
    cron: "0 8 * * *"
    time_zone: Asia/Tokyo
  - name: Evening
    selector: in_the_evening
    cron: ["0 18 * * *", "0 20 * * *"]
    default: true
"""


EVERYTHING = """
on_overlap: all
groups:
  - name: first
    select: tag:a,config.materialized:table +b
    cron: 0 6 * * *
    time_zone: Europe/Berlin
    default: true
    after_ingestion: true
    docs: true
    vars: {day: "2026-01-01", depth: {a: [1, null]}}
    full_refresh: never
    retries: 3
    on_upstream_failure: skip
    resources:
      requests: {cpu: 0.5}
      limits: {cpu: 2, memory: 1Gi}
    node_selector: {example.com/pool: memory, "kubernetes.io/arch": ""}
    tolerations:
      - {key: memory, operator: Exists, effect: NoExecute, tolerationSeconds: 60}
      - {key: pool, value: analytics}
      - operator: Exists
    priority_class_name: batch.low
  - name: second
    selector: by_name
    reads_previous: [first]
"""


def load(folder: Path, content: str, **others: Any) -> tuple[ScheduleGroup, ...]:
    path = folder / "my_groups.yaml"
    path.write_text(content)
    return load_groups(Settings(schedule_groups_file=path, **others)).groups


def test_the_bundled_groups_are_hourly_at_minute_0_and_nightly_at_6() -> None:
    hourly, nightly = load_groups(Settings()).groups
    assert (hourly.name, hourly.cron, hourly.time_zone, hourly.selection) == (
        "hourly",
        ("0 * * * *",),
        "UTC",
        Selection(select="tag:hourly"),
    )
    assert (nightly.name, nightly.cron, nightly.time_zone) == ("nightly", ("0 6 * * *",), "UTC")
    assert (hourly.after_ingestion, nightly.after_ingestion) == (True, False)
    assert (hourly.default, nightly.default) == (False, True)
    assert (hourly.docs, nightly.docs) == (False, True)


def test_a_users_file_can_set_every_key(tmp_path: Path) -> None:
    morning, evening = load(tmp_path, TWO)
    assert morning.selection == Selection(select="tag:morning")
    assert evening.selection == Selection(selector="in_the_evening")
    assert evening.cron == ("0 18 * * *", "0 20 * * *")


def test_a_group_may_have_no_cron(tmp_path: Path) -> None:
    (group,) = load(tmp_path, "groups: [{name: by_hand, select: '*'}]")
    assert group.cron == ()


def test_a_group_without_a_time_zone_has_that_of_the_settings(tmp_path: Path) -> None:
    morning, evening = load(tmp_path, TWO, time_zone="Europe/Berlin")
    assert (morning.time_zone, evening.time_zone) == ("Asia/Tokyo", "Europe/Berlin")


@pytest.mark.parametrize("name", ["Evening", "evening"])
def test_the_settings_cron_overrides_the_groups_own(tmp_path: Path, name: str) -> None:
    morning, evening = load(tmp_path, TWO, cron={name: "30 19 * * *"})
    assert morning.cron == ("0 8 * * *",)
    assert evening.cron == ("30 19 * * *",)


def test_a_variable_sets_a_groups_cron(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANALYTICS_CRON__EVENING", "30 19 * * *")
    assert load(tmp_path, TWO)[1].cron == ("30 19 * * *",)


def test_a_cron_for_an_unknown_group_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ScheduleGroupError, match=r"ANALYTICS_CRON .*my_groups\.yaml: weekly") as raised:
        load(tmp_path, TWO, cron={"weekly": "0 0 * * 0"})
    assert "morning, Evening" in raised.value.remedy


@pytest.mark.parametrize("cron", ["soon", "61 * * * *", "* * * *", "0 6 * * * *"])
def test_a_bad_cron_in_settings_is_an_error_that_names_the_variable(tmp_path: Path, cron: str) -> None:
    with pytest.raises(ScheduleGroupError, match="ANALYTICS_CRON__MORNING") as raised:
        load(tmp_path, TWO, cron={"morning": cron})
    assert cron in raised.value.problem


HEAD = "groups:\n- {name: a, select: x}\n"
"""A valid group before an invalid one, whose error is on line 3."""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # keys
        (
            HEAD + "- {name: b, select: x, cronn: 1}",
            ["my_groups.yaml:3: group b, cronn: there is no such key; did you mean `cron`?"],
        ),
        (
            HEAD + "- {name: b, select: x, every: 1}",
            [":3: group b, every: there is no such key (the keys are", "vars)"],
        ),
        (HEAD + "- name: b\n  select: x\n  variables: {}", [":5: group b, variables: there is no such key"]),
        ("on_overlaps: first\n" + HEAD, [":1: on_overlaps: there is no such key; did you mean `on_overlap`?"]),
        (
            "group:\n- {name: a, select: x}",
            [":1: group: there is no such key; did you mean `groups`?", "this key is expected"],
        ),
        (HEAD + "- {name: b, select: x, resources: {limit: {}}}", [":3: group b, resources, limit:", "`limits`"]),
        (HEAD + "- {select: x}", [":3: group 2, name: this key is expected"]),
        ("groups:\n- name: a\n  select: x\n  select: y", ["can't be read", "'select' appears twice", "lines 3 and 4"]),
        # selections
        (HEAD + "- {name: b}", [":3: group b: give either `select` or `selector`; only the default group needs none"]),
        (HEAD + "- {name: b, select: x, selector: y}", [":3: group b: give either `select` or `selector`"]),
        (
            HEAD + "- {name: b, default: true, select: x, selector: y}",
            [":3: group b: give either `select` or `selector`"],
        ),
        (HEAD + "- {name: b, default: true, select: ''}", [":3: group b, select: an empty selection selects nothing"]),
        (HEAD + "- {name: b, default: false}", ["only the default group needs none"]),
        (HEAD + "- {name: b, select: }", [":3: group b: give either `select` or `selector`; only the default group"]),
        (HEAD + "- {name: b, select: 5}", [":3: group b, select: a text", "not 5"]),
        (
            HEAD + "- {name: b, select: [x, y]}",
            [":3: group b, select: one text is expected", "separate several selections with spaces"],
        ),
        (HEAD + "- {name: b, select: ' '}", [":3: group b, select: an empty selection"]),
        (HEAD + "- {name: b, selector: ''}", [":3: group b, selector: a text that is not empty is expected"]),
        (
            HEAD + "- {name: b, select: x --exclude y}",
            [":3: group b, select: '--exclude' is an option, not a selection", "`selector`"],
        ),
        (HEAD + "- {name: b, select: 'tag:x, tag:y'}", [":3: group b, select: 'tag:x,': a comma"]),
        # crons and time zones
        (HEAD + "- {name: b, select: x, cron: hourly}", [":3: group b, cron, 0: 'hourly' is not a cron schedule"]),
        (HEAD + "- {name: b, select: x, cron: '0 25 * * *'}", [":3: group b, cron, 0: '0 25 * * *' is not a cron"]),
        (HEAD + "- {name: b, select: x, cron: '0 0 30 2 *'}", [":3: group b, cron, 0: '0 0 30 2 *' is not a cron"]),
        (HEAD + "- {name: b, select: x, cron: ''}", [":3: group b, cron, 0: '' is not a cron schedule"]),
        (
            HEAD + "- name: b\n  select: x\n  cron:\n  - 0 6 * * *\n  - bad",
            [":7: group b, cron, 1: 'bad' is not a cron"],
        ),
        (
            HEAD + "- {name: b, select: x, cron: 5}",
            [":3: group b, cron: a cron schedule or a list of them is expected"],
        ),
        (HEAD + "- {name: b, select: x, cron: }", [":3: group b, cron: a cron schedule or a list of them is expected"]),
        (HEAD + "- {name: b, select: x, time_zone: Mars/Base}", [":3: group b, time_zone: 'Mars/Base' is not an IANA"]),
        # names
        (HEAD + "- {name: a b, select: x}", [":3: group a b, name: a name of letters, digits and underscores"]),
        (HEAD + "- {name: 2nd, select: x}", [":3: group 2nd, name: a name of letters"]),
        (HEAD + "- {name: on, select: x}", [":3: group 2, name: a text (in quotes", "not True"]),
        (
            HEAD + "- {name: ingestion, select: x}",
            [":3: group ingestion, name: 'ingestion' is the name of another job"],
        ),
        (HEAD + "- {name: Sources, select: x}", [":3: group Sources, name: 'Sources' is the name of another job"]),
        (HEAD + "- {name: type, select: x}", [":3: group type, name: 'type' can't be the name of a job"]),
        (HEAD + "- {name: a, select: y}", [":3: group a, name: more than one group is named a"]),
        (
            HEAD + "- {name: A, select: y}",
            [":3: group A, name: more than one group is named a (A differs only in case"],
        ),
        # other values
        (HEAD + "- {name: b, select: x, default: perhaps}", [":3: group b, default: `true` or `false`", "'perhaps'"]),
        (HEAD + "- {name: b, select: x, after_ingestion: }", [":3: group b, after_ingestion: `true` or `false`"]),
        (
            HEAD + "- {name: b, select: x, retries: -1}",
            [":3: group b, retries:", "greater than or equal to 0", "not -1"],
        ),
        (HEAD + "- {name: b, select: x, retries: 11}", [":3: group b, retries:", "less than or equal to 10"]),
        (HEAD + "- {name: b, select: x, retries: 1.5}", [":3: group b, retries: a whole number is expected, not 1.5"]),
        (
            HEAD + "- {name: b, select: x, full_refresh: maybe}",
            [":3: group b, full_refresh:", "'never'", "not 'maybe'"],
        ),
        (HEAD + "- {name: b, select: x, on_upstream_failure: no}", [":3: group b, on_upstream_failure:", "'skip'"]),
        ("on_overlap: last\n" + HEAD, [":1: on_overlap:", "'error', 'first' or 'all', not 'last'"]),
        (HEAD + "- {name: b, select: x, vars: [1]}", [":3: group b, vars: a mapping of keys to values is expected"]),
        (HEAD + "- {name: b, select: x, vars: {1: a}}", [":3: group b, vars, 1: a text", "not 1"]),
        (HEAD + "- {name: b, select: x, vars: {a: {1: b}}}", [":3: group b, vars: dbt receives its vars as JSON"]),
        (HEAD + "- {name: b, select: x, vars: &v {a: *v}}", [":3: group b, vars: dbt receives its vars as JSON"]),
        (
            HEAD + "- {name: b, select: x, vars: {a: 2024-13-45}}",
            ["line 3: '2024-13-45' is not a valid timestamp"],
        ),
        (
            HEAD + "- {name: b, select: x, resources: {limits: {cpu: lots}}}",
            [":3: group b, resources, limits, cpu: 'lots'"],
        ),
        (
            HEAD + "- {name: b, select: x, resources: {limits: {cpu: true}}}",
            [":3: group b, resources, limits, cpu: a text"],
        ),
        (HEAD + "- {name: b, select: x, resources: 1Gi}", [":3: group b, resources: a mapping of keys to values"]),
        # placement of pods
        (
            HEAD + "- {name: b, select: x, nodeSelector: {}}",
            [":3: group b, nodeSelector: there is no such key; did you mean `node_selector`?"],
        ),
        (HEAD + "- {name: b, select: x, node_selector: [a]}", [":3: group b, node_selector: a mapping of keys"]),
        (
            HEAD + "- name: b\n  select: x\n  node_selector:\n    gpu: true",
            [":6: group b, node_selector, gpu: a text (in quotes", "not True"],
        ),
        (
            HEAD + "- {name: b, select: x, node_selector: {my pool: a}}",
            [":3: group b, node_selector, my pool: 'my pool' can't be the key of a label"],
        ),
        (
            HEAD + "- {name: b, select: x, node_selector: {Example.com/pool: a}}",
            ["'Example.com/pool' can't be the key of a label"],
        ),
        (
            HEAD + "- {name: b, select: x, node_selector: {pool: a b}}",
            [":3: group b, node_selector, pool: 'a b' can't be the value of a label"],
        ),
        (HEAD + "- {name: b, select: x, tolerations: {key: a}}", [":3: group b, tolerations: a list is expected"]),
        (
            HEAD + "- name: b\n  select: x\n  tolerations:\n  - key: a\n    operater: Exists",
            [":7: group b, tolerations, 0, operater: there is no such key; did you mean `operator`?"],
        ),
        (
            HEAD + "- {name: b, select: x, tolerations: [{key: a, effect: NoEntry}]}",
            [":3: group b, tolerations, 0, effect:", "'NoSchedule'", "not 'NoEntry'"],
        ),
        (
            HEAD + "- {name: b, select: x, tolerations: [{value: a}]}",
            [":3: group b, tolerations, 0: give the taint's `key`, or `operator: Exists`"],
        ),
        (
            HEAD + "- {name: b, select: x, tolerations: [{key: a, operator: Exists, value: b}]}",
            [":3: group b, tolerations, 0: `operator: Exists` matches any value"],
        ),
        (
            HEAD + "- {name: b, select: x, tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 5}]}",
            [":3: group b, tolerations, 0: `tolerationSeconds` needs `effect: NoExecute`"],
        ),
        (
            HEAD + "- {name: b, select: x, priority_class_name: Very High}",
            [":3: group b, priority_class_name: 'Very High' can't be the name of a Kubernetes object"],
        ),
        (
            HEAD + "- {name: b, select: x, reads_previous: a}",
            [":3: group b, reads_previous: a list is expected, not 'a'"],
        ),
        (
            HEAD + "- {name: b, select: x, reads_previous: [c]}",
            [":3: group b, reads_previous, 0: 'c' is not another group"],
        ),
        (
            HEAD + "- {name: b, select: x, reads_previous: [a, b]}",
            [":3: group b, reads_previous, 1: 'b' is not another"],
        ),
        (
            "groups: [{name: nightly, select: x, reads_previous: [hourli]}, {name: hourly, select: y}]",
            ["did you mean `hourly`"],
        ),
        (
            "groups:\n- {name: a, select: x, default: true}\n- {name: b, select: y, default: true}",
            [":3: group b, default: more than one group is the default: a, b"],
        ),
        # not a list of groups
        ("groups: [hourly]", [":1: group 1: a mapping of keys to values is expected, not 'hourly'"]),
        ("groups: []", [":1: groups: at least one group is expected"]),
        ("groups:", [":1: groups: a list is expected"]),
        ("groups: {a: {select: x}}", [":1: groups: a list is expected"]),
        ("# none\nschedules: []", [":2: schedules: there is no such key", "groups: this key is expected"]),
        ("- name: a", ["my_groups.yaml:1: a mapping of keys to values is expected"]),
        ("", ["my_groups.yaml:1: a mapping of keys to values is expected"]),
        ("groups: [", ["can't be read", "line 1"]),
        ("groups: \x00", ["can't be read"]),
    ],
)
def test_an_invalid_file_is_an_error_that_names_line_group_and_key(
    tmp_path: Path, content: str, expected: list[str]
) -> None:
    with pytest.raises(ScheduleGroupError) as raised:
        load(tmp_path, content)
    assert all(part in raised.value.problem for part in [str(tmp_path / "my_groups.yaml"), *expected]), raised.value
    assert "group a" not in raised.value.problem or "group a" in "".join(expected), "valid groups are not blamed"
    assert raised.value.remedy


def test_one_mistake_is_reported_once(tmp_path: Path) -> None:
    with pytest.raises(ScheduleGroupError) as raised:
        load(tmp_path, "groups:\n- {name: a, select: x, cronn: 1}")
    assert len(raised.value.problem.splitlines()) == 2


def test_mistakes_are_reported_in_the_order_of_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ScheduleGroupError) as raised:
        load(tmp_path, "groups:\n- retries: many\n  name: a\n  cron: never\n- name: b\n  select: 1")
    places = [line.split(":")[1] for line in raised.value.problem.splitlines()[1:]]
    assert places == ["2", "4", "6"]


def test_all_invalid_groups_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(ScheduleGroupError, match=r"(?s)group a.*group b"):
        load(tmp_path, "groups: [{name: a}, {name: b, select: x, cron: bad}]")


def test_every_key_of_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "my_groups.yaml"
    path.write_text(EVERYTHING)
    groups = load_groups(Settings(schedule_groups_file=path))
    first, second = groups.groups
    assert groups.on_overlap is OnOverlap.ALL
    assert (first.full_refresh, first.retries, first.on_upstream_failure) == (
        FullRefresh.NEVER,
        3,
        OnUpstreamFailure.SKIP,
    )
    assert first.resources is not None
    assert (first.resources.requests, first.resources.limits) == ({"cpu": "0.5"}, {"cpu": "2", "memory": "1Gi"})
    assert first.node_selector == {"example.com/pool": "memory", "kubernetes.io/arch": ""}
    assert first.tolerations == (
        Toleration(key="memory", operator="Exists", effect="NoExecute", tolerationSeconds=60),
        Toleration(key="pool", value="analytics"),
        Toleration(operator="Exists"),
    )
    assert first.priority_class_name == "batch.low"
    assert first.variables == {"day": "2026-01-01", "depth": {"a": [1, None]}}
    assert (first.docs, second.docs) == (True, False)
    assert second.reads_previous == ("first",)
    assert (second.full_refresh, second.retries, second.on_upstream_failure, second.resources) == (
        FullRefresh.ON_REQUEST,
        0,
        OnUpstreamFailure.WAIT,
        None,
    )
    assert (second.node_selector, second.tolerations, second.priority_class_name) == (None, None, None)
    assert second.variables == {}


# --- vars -----------------------------------------------------------------------------------------------------


def test_a_groups_vars_are_merged_with_the_locations_and_win(tmp_path: Path) -> None:
    with_vars, without = load(
        tmp_path,
        "groups: [{name: a, select: x, vars: {day: 2, own: 1}}, {name: b, select: x}]",
        dbt_vars={"day": 1, "city": "Ulm"},
    )
    assert with_vars.variables == {"day": 2, "own": 1, "city": "Ulm"}
    assert with_vars.selection == Selection(select="x", variables='{"city":"Ulm","day":2,"own":1}')
    assert with_vars.changes == Selection(variables='{"city":"Ulm","day":2,"own":1}', changed=True)
    assert (without.selection, without.changes) == (Selection(select="x"), None)


def test_equal_selections_are_resolved_once(tmp_path: Path) -> None:
    path = tmp_path / "my_groups.yaml"
    path.write_text("groups: [{name: a, select: x, vars: {v: 1}}, {name: b, select: x, vars: {v: 1}}]")
    asked = load_groups(Settings(schedule_groups_file=path)).selections
    assert asked == (Selection(select="x", variables='{"v":1}'), Selection(variables='{"v":1}', changed=True))


WITHOUT_SELECTION = (
    "groups: [{name: a, default: true}]",
    "groups: [{name: a, select: , default: true}]",
    "groups: [{name: a, default: true, vars: {v: 1}}, {name: b, selector: y}]",
)


@pytest.mark.parametrize("content", WITHOUT_SELECTION)
def test_a_default_group_needs_no_selection(tmp_path: Path, content: str) -> None:
    group = load(tmp_path, content)[0]
    assert group.selection is None
    assert group.named({}) == frozenset()


# --- the JSON schema --------------------------------------------------------------------------------------------


def test_the_schema_file_is_up_to_date() -> None:
    # To update it: `analytics-dagster schema > analytics_dagster/planning/groups.schema.json`.
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema()


def test_the_schema_is_a_valid_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "content",
    [
        BUNDLED.read_text(encoding="utf-8"),
        TWO,
        EVERYTHING,
        "groups: [{name: a, select: x, time_zone: }]",
        *WITHOUT_SELECTION,
    ],
)
def test_the_schema_accepts_valid_files(tmp_path: Path, content: str) -> None:
    load(tmp_path, content)
    jsonschema.validate(yaml.safe_load(content), json_schema())


@pytest.mark.parametrize(
    "content",
    [
        "groups: [{name: a, select: x, cronn: 1}]",
        "groups: [{name: a}]",
        "groups: [{name: a, select: x, selector: y}]",
        "groups: [{name: a, select: x, selector: y, default: true}]",
        "groups: [{name: a, default: false}]",
        "groups: [{name: a, select: }]",
        "groups: [{name: a b, select: x}]",
        "groups: [{name: a, select: [x]}]",
        "groups: [{name: a, select: x, cron: 5}]",
        "groups: [{name: a, select: x, retries: 11}]",
        "groups: [{name: a, select: x, full_refresh: maybe}]",
        "groups: [{name: a, select: x, vars: [1]}]",
        "groups: [{name: a, select: x, reads_previous: b}]",
        "groups: [{name: a, select: x, resources: {limit: {}}}]",
        "groups: [{name: a, select: x, resources: {limits: {cpu: true}}}]",
        "groups: [{name: a, select: x, node_selector: {gpu: true}}]",
        "groups: [{name: a, select: x, tolerations: {key: a}}]",
        "groups: [{name: a, select: x, tolerations: [{keys: a}]}]",
        "groups: [{name: a, select: x, tolerations: [{key: a, effect: NoEntry}]}]",
        "{on_overlap: last, groups: [{name: a, select: x}]}",
        "groups: []",
        "groups: {a: {select: x}}",
        "schedules: []",
        "- name: a",
    ],
)
def test_the_schema_rejects_invalid_files(tmp_path: Path, content: str) -> None:
    with pytest.raises(ScheduleGroupError):
        load(tmp_path, content)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(content), json_schema())


def test_the_bundled_file_names_its_schema_to_editors() -> None:
    first = BUNDLED.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA.name}"
    assert SCHEMA.is_file()


def test_reserved_names_are_the_locations_other_jobs_and_asset_groups() -> None:
    assert {CONSUMERS, INGESTED, EXPOSURES, INGESTION, SOURCES} == RESERVED


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_an_unreadable_file_is_an_error_that_names_the_variable(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScheduleGroupError, match="can't be read") as raised:
        load_groups(Settings(schedule_groups_file=tmp_path / name))
    assert str((tmp_path / name).resolve()) in raised.value.problem
    assert "ANALYTICS_SCHEDULE_GROUPS_FILE" in raised.value.remedy


def test_the_bundled_file_comes_with_the_package() -> None:
    assert BUNDLED.is_file()
