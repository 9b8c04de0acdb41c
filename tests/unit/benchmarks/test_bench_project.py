"""The benchmark's project: of the size that was asked for, the same each time, and equal work for every contender."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from benchmarks import contenders, project
from benchmarks.contenders import Arena, Place, Recorded
from benchmarks.project import GROUPS, TESTS_A_MODEL, Size, draw, kept_project, write


@pytest.mark.parametrize("models", [2, 40, 400])
def test_each_group_has_half_of_the_models_and_two_tests_for_each(models: int) -> None:
    drawn = draw(Size(models))
    for rank in range(len(GROUPS)):
        nodes = [node for node in drawn.nodes.values() if node.group == rank]
        assert len([node for node in nodes if node.kind == "model"]) == models / 2
        tests = [test for test in drawn.tests.values() if drawn.nodes[test.reads[0]].group == rank]
        assert len(tests) == TESTS_A_MODEL * models / 2


def test_no_test_crosses_groups_so_all_contenders_run_the_same_tests() -> None:
    drawn = draw(Size(200))
    for test in drawn.tests.values():
        assert len({drawn.nodes[name].group for name in test.reads}) == 1, test


def test_nodes_read_only_earlier_nodes_of_the_same_or_an_earlier_group() -> None:
    drawn = draw(Size(200))
    seen: list[str] = []
    for node in drawn.nodes.values():
        assert all(read in seen for read in node.reads)
        assert all((drawn.nodes[read].group or 0) <= (node.group or 0) for read in node.reads)
        seen.append(node.name)


def test_every_node_has_the_tag_that_the_stock_code_selects() -> None:
    for node in draw(Size(200)).nodes.values():
        assert node.kind == "source" or (node.group is not None and GROUPS[node.group] in node.tags)


def test_the_same_size_gives_the_same_project(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(Size(20), tmp_path / name)
    a, b = (
        {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "a", tmp_path / "b")
    )
    assert a == b
    assert [group["name"] for group in yaml.safe_load(a[Path("schedule_groups.yaml")])["groups"]] == [*GROUPS]


def test_a_project_is_cached_outside_git_until_its_generator_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "CACHE", tmp_path)
    kept = kept_project(Size(4))
    (kept / "target").mkdir()
    assert kept_project(Size(4)) == kept
    assert (kept / "target").exists()
    assert (tmp_path / ".gitignore").read_text() == "*\n"
    monkeypatch.setattr(project, "version", lambda _: "another dbt")
    new = kept_project(Size(4))
    assert new != kept
    assert not kept.exists(), "a stale project is deleted"
    assert not (new / "target").exists()


def test_the_environment_of_a_contender_has_no_settings_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANALYTICS_DBT_TARGET", "DAGSTER_IS_DEV_CLI", "DBT_THREADS"):
        monkeypatch.setenv(name, "x")
    environment = Place(tmp_path / "project").environment
    assert not {"ANALYTICS_DBT_TARGET", "DAGSTER_IS_DEV_CLI", "DBT_THREADS"} & environment.keys()
    assert environment["DAGSTER_HOME"] == str(tmp_path / "home")


@pytest.mark.parametrize(("recorded", "equal"), [((2, 1), True), ((1, 1), False), ((2, 0), False)])
def test_a_contender_that_recorded_less_than_dbt_ran_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: tuple[int, int], *, equal: bool
) -> None:
    arena = Arena(tmp_path, Size(4))
    ran = ["model.large.a", "snapshot.large.b", "test.large.c", "operation.large.hook"]
    (arena.plain.project / "target").mkdir(parents=True)
    (arena.plain.project / "target" / "run_results.json").write_text(
        json.dumps({"results": [{"unique_id": unique_id} for unique_id in ran]})
    )
    less, all_of_it = Recorded(*recorded, observed=1), Recorded(2, 1, observed=0)
    monkeypatch.setattr(contenders, "_recorded", lambda _: less)
    if equal:
        assert arena.require_equal_work() == ()
    else:
        with pytest.raises(RuntimeError, match="dbt ran"):
            arena.require_equal_work()
        monkeypatch.setattr(contenders, "_recorded", lambda home: all_of_it if home == arena.ours.home else less)
        [remark] = arena.require_equal_work()
        assert f"the stock code recorded {recorded} as materializations and checks, and 1 tests as bare" in remark
