"""The assets, checks and exposures of a real project, the lending library."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from analytics_dagster.assets.build import DbtAssets, build_dbt_assets
from analytics_dagster.assets.dbt_definitions import make_dbt_definitions
from analytics_dagster.assets.keys import dagster_owner
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.files import find_project
from analytics_dagster.project.loading import load_project
from analytics_dagster.project.profile import load_target
from analytics_dagster.warehouse import POOL

if TYPE_CHECKING:
    from tests.conftest import Preparation

LIBRARY = "lending_library"
SCREEN = dg.AssetKey(["exposures", "front_desk_screen"])


@pytest.fixture(scope="module")
def made(preparation: Preparation) -> tuple[Plan, DbtAssets]:
    settings = preparation.library.settings()
    groups = load_groups(settings)
    files = find_project(settings)
    project = load_project(files, load_target(files), groups.selections)
    plan = make_plan(groups, project.manifest, project.selected).require()
    return plan, build_dbt_assets(
        settings, project, make_dbt_definitions(project, plan, {}, unit_tests=settings.unit_tests)
    )


@pytest.fixture(scope="module")
def dbt_assets(made: tuple[Plan, DbtAssets]) -> DbtAssets:
    return made[1]


@pytest.fixture(scope="module")
def graph(dbt_assets: DbtAssets) -> dg.AssetGraph:
    sources = dg.Definitions(assets=list(dbt_assets.dbt_definitions.sources.values()))
    return dg.Definitions.merge(dbt_assets.definitions, sources).resolve_asset_graph()


def spec_of(dbt_assets: DbtAssets, unique_id: str) -> dg.AssetSpec:
    for assets in dbt_assets.definitions.assets or []:
        if isinstance(assets, dg.AssetsDefinition) and dbt_assets.nodes[unique_id] in assets.specs_by_key:
            return assets.specs_by_key[dbt_assets.nodes[unique_id]]
    raise AssertionError(unique_id)


# --- nodes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unique_id", "key", "group", "kinds"),
    [
        (f"seed.{LIBRARY}.books", "books", "opening_time", {"dbt", "duckdb", "seed"}),
        (f"seed.{LIBRARY}.loans", "loans", "opening_time", {"dbt", "duckdb", "seed"}),
        (f"model.{LIBRARY}.shelf", "shelf", "opening_time", {"dbt", "duckdb", "incremental"}),
        (f"snapshot.{LIBRARY}.book_history", "book_history", "opening_time", {"dbt", "duckdb", "snapshot"}),
        (f"model.{LIBRARY}.members", "circulation/members", "closing_time", {"dbt", "duckdb", "table"}),
        (f"model.{LIBRARY}.late_returns", "circulation/late_returns", "closing_time", {"dbt", "duckdb", "view"}),
    ],
)
def test_a_node_is_an_asset_with_its_group_and_kinds(
    dbt_assets: DbtAssets, unique_id: str, key: str, group: str, kinds: set[str]
) -> None:
    spec = spec_of(dbt_assets, unique_id)
    assert spec.key.to_user_string() == key
    assert spec.group_name == group
    assert spec.kinds == kinds
    assert spec.metadata["dagster_dbt/unique_id"] == unique_id


def test_each_built_node_is_an_asset_and_an_ephemeral_model_is_not(dbt_assets: DbtAssets) -> None:
    assert len(dbt_assets.nodes) == 6
    assert f"model.{LIBRARY}.returned_loans" not in dbt_assets.nodes


def test_an_asset_depends_on_what_it_reads_through_ephemeral_models(graph: dg.AssetGraph) -> None:
    late_returns = graph.get(dg.AssetKey(["circulation", "late_returns"]))
    assert late_returns.parent_keys == {dg.AssetKey("loans")}
    assert graph.get(dg.AssetKey("shelf")).parent_keys == {dg.AssetKey("books"), dg.AssetKey("loans")}


def test_a_source_is_an_asset_in_the_group_of_sources(dbt_assets: DbtAssets) -> None:
    (source,) = dbt_assets.dbt_definitions.sources.values()
    assert source.key == dg.AssetKey(["seeded", "loans"])
    assert source.group_name == "sources"


def test_the_name_of_an_owner_becomes_a_team(dbt_assets: DbtAssets) -> None:
    assert list(spec_of(dbt_assets, f"model.{LIBRARY}.members").owners) == ["team:front_desk"]
    assert list(spec_of(dbt_assets, f"model.{LIBRARY}.shelf").owners) == []


def test_descriptions_tags_and_columns_come_from_the_project(dbt_assets: DbtAssets) -> None:
    shelf = spec_of(dbt_assets, f"model.{LIBRARY}.shelf")
    assert shelf.description == "The number of copies on the shelf now."
    columns = shelf.metadata["dagster/column_schema"]
    assert [column.name for column in columns.columns] == ["isbn"]
    assert "daily" in spec_of(dbt_assets, f"model.{LIBRARY}.members").tags


def test_a_code_reference_opens_the_nodes_own_file(dbt_assets: DbtAssets, preparation: Preparation) -> None:
    references = spec_of(dbt_assets, f"model.{LIBRARY}.members").metadata["dagster/code_references"]
    files = {
        str(reference.file_path)
        for reference in references.code_references
        if isinstance(reference, dg.LocalFileCodeReference)
    }
    assert str(preparation.library.project / "transformations" / "circulation" / "members.sql") in files


def test_a_group_is_one_step_in_the_warehouses_pool(dbt_assets: DbtAssets) -> None:
    steps = {
        assets.op.name: assets.op.pool
        for assets in dbt_assets.definitions.assets or []
        if isinstance(assets, dg.AssetsDefinition) and assets.is_executable
    }
    assert steps == {"dbt_opening_time": POOL, "dbt_closing_time": POOL}


# --- tests --------------------------------------------------------------------------------------------------

CHECKS = [
    ("source_not_null_seeded_loans_loan_id", "seeded/loans", True),
    ("unique_shelf_isbn", "shelf", True),
    ("not_null_shelf_isbn", "shelf", True),
    ("unique_members_member", "circulation/members", True),
    ("not_null_members_member", "circulation/members", False),
    # Written beside an ephemeral model, which is no asset: a check of what that reads.
    ("unique_returned_loans_loan_id", "loans", True),
    ("relationships_late_returns_member__member__ref_members_", "circulation/late_returns", True),
    ("no_book_is_lent_more_often_than_it_has_copies", "shelf", True),
]


def test_each_data_test_is_exactly_one_check(made: tuple[Plan, DbtAssets], graph: dg.AssetGraph) -> None:
    assert Counter((key.name, key.asset_key.to_user_string()) for key in graph.asset_check_keys) == dict.fromkeys(
        ((name, asset) for name, asset, _ in CHECKS), 1
    )
    assert len(made[0].tests) == len(CHECKS)


@pytest.mark.parametrize(("name", "asset", "blocks"), CHECKS)
def test_a_check_is_of_the_right_asset_and_blocks_if_its_severity_is_error(
    dbt_assets: DbtAssets, name: str, asset: str, *, blocks: bool
) -> None:
    (spec,) = [spec for spec in dbt_assets.dbt_definitions.checks.values() if spec.name == name]
    assert spec.asset_key.to_user_string() == asset
    assert spec.blocking is blocks


def test_a_check_that_reads_another_asset_depends_on_it(dbt_assets: DbtAssets) -> None:
    (spec,) = [spec for spec in dbt_assets.dbt_definitions.checks.values() if spec.name.startswith("relationships_")]
    assert {dep.asset_key.to_user_string() for dep in spec.additional_deps} == {"circulation/members"}


# --- exposures ----------------------------------------------------------------------------------------------


def test_an_exposure_is_an_asset_downstream_of_what_it_depends_on(graph: dg.AssetGraph) -> None:
    screen = graph.get(SCREEN)
    assert screen.parent_keys == {dg.AssetKey("shelf"), dg.AssetKey(["circulation", "late_returns"])}
    assert screen.group_name == "exposures"
    assert list(screen.owners) == ["team:front_desk"]
    assert screen.kinds == {"dbt", "application"}
    assert not screen.is_executable


# --- owners -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("ana@example.com", "ana@example.com"),
        ("team:finance", "team:finance"),
        ("Front Desk", "team:front_desk"),
        ("R&D / Labs", "team:r_d_labs"),
        ("  spaces  ", "team:spaces"),
        ("!!!", "team:unknown"),
        ("@data-team", "team:data_team"),
        ("Ana <ana@example.com>", "team:ana_ana_example_com"),
    ],
)
def test_an_owner_has_a_form_that_dagster_accepts(name: str, owner: str) -> None:
    assert dagster_owner(name) == owner
    dg.AssetSpec("any", owners=[owner])
