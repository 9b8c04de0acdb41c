"""The multi-assets of schedule groups in Dagster: names, order, vars and cycles.

A recorder replaces dbt here; `tests/integration/test_runs.py` uses the real dbt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_dagster.assets.checks import build_check_specs
from analytics_dagster.assets.dbt_assets import build_group_assets
from analytics_dagster.assets.steps import plan_steps
from analytics_dagster.execution.arguments import Build
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_resource import DbtResource
from analytics_dagster.execution.run import Builder
from analytics_dagster.planning.groups import GROUP_TAG, FullRefresh, OnOverlap, ScheduleGroup
from analytics_dagster.planning.plan import Plan
from analytics_dagster.warehouse import POOL, Warehouse
from tests.conftest import LENDING_LIBRARY
from tests.unit.manifests import Manifest, group

if TYPE_CHECKING:
    from analytics_dagster.project.loading import Project

pytestmark = pytest.mark.slow


@dataclass
class Recorder:
    """Replaces dbt: records each build with its group, and reports success."""

    instance: dg.DagsterInstance
    built: list[tuple[str, Build]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def run(self, builder: Builder, build: Build, of: ScheduleGroup) -> Iterator[Any]:
        """Replace `Builder.run`."""
        self.built.append((of.name, build))
        self.steps.append(builder.context.op.name)
        for unique_id in sorted(build.unique_ids):
            check = builder.location.checks.get(unique_id)
            if check:
                yield dg.AssetCheckResult(asset_key=check.asset_key, check_name=check.name, passed=True)
            else:
                yield dg.MaterializeResult(asset_key=builder.location.keys[unique_id])

    def clear(self) -> None:
        """Delete the records."""
        self.built.clear()
        self.steps.clear()


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(instance)

        def run(builder: Builder, build: Build, of: ScheduleGroup) -> Iterator[Any]:
            return recorder.run(builder, build, of)

        patch.setattr(Builder, "run", run)
        yield recorder


@dataclass(frozen=True)
class Location:
    """The groups' assets and jobs of a small manifest."""

    recorder: Recorder
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]
    definitions: dg.Definitions

    def run(self, job: str, **options: Any) -> dg.ExecuteInProcessResult:
        """Run a job."""
        self.recorder.clear()
        definition = self.definitions.resolve_job_def(job)
        return definition.execute_in_process(raise_on_error=False, instance=self.recorder.instance, **options)

    def materialize(self, **options: Any) -> None:
        """Run the selected assets, or all, without a group."""
        self.recorder.clear()
        resources = self.definitions.resources
        assert dg.materialize(self.assets, resources=resources, instance=self.recorder.instance, **options).success

    @property
    def built(self) -> Sequence[tuple[str, Build]]:
        """The builds of the last run by step, with their groups."""
        return self.recorder.built

    @property
    def ids(self) -> list[str]:
        """The built and tested unique ids in order, sorted within a step, where dbt decides the order."""
        return [unique_id for _, build in self.built for unique_id in sorted(build.unique_ids)]


def locate(
    recorder: Recorder, manifest: Manifest, plan: Plan, keys: Mapping[str, dg.AssetKey] | None = None
) -> Location:
    """Return the assets of all groups and a job for each group; without ``keys`` the keys are the nodes' names."""
    for unique_id, node in manifest.nodes.items():
        node |= {"unique_id": unique_id, "name": unique_id.split(".", 2)[-1], "package_name": "p"}
    graph = manifest.graph
    keys = keys or {unique_id: dg.AssetKey(unique_id.split(".", 2)[-1]) for unique_id in [*graph.nodes, *graph.sources]}
    specs = {
        node: dg.AssetSpec(keys[node], deps=sorted({keys[read] for read in graph.reads(node)}))
        for node in plan.group_of
    }
    content = {**manifest.content, "metadata": {"project_name": "shop"}}
    checks = build_check_specs(plan, graph, content, keys, unit_tests=False)
    assets = BuildContext(
        project=cast("Project", None),  # only dbt needs it
        graph=graph,
        variables={"rate": 1},
        groups={part.group.name: part.group for part in plan.groups},
        group_of=plan.group_of,
        keys=keys,
        checks={test: spec.key for test, spec in checks.items()},
    )
    sources = {source: dg.AssetSpec(keys[source]) for source in graph.sources}
    groups = build_group_assets(plan_steps(plan, graph, {**sources, **specs}, checks), specs, checks, lambda: assets)
    others = [dg.AssetSpec(key) for key in (*(keys[source] for source in graph.sources), dg.AssetKey("shop"))]
    definitions = dg.Definitions(
        assets=[*groups, *others],
        jobs=[
            dg.define_asset_job(
                part.group.name,
                selection=dg.AssetSelection.assets(*(keys[node] for node in part.builds)).without_checks()
                | dg.AssetSelection.checks(
                    *(checks[test].key for test in [*(test.unique_id for test in part.tests), *part.refreshed_tests])
                ),
                tags={GROUP_TAG: part.group.name},
            )
            for part in plan.groups
            if not part.is_empty
        ],
        resources={
            "dbt": DbtResource(
                project_dir=str(LENDING_LIBRARY),
                profiles_dir=str(LENDING_LIBRARY / "profiles"),
                profile="library",
                target="laptop",
                runner="plain",
                artifacts="failed",
                artifacts_days=7.0,
            ),
            "warehouse": Warehouse(adapter="duckdb", path="", lock_timeout=1.0),
        },
        executor=dg.in_process_executor,
    )
    dg.Definitions.validate_loadable(definitions)
    return Location(recorder, [*groups, *others], definitions)


def planned(manifest: Manifest, *groups: ScheduleGroup) -> Plan:
    """Return the plan in which groups refresh shared nodes."""
    return manifest.plan(*groups, on_overlap=OnOverlap.ALL).require()


def ids(text: str) -> list[str]:
    """Return the unique ids of names: `t…` are tests."""
    return [f"{'test' if name.startswith('t') else 'model'}.p.{name}" for name in text.split()]


# --- names --------------------------------------------------------------------------------------------------

ODD = ["price.list", "price_list", "price-list", "type", "click stream", "größe", "a$b", "a/b", "a__b", "1a"]


def test_nodes_and_sources_may_have_any_name_that_dbt_accepts(recorder: Recorder) -> None:
    manifest = Manifest()
    for name in ODD:
        manifest.source(f"raw {name}").model(name, f"source.p.s.raw {name}", tag="a")
        manifest.model(f"after {name}", f"model.p.{name}", tag="b")
    location = locate(recorder, manifest, planned(manifest, group("a"), group("b")))
    done = location.run("a")
    assert done.success
    assert {event.asset_key for event in done.get_asset_materialization_events()} == {dg.AssetKey(name) for name in ODD}
    assert location.run("b").success


def test_checks_may_have_any_name_that_dbt_accepts(recorder: Recorder) -> None:
    # Dagster derives the same name for both of each pair.
    manifest = Manifest().model("orders", tag="a").model("orders_eu", tag="a").test("x", tag="a")
    manifest.test("eu_not_null", "model.p.orders").test("not_null", "model.p.orders_eu").test("eu", "model.p.orders")
    location = locate(recorder, manifest, planned(manifest, group("a")))
    done = location.run("a")
    assert done.success
    assert {check.check_name for check in done.get_asset_check_evaluations()} == {"x", "eu_not_null", "not_null", "eu"}


def test_nodes_with_the_same_dagster_name_keep_separate_events(recorder: Recorder) -> None:
    manifest = Manifest().model("a.b", tag="a").model("a_b", tag="a")
    location = locate(recorder, manifest, planned(manifest, group("a")))
    location.run("a", asset_selection=[dg.AssetKey("a.b")])
    assert location.ids == ["model.p.a.b"]
    location.run("a", asset_selection=[dg.AssetKey("a_b")])
    assert location.ids == ["model.p.a_b"]


# --- one step a group ---------------------------------------------------------------------------------------


def test_a_group_is_one_step_in_the_warehouses_pool_upstream_groups_first(recorder: Recorder) -> None:
    manifest = Manifest().model("y", "model.p.x", tag="b").model("x", tag="a")
    location = locate(recorder, manifest, planned(manifest, group("b"), group("a")))
    ops = [one.op for one in location.assets if isinstance(one, dg.AssetsDefinition)]
    assert [(op.name, op.pool, op.tags["dagster/priority"]) for op in ops] == [
        ("dbt_a", POOL, "0"),
        ("dbt_b", POOL, "-1"),
    ]


def test_a_group_with_only_tests_is_a_step_of_checks(recorder: Recorder) -> None:
    manifest = Manifest().source("raw").test("traw", "source.p.s.raw").test("tclock")
    location = locate(recorder, manifest, planned(manifest, group("a", default=True)))
    done = location.run("a")
    assert done.success
    checked = {(check.asset_key.to_user_string(), check.check_name) for check in done.get_asset_check_evaluations()}
    assert checked == {("s.raw", "traw"), ("shop", "tclock")}


def test_a_single_check_can_be_run(recorder: Recorder) -> None:
    manifest = Manifest().model("x", tag="a").test("t", "model.p.x").test("t2", "model.p.x")
    location = locate(recorder, manifest, planned(manifest, group("a")))
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("x"), "t"))
    location.materialize(selection=selection)
    assert location.ids == ids("t")


# --- vars and full refresh ----------------------------------------------------------------------------------

OFTEN = group("often", vars={"currency": "EUR"}, full_refresh=FullRefresh.NEVER)
SELDOM = group("seldom", vars={"currency": "USD", "rate": 2}, full_refresh=FullRefresh.ALWAYS)


@pytest.fixture
def shared(recorder: Recorder) -> Location:
    manifest = Manifest().model("shared", tag=["often", "seldom"]).model("y", tag="seldom").test("t", "model.p.shared")
    return locate(recorder, manifest, planned(manifest, OFTEN, SELDOM))


def test_a_group_refreshes_nodes_with_its_own_vars_and_policy(shared: Location) -> None:
    assert shared.run("seldom").success
    assert Counter(shared.ids) == dict.fromkeys(ids("shared t y"), 1)
    assert {name for name, _ in shared.built} == {"seldom"}
    assert {build.full_refresh for _, build in shared.built} == {True}
    assert [build.variables for _, build in shared.built] == [{"currency": "USD", "rate": 2}] * 2


def test_the_group_of_a_node_builds_it_with_its_own_vars(shared: Location) -> None:
    assert shared.run("often").success
    ((name, build),) = shared.built
    assert (name, build.full_refresh, build.variables) == ("often", False, {"currency": "EUR", "rate": 1})


@pytest.mark.parametrize("tags", [{}, {GROUP_TAG: "a removed group"}])
def test_a_run_without_a_group_builds_each_node_with_its_groups_vars(shared: Location, tags: dict[str, str]) -> None:
    shared.materialize(tags=tags)
    assert {name: build.variables["currency"] for name, build in shared.built} == {"often": "EUR", "seldom": "USD"}


def test_vars_of_the_launchpad_override_those_of_the_group(shared: Location) -> None:
    config = {"ops": {"dbt_often": {"config": {"variables": {"currency": "GBP", "more": [1]}}}}}
    assert shared.run("often", run_config=config).success
    assert shared.built[0][1].variables == {"currency": "GBP", "rate": 1, "more": [1]}


def test_a_full_refresh_is_an_error_if_the_group_forbids_it(shared: Location) -> None:
    done = shared.run("often", run_config={"ops": {"dbt_often": {"config": {"full_refresh": True}}}})
    assert not done.success
    assert shared.built == []
    failure = done.failure_data_for_node("dbt_often")
    assert failure is not None
    assert failure.error is not None
    assert "forbids a full refresh" in failure.error.message
    assert done.dagster_run.tags["dagster/max_retries"] == "0", "a retry would fail again"


# --- steps of several groups --------------------------------------------------------------------------------


def test_a_cycle_of_steps_is_split_and_every_node_runs_after_its_parents(recorder: Recorder) -> None:
    manifest = (
        Manifest()
        .model("early", tag="seldom")
        .model("shared", "model.p.early", tag=["often", "seldom"])
        .model("late", "model.p.shared", tag="seldom")
        .test("t", "model.p.shared")
        .test("tboth", "model.p.shared", "model.p.late", beside="model.p.shared")
    )
    location = locate(recorder, manifest, planned(manifest, OFTEN, SELDOM))
    assert location.run("seldom").success
    assert location.ids == ids("early shared t late tboth")
    assert location.run("often").success
    assert location.ids == ids("shared t tboth")


def test_a_test_of_several_steps_nodes_runs_after_all_of_them(recorder: Recorder) -> None:
    # No asset of `a` is downstream of both, so in the step of `a` the test could run before `shared` is built.
    manifest = (
        Manifest().model("first", tag="a").model("other", tag="a").model("shared", "model.p.first", tag=["b", "a"])
    )
    manifest.test("t", "model.p.other", "model.p.shared", beside="model.p.other")
    location = locate(recorder, manifest, planned(manifest, group("b", reads_previous=("a",)), group("a")))
    assert location.run("a").success
    assert location.ids == ids("first other shared t")
    assert recorder.steps == ["dbt_a", "dbt_b", "dbt_b_tests"]


def test_a_location_loads_if_a_test_would_block_what_it_waits_for(
    recorder: Recorder,
) -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("between", "model.p.x", tag="b")
        .model("late", "model.p.between", tag="c")
        .test("t", "model.p.x", "model.p.late", beside="model.p.x")
    )
    location = locate(recorder, manifest, planned(manifest, group("a"), group("b"), group("c")))
    location.materialize()
    assert location.ids == ids("x between late t")


NAMES = ("a", "b", "c")


@st.composite
def projects(draw: st.DrawFn) -> tuple[Manifest, Plan]:
    """Generate models that read earlier ones, in any groups, and tests of them."""
    manifest = Manifest()
    models: list[str] = []
    for number in range(draw(st.integers(2, 8))):
        reads = draw(st.sets(st.sampled_from(models), max_size=3)) if models else set()
        tags = draw(st.sets(st.sampled_from(NAMES), max_size=2))
        manifest.model(f"m{number}", *sorted(reads), tag=sorted(tags))
        models.append(f"model.p.m{number}")
    for number in range(draw(st.integers(0, 5))):
        reads = draw(st.sets(st.sampled_from(models), min_size=1, max_size=3))
        manifest.test(f"t{number}", *sorted(reads), beside=draw(st.sampled_from(sorted(reads))))
    # Every group reads the previous tables of the others, so every cycle of groups is allowed.
    groups = [
        group(name, default=name == "b", reads_previous=tuple(other for other in NAMES if other != name))
        for name in NAMES
    ]
    return manifest, planned(manifest, *groups)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(project=projects())
def test_every_run_of_a_group_builds_and_tests_each_node_once_in_graph_order(
    recorder: Recorder, project: tuple[Manifest, Plan]
) -> None:
    manifest, plan = project
    location = locate(recorder, manifest, plan)
    for part in plan.groups:
        if part.is_empty:
            continue
        done = location.run(part.group.name)
        assert done.success
        tests = {*(test.unique_id for test in part.tests), *part.refreshed_tests}
        assert Counter(location.ids) == dict.fromkeys([*part.builds, *tests], 1)
        assert done.get_asset_observation_events() == []
        step_of = {unique_id: step for step, (_, build) in enumerate(location.built) for unique_id in build.unique_ids}
        for unique_id in location.ids:
            reads = manifest.nodes[unique_id]["depends_on"]["nodes"]
            # Within a step dbt decides the order.
            assert all(step_of.get(read, -1) <= step_of[unique_id] for read in reads), (unique_id, step_of)
