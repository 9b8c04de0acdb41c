"""Schedule groups as data: the bundled file, and every way in which a file of one's own can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analytics_dagster.dbt_process import Selection
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.settings import Settings
from analytics_dagster.transform.groups import BUNDLED, ScheduleGroup, load_groups

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


def test_a_file_of_ones_own_says_all_that_a_group_can(tmp_path: Path) -> None:
    morning, evening = load(tmp_path, TWO)
    assert morning.selection == Selection(select="tag:morning")
    assert evening.selection == Selection(selector="in_the_evening")
    assert evening.cron == ("0 18 * * *", "0 20 * * *")


def test_a_group_without_a_cron_runs_by_hand_or_sensor_alone(tmp_path: Path) -> None:
    (group,) = load(tmp_path, "groups: [{name: by_hand, select: '*'}]")
    assert group.cron == ()


def test_the_settings_time_zone_holds_where_a_group_names_none(tmp_path: Path) -> None:
    morning, evening = load(tmp_path, TWO, time_zone="Europe/Berlin")
    assert (morning.time_zone, evening.time_zone) == ("Asia/Tokyo", "Europe/Berlin")


@pytest.mark.parametrize("name", ["Evening", "evening"])
def test_the_settings_cron_takes_the_place_of_a_groups_own(tmp_path: Path, name: str) -> None:
    morning, evening = load(tmp_path, TWO, cron={name: "30 19 * * *"})
    assert morning.cron == ("0 8 * * *",)
    assert evening.cron == ("30 19 * * *",)


def test_a_variable_sets_a_groups_cron(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANALYTICS_CRON__EVENING", "30 19 * * *")
    assert load(tmp_path, TWO)[1].cron == ("30 19 * * *",)


def test_a_group_that_settings_name_and_the_file_has_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ScheduleGroupError, match=r"ANALYTICS_CRON .*my_groups\.yaml .*weekly") as raised:
        load(tmp_path, TWO, cron={"weekly": "0 0 * * 0"})
    assert "morning, Evening" in raised.value.remedy


@pytest.mark.parametrize("cron", ["soon", "61 * * * *", "* * * *", "0 6 * * * *"])
def test_a_bad_cron_in_settings_is_an_error_that_names_the_variable(tmp_path: Path, cron: str) -> None:
    with pytest.raises(ScheduleGroupError, match="ANALYTICS_CRON__MORNING") as raised:
        load(tmp_path, TWO, cron={"morning": cron})
    assert cron in raised.value.problem


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("groups: [{name: a, select: x, cronn: '0 6 * * *'}]", ["group a", "cronn", "Extra inputs"]),
        ("groups: [{name: a}]", ["group a", "give either `select` or `selector`"]),
        ("groups: [{name: a, select: x, selector: y}]", ["group a", "give either `select` or `selector`"]),
        ("groups: [{name: a, select: x, cron: hourly}]", ["group a", "cron", "'hourly' is no cron schedule"]),
        ("groups: [{name: a, select: x, cron: '0 25 * * *'}]", ["group a", "cron", "'0 25 * * *' is no cron"]),
        ("groups: [{name: a, select: x, cron: ''}]", ["group a", "cron", "'' is no cron schedule"]),
        ("groups: [{name: a, select: x, cron: ['0 6 * * *', bad]}]", ["group a", "cron", "'bad' is no cron"]),
        ("groups: [{name: a, select: x, cron: 5}]", ["group a", "cron"]),
        ("groups: [{name: a, select: x, time_zone: Mars/Base}]", ["group a", "time_zone", "'Mars/Base' is no IANA"]),
        ("groups: [{name: a, select: x, default: perhaps}]", ["group a", "default"]),
        ("groups: [{name: a, select: x}, {name: a, select: y}]", ["more than one group is named a"]),
        (
            "groups: [{name: a, select: x, default: true}, {name: b, select: y, default: true}]",
            ["more than one group is the default: a, b"],
        ),
        ("groups: [{name: a b, select: x}]", ["group a b", "name"]),
        ("groups: [{select: x}]", ["group 1", "name", "required"]),
        ("groups: [{name: a, select: x}, {select: y}]", ["group 2", "name", "required"]),
        ("groups: [hourly]", ["group 1"]),
        ("groups: []", ["groups", "at least 1"]),
        ("groups:", ["groups"]),
        ("groups: {a: {select: x}}", ["groups"]),
        ("schedules: []", ["groups", "required"]),
        ("- name: a", ["dictionary"]),
        ("", ["dictionary"]),
        ("groups: [", ["can't be read"]),
        ("groups: \x00", ["can't be read"]),
    ],
)
def test_a_bad_file_is_an_error_that_names_the_file_the_group_and_the_key(
    tmp_path: Path, content: str, told: list[str]
) -> None:
    with pytest.raises(ScheduleGroupError) as raised:
        load(tmp_path, content)
    assert all(part in raised.value.problem for part in [str(tmp_path / "my_groups.yaml"), *told]), raised.value


def test_every_bad_group_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScheduleGroupError, match=r"(?s)group a.*group b"):
        load(tmp_path, "groups: [{name: a}, {name: b, select: x, cron: bad}]")


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_can_not_be_read_is_an_error_that_names_the_variable(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScheduleGroupError, match="can't be read") as raised:
        load_groups(Settings(schedule_groups_file=tmp_path / name))
    assert str((tmp_path / name).resolve()) in raised.value.problem
    assert "ANALYTICS_SCHEDULE_GROUPS_FILE" in raised.value.remedy


def test_the_bundled_file_comes_with_the_package() -> None:
    assert BUNDLED.is_file()
