"""What runs of schedule groups build and check, in a small dbt project full of edge cases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import dagster as dg
import duckdb
import pytest

from analytics_dagster.assets.build import DbtAssets, build_dbt_assets
from analytics_dagster.assets.dbt_definitions import make_dbt_definitions
from analytics_dagster.assets.keys import check_asset_keys
from analytics_dagster.ingestion import build_ingestion
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import GROUP_TAG
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.files import find_project
from analytics_dagster.project.loading import load_project, prepare_manifest
from analytics_dagster.project.profile import load_target
from analytics_dagster.settings import Settings

pytestmark = pytest.mark.integration

FILES = {
    "dbt_project.yml": """
        name: edge_cases
        version: "1.0.0"
        profile: edge_cases
        vars: {currency: none, rate: 1}
        """,
    "profiles.yml": """
        edge_cases:
          target: dev
          outputs:
            dev: {type: duckdb, path: edge_cases.duckdb, threads: 2}
            lake:
              type: duckdb
              path: ":memory:"
              database: lake
              attach: [{path: lake.duckdb, alias: lake}]
        """,
    "schedule_groups.yaml": """
        on_overlap: all
        groups:
          - {name: often, select: "tag:often", vars: {currency: EUR}, full_refresh: never}
          - {name: seldom, select: "tag:seldom", default: true, vars: {currency: USD}, full_refresh: always}
        """,
    "groups_without_vars.yaml": """
        on_overlap: all
        groups: [{name: often, select: "tag:often"}, {name: seldom, select: "tag:seldom", default: true}]
        """,
    "macros/duckdb_functions.sql": """
        {% macro duckdb__scalar_function_sql(relation) %}
        create or replace macro {{ relation.render() }}({{ model.arguments | map(attribute='name') | join(', ') }})
        as ({{ model.compiled_code }})
        {% endmacro %}
        """,
    "functions/doubled.sql": "price * 2",
    "functions/functions.yml": """
        functions:
          - name: doubled
            description: Twice the price.
            config: {meta: {owner: ana@example.com}}
            arguments: [{name: price, data_type: integer}]
            returns: {data_type: integer}
        """,
    "seeds/orders.csv": "id,price\n1,10\n2,20\n",
    "seeds/seeds.yml": """
        seeds:
          - {name: orders, config: {schema: shop}}
        """,
    # `shared` reads a node of the other group, and a node of the other group reads `shared`: a cycle of steps.
    "models/early.sql": "select * from {{ source('shop', 'orders') }}",
    "models/shared.sql": """
        {{ config(tags=['often', 'seldom']) }}
        select id, price, '{{ var("currency") }}' as currency, {{ var("rate") }} as rate from {{ ref('early') }}
        """,
    "models/late.sql": "select id, {{ function('doubled') }}(price) as price, currency from {{ ref('shared') }}",
    "models/grown.sql": """
        {{ config(materialized='incremental') }}
        select current_timestamp as built_at, {{ 'true' if is_incremental() else 'false' }} as was_there
        """,
    # Names with the same Dagster identifier, and names that Dagster reserves or rejects.
    "models/price.list.sql": "select 1 as one",
    "models/price_list.sql": "select 1 as one",
    "models/type.sql": "select one from {{ ref('price.list') }} union all select one from {{ ref('price_list') }}",
    "models/models.yml": """
        models:
          - name: shared
            columns:
              - name: id
                data_tests:
                  - unique
                  - relationships: {arguments: {to: ref('late'), field: id}, config: {severity: warn}}
          - name: price_list
            columns: [{name: one, data_tests: [{unique: {name: one_is_one}}]}]
          - name: price.list
            columns: [{name: one, data_tests: [{unique: {name: one_is_one}}]}]
        sources:
          - name: shop
            schema: main_shop
            tables:
              - {name: orders, columns: [{name: id, data_tests: [not_null]}]}
          - name: far away
            schema: main
            tables:
              - name: click stream
                identifier: click_stream
                columns: [{name: id, data_tests: [not_null: {name: clicks_have_ids}]}]
        unit_tests:
          - name: twice_as_dear
            model: late
            given:
              - {input: ref('shared'), rows: [{id: 1, price: 3, currency: X}]}
            expect: {rows: [{id: 1, price: 6, currency: X}]}
        """,
    "tests/the_clock_is_right.sql": "select 1 where current_date < date '2020-01-01'",
}


@dataclass(frozen=True)
class Run:
    """One run of a job: Dagster's result, and the results and log of each dbt invocation by step, in order."""

    result: dg.ExecuteInProcessResult
    steps: Mapping[str, Mapping[str, Any]]
    logs: Mapping[str, str]

    @property
    def executed(self) -> list[str]:
        """The ids in dbt's run results, step by step, without the hashes of generic tests."""
        found = [result["unique_id"] for results in self.steps.values() for result in results["results"]]
        return [".".join(unique_id.split(".")[:3]) for unique_id in found]

    @property
    def materialized(self) -> Counter[str]:
        """How often each asset was materialized."""
        events = self.result.get_asset_materialization_events()
        return Counter(event.asset_key.to_user_string() for event in events if event.asset_key)

    @property
    def checked(self) -> Mapping[str, bool]:
        """Whether each check passed."""
        found = self.result.get_asset_check_evaluations()
        outcomes = {f"{check.asset_key.to_user_string()}: {check.check_name}": check.passed for check in found}
        assert len(outcomes) == len(found)
        return outcomes

    def failure(self, step: str) -> str:
        """Return the error message of a failed step."""
        data = self.result.failure_data_for_node(step)
        assert data is not None
        assert data.error is not None
        return data.error.message


@dataclass(frozen=True)
class EdgeCases:
    """The project and its location."""

    folder: Path
    plan: Plan
    dbt_assets: DbtAssets
    definitions: dg.Definitions
    artifacts: Path
    instance: dg.DagsterInstance

    def run(self, job: str, **options: Any) -> Run:
        """Run the job of a group."""
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **options
        )
        folders = sorted(self.artifacts.glob(f"runs/{result.run_id}-*"), key=lambda path: path.stat().st_ctime)
        steps = {folder.name.removeprefix(f"{result.run_id}-"): folder for folder in folders}
        return Run(
            result,
            {step: json.loads((folder / "run_results.json").read_text()) for step, folder in steps.items()},
            {step: (folder / "dbt.log").read_text() for step, folder in steps.items()},
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query in the warehouse."""
        with duckdb.connect(str(self.folder / "edge_cases.duckdb")) as connection:
            return connection.execute(sql).fetchall()


def make_project(folder: Path, instance: dg.DagsterInstance, **others: Any) -> EdgeCases:
    """Write the project, prepare it, and define its location with a job per group."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text).lstrip())
    settings = Settings(
        **{
            "dbt_project_dir": folder,
            "dbt_profiles_dir": folder,
            "schedule_groups_file": folder / "schedule_groups.yaml",
            "data_dir": folder / "data",
            "dbt_artifacts": "all",
            **others,
        }
    )
    groups = load_groups(settings)
    files = find_project(settings)
    target = load_target(files)
    prepare_manifest(files, target, groups.selections, print)
    project = load_project(files, target, groups.selections)
    plan = check_asset_keys(make_plan(groups, project.manifest, project.selected), project.manifest).require()
    dbt_definitions = make_dbt_definitions(project, plan, project.manifest, unit_tests=settings.unit_tests)
    dbt_assets = build_dbt_assets(settings, project, dbt_definitions)
    jobs = [
        dg.define_asset_job(
            part.group.name,
            selection=dg.AssetSelection.assets(*dbt_assets.assets_of(part)).without_checks()
            | dg.AssetSelection.checks(*dbt_assets.checks_of(part)),
            tags={GROUP_TAG: part.group.name},
        )
        for part in plan.groups
    ]
    definitions = dg.Definitions.merge(
        dbt_assets.definitions,
        build_ingestion(settings, project.manifest, dbt_assets.dbt_definitions.sources, "dev").definitions,
        dg.Definitions(jobs=jobs, executor=dg.in_process_executor),
    )
    dg.Definitions.validate_loadable(definitions)
    return EdgeCases(folder, plan, dbt_assets, definitions, project.artifacts, instance)


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def edge_cases(tmp_path_factory: pytest.TempPathFactory, instance: dg.DagsterInstance) -> EdgeCases:
    folder = tmp_path_factory.mktemp("edge_cases")
    return make_project(folder, instance, dbt_vars={"rate": 7}, unit_tests=True)


@dataclass(frozen=True)
class History:
    """Runs in order, with the contents of `shared` after each."""

    on_empty_warehouse: Run
    seldom: Run
    after_seldom: list[tuple[Any, ...]]
    often: Run
    after_often: list[tuple[Any, ...]]
    refused: Run


@pytest.fixture(scope="module")
def history(edge_cases: EdgeCases) -> History:
    query = "select distinct currency, rate from shared"
    on_empty_warehouse = edge_cases.run("often")
    edge_cases.rows("create table click_stream as select 1 as id")
    return History(
        on_empty_warehouse,
        seldom=edge_cases.run("seldom"),
        after_seldom=edge_cases.rows(query),
        often=edge_cases.run("often"),
        after_often=edge_cases.rows(query),
        refused=edge_cases.run("often", run_config={"ops": {"dbt_often": {"config": {"full_refresh": True}}}}),
    )


def once(names: list[str]) -> dict[str, int]:
    return dict.fromkeys(names, 1)


# --- an empty warehouse -------------------------------------------------------------------------------------


def test_a_group_with_missing_upstreams_names_them_and_starts_no_dbt(edge_cases: EdgeCases, history: History) -> None:
    assert not history.on_empty_warehouse.result.success
    assert history.on_empty_warehouse.steps == {}
    message = history.on_empty_warehouse.failure("dbt_often")
    assert "early (group seldom), read by model.edge_cases.shared" in message
    assert "`analytics-dagster build --group often --upstream`" in message
    assert "shared (" not in message, "the group builds it itself"
    run = edge_cases.instance.get_run_by_id(history.on_empty_warehouse.result.run_id)
    assert run is not None
    assert run.tags["dagster/max_retries"] == "0"


# --- builds and tests ---------------------------------------------------------------------------------------

SELDOM = ["doubled", "early", "grown", "late", "price.list", "price_list", "shop/orders", "type"]
SELDOM_CHECKS = {
    "price.list: one_is_one",
    "price_list: one_is_one",
    "shop/orders: source_not_null_shop_orders_id",
    "far away/click stream: clicks_have_ids",
    "late: twice_as_dear",
    "late: the_clock_is_right",
}
SHARED_CHECKS = {"shared: unique_shared_id", "shared: relationships_shared_id__id__ref_late_"}


def test_a_group_builds_and_tests_its_own_and_refreshed_nodes_once(history: History) -> None:
    assert history.seldom.result.success
    assert history.seldom.materialized == once([*SELDOM, "shared"])
    assert history.seldom.checked == dict.fromkeys(SELDOM_CHECKS | SHARED_CHECKS, True)
    assert set(Counter(history.seldom.executed).values()) <= {1, 2}, "two tests have one name"
    assert len(history.seldom.executed) == len(SELDOM) + 1 + len(SELDOM_CHECKS | SHARED_CHECKS)
    assert history.seldom.result.get_asset_observation_events() == []


def test_the_group_of_a_refreshed_node_builds_and_tests_it_too(history: History) -> None:
    assert history.often.result.success
    assert history.often.materialized == once(["shared"])
    assert history.often.checked == dict.fromkeys(SHARED_CHECKS, True)
    assert history.often.result.get_asset_observation_events() == []


def test_steps_that_depend_on_each_other_are_split_in_node_order(history: History) -> None:
    executed = history.seldom.executed
    order = ["model.edge_cases.early", "model.edge_cases.shared", "model.edge_cases.late"]
    order += ["test.edge_cases.relationships_shared_id__id__ref_late_"]
    assert sorted(order, key=executed.index) == order
    assert len({start.partition("-")[0] for start in history.seldom.steps}) == 4
    assert executed.index("test.edge_cases.unique_shared_id") < executed.index("model.edge_cases.late")


def test_vars_of_the_group_override_those_of_the_location(history: History) -> None:
    assert history.after_seldom == [("USD", 7)]
    assert history.after_often == [("EUR", 7)]


def test_the_policy_of_the_group_decides_on_a_full_refresh(history: History) -> None:
    assert {results["args"]["full_refresh"] for results in history.seldom.steps.values()} == {True}
    assert {results["args"].get("full_refresh", False) for results in history.often.steps.values()} == {False}


def test_a_forbidden_full_refresh_starts_no_dbt(history: History) -> None:
    assert not history.refused.result.success
    assert history.refused.steps == {}
    assert "The schedule group often forbids a full refresh" in history.refused.failure("dbt_often")


def test_vars_of_the_location_and_the_groups_cause_no_full_parse(history: History) -> None:
    logs = [*history.seldom.logs.values(), *history.often.logs.values()]
    assert len(logs) == 7
    for log in logs:
        assert "Partial parsing enabled" in log
        assert "Unable to do partial parsing" not in log


# --- assets -------------------------------------------------------------------------------------------------


def parents_of(edge_cases: EdgeCases, key: str) -> set[str]:
    graph = edge_cases.definitions.resolve_asset_graph()
    return {parent.to_user_string() for parent in graph.get(dg.AssetKey(key)).parent_keys}


def test_a_function_is_an_asset_upstream_of_its_callers(edge_cases: EdgeCases) -> None:
    spec = edge_cases.definitions.resolve_asset_graph().get(dg.AssetKey("doubled"))
    assert spec.kinds == {"dbt", "duckdb", "function"}
    assert spec.group_name == "seldom"
    assert list(spec.owners) == ["ana@example.com"]
    assert spec.description == "Twice the price."
    assert "dagster/code_references" in spec.metadata
    assert parents_of(edge_cases, "late") == {"doubled", "shared"}


def test_a_seed_read_as_a_source_is_one_asset(edge_cases: EdgeCases) -> None:
    assert "source.edge_cases.shop.orders" not in edge_cases.dbt_assets.dbt_definitions.sources
    prefix = "test.edge_cases.source_not_null_shop_orders_id."
    [check] = [check for test, check in edge_cases.dbt_assets.dbt_definitions.checks.items() if test.startswith(prefix)]
    assert check.asset_key == dg.AssetKey(["shop", "orders"])
    assert parents_of(edge_cases, "early") == {"shop/orders"}


def test_a_materialization_has_row_count_duration_and_sql(history: History) -> None:
    metadata = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for event in history.seldom.result.get_asset_materialization_events()
        if event.asset_key
    }
    assert metadata["shop/orders"]["dagster/row_count"] == dg.MetadataValue.int(2)
    assert "dagster/row_count" not in metadata["early"], "a view is not counted"
    assert isinstance(metadata["early"]["Execution Duration"], dg.FloatMetadataValue)
    assert "USD" in str(metadata["shared"]["compiled_sql"].value)


# --- a warehouse without a file -----------------------------------------------------------------------------


def test_without_a_file_dbts_failure_names_the_missing_upstreams(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    groups = tmp_path / "groups_without_vars.yaml"
    edge_cases = make_project(tmp_path, instance, dbt_target="lake", schedule_groups_file=groups)
    run = edge_cases.run("often")
    assert not run.result.success
    message = run.failure("dbt_often")
    assert "Table with name early does not exist" in message, "dbt's own error comes first"
    assert "early (group seldom), read by model.edge_cases.shared" in message
    assert not (tmp_path / ":memory:").exists()
