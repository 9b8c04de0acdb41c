"""`plan` of projects without a usable profile, and `build` of selections, with a real dbt."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import duckdb
import pytest
from typer.testing import CliRunner, Result

from analytics_dagster.cli import app
from analytics_dagster.cli.plan.planned_project import PlannedProject, plan_project
from analytics_dagster.cli.runs.execution import JobRequest
from analytics_dagster.cli.runs.run_requests import BuildRequest, job_requests
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.location import Location, build_location
from analytics_dagster.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Library

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


# --- plan, without a profile --------------------------------------------------------------------------------


class ProjectWithoutProfile:
    """A library without its profile, and our command line in this process."""

    def __init__(self, library: Library) -> None:
        self.library = library
        shutil.rmtree(library.project / "profiles")
        # The same name in all tests, so that the project is parsed with a placeholder only once.
        self._environment = {**library.environment, "ANALYTICS_DBT_TARGET": "laptop", "HOME": str(library.folder)}
        del self._environment["ANALYTICS_DBT_PROFILES_DIR"]

    def profile(self, text: str) -> None:
        """Write a profile."""
        (self.library.project / "profiles.yml").write_text(text)

    def run(self, *arguments: str) -> Result:
        """Run a command."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environment.items():
                patch.setenv(name, value)
            patch.chdir(self.library.folder)
            return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> ProjectWithoutProfile:
    from tests.conftest import copy_library  # not before pytest has prepared it for its asserts

    return ProjectWithoutProfile(copy_library(tmp_path_factory.mktemp("bare")))


@pytest.fixture(scope="module")
def without_a_profile(bare: ProjectWithoutProfile) -> Result:
    return bare.run("plan", "--json")


def test_a_project_without_a_profile_is_planned_with_a_placeholder(
    bare: ProjectWithoutProfile, without_a_profile: Result
) -> None:
    assert without_a_profile.exit_code == 0, without_a_profile.stderr
    document = json.loads(without_a_profile.stdout)
    assert {name: len(group["nodes"]) for name, group in document["groups"].items()} == {
        "opening_time": 4,
        "closing_time": 2,
    }
    assert sum(len(group["tests"]) for group in document["groups"].values()) == 8
    assert "No profiles.yml" in document["stand_in"]
    [line] = [line for line in without_a_profile.stderr.splitlines() if "placeholder" in line]
    assert "No profiles.yml for the dbt project" in line
    assert not bare.library.manifest.exists(), "the real manifest is not made with a placeholder"
    assert not list(bare.library.folder.rglob("*.duckdb*")), "and no warehouse"


@pytest.mark.usefixtures("without_a_profile")
@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ("library: {target: laptop, outputs: {laptop: {type: snowflake, account: a}}}", "adapter is not installed"),
        (
            "library: {target: laptop, outputs: {laptop: {type: duckdb, path: \"{{ env_var('LIBRARY_ABSENT') }}\"}}}",
            "needs variables that are not set: LIBRARY_ABSENT",
        ),
        ("another: {outputs: {}}", "has no profile 'library'"),
        ("library: {outputs: {server: {type: duckdb}}}", "has no target 'laptop'; it has: server"),
    ],
)
def test_a_placeholder_replaces_an_unusable_profile_and_the_reason_is_printed(
    bare: ProjectWithoutProfile, profile: str, reason: str
) -> None:
    bare.profile(profile)
    result = bare.run("plan")
    assert result.exit_code == 0, result.stderr
    assert "6 nodes and 8 tests" in result.stdout
    assert reason in result.stderr
    assert "Preparing" not in result.stderr, "the manifest of the same placeholder is used again"


def test_a_build_uses_no_placeholder(bare: ProjectWithoutProfile) -> None:
    bare.profile("another: {outputs: {}}")
    result = bare.run("build")
    assert result.exit_code == 2
    assert "has no profile 'library'" in result.stderr


@pytest.mark.usefixtures("without_a_profile")
def test_an_error_of_dbt_parse_is_printed_with_dbts_message(bare: ProjectWithoutProfile) -> None:
    bare.profile("another: {outputs: {}}")
    model = bare.library.project / "transformations" / "lost.sql"
    model.write_text("select * from {{ ref('nowhere') }}")
    try:
        result = bare.run("plan")
    finally:
        model.unlink()
    assert result.exit_code == 2
    assert "`dbt parse` failed" in result.stderr
    assert "nowhere" in result.stderr
    assert result.stdout == ""


# --- plan, with problems ------------------------------------------------------------------------------------


def test_a_plan_with_a_problem_exits_with_1_and_lists_it(prepared: Library) -> None:
    (prepared.project / "schedule_groups.yaml").write_text(
        "groups: [{name: one, select: shelf}, {name: two, select: +shelf}, {name: three, select: tag:nix}]\n"
    )
    done = prepared.run("plan", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    problems = {problem["code"]: problem for problem in document["problems"]}
    assert problems["node-in-several-groups"]["nodes"] == ["model.lending_library.shelf"]
    assert set(problems["node-in-no-group"]["nodes"]) == {
        "model.lending_library.late_returns",
        "model.lending_library.members",
        "snapshot.lending_library.book_history",
    }
    assert all(problem["message"] and problem["remedy"] for problem in problems.values())
    assert "Preparing" in done.stderr


# --- build, of what was selected ----------------------------------------------------------------------------


def events(library: Library) -> list[tuple[str, Counter[str], Counter[str]]]:
    """Return each run's job, what it materialized and the checks that it evaluated, oldest first."""
    found = []
    with dg.DagsterInstance.from_config(str(library.folder / "home")) as instance:
        for run in reversed(instance.get_runs()):
            built, checked = Counter[str](), Counter[str]()
            for entry in instance.all_logs(run.run_id):
                event = entry.dagster_event
                if event is None:
                    continue
                if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
                    built[event.asset_key.to_user_string()] += 1
                elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                    checked[event.asset_check_evaluation_data.check_name] += 1
            found.append((run.job_name, built, checked))
    return found


def test_selected_nodes_and_their_upstream_build_on_an_empty_warehouse(prepared: Library) -> None:
    # Without the test of the source that is the seed's own table: dbt may run that before the seed of the same build.
    sources = prepared.project / "transformations" / "sources.yml"
    sources.write_text(sources.read_text().replace("data_tests: [not_null]", "description: The loan."))
    done = prepared.run("build", "--select", "members", "--upstream")
    assert done.returncode == 0, done.stdout + done.stderr
    assert events(prepared) == [
        ("opening_time", Counter(["loans"]), Counter(["unique_returned_loans_loan_id"])),
        (
            "closing_time",
            Counter(["circulation/members"]),
            Counter(["unique_members_member", "not_null_members_member"]),
        ),
    ]
    with duckdb.connect(str(prepared.warehouse), read_only=True) as connection:
        tables = connection.execute("select table_name from information_schema.tables order by 1").fetchall()
    assert tables == [("loans",), ("members",)]
    assert "Excluded test.lending_library.relationships_late_returns_member" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--select", "tag:no_such_tag"], ["'tag:no_such_tag' matches nothing", "analytics-dagster plan"]),
        (["--select", "state:modified"], ["dbt can't resolve the selection 'state:modified'", "state"]),
    ],
)
def test_a_selection_without_a_match_is_an_error_before_the_build(
    prepared: Library, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: list[str]
) -> None:
    for name, value in prepared.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(prepared.folder)
    result = CliRunner().invoke(app, ["build", *arguments])
    assert result.exit_code == 2, result.stdout
    assert all(part in result.stderr for part in told), result.stderr
    assert not (prepared.folder / "home").exists()


# --- the bundled shop: the jobs for a request ---------------------------------------------------------------


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("shop")
    return Settings(dbt_project_dir=ROOT / "dbt_project", dbt_target_path=folder / "target", data_dir=folder / "data")


@pytest.fixture(scope="module")
def shop_plan(shop_settings: Settings) -> PlannedProject:
    return plan_project(shop_settings, lambda _: None)


@pytest.fixture(scope="module")
def shop(shop_settings: Settings, shop_plan: PlannedProject) -> Location:
    assert shop_plan.profile_error is None
    return build_location(shop_settings)


def requests_for(settings: Settings, location: Location, request: BuildRequest) -> list[JobRequest]:
    told: list[str] = []
    found = job_requests(settings, location, request, told.append)
    assert told == []
    return found


def test_the_bundled_plan_has_each_node_and_test_once(shop_plan: PlannedProject) -> None:
    manifest = shop_plan.project.manifest
    kinds = Counter(node["resource_type"] for node in manifest["nodes"].values())
    groups = shop_plan.plan.groups
    assert shop_plan.plan.problems == shop_plan.plan.warnings == ()
    assert [group.group.name for group in groups] == ["hourly", "nightly"]
    nodes = Counter(node for group in groups for node in group.nodes)
    assert sum(nodes.values()) == len(nodes) == sum(kinds[kind] for kind in ("model", "seed", "snapshot"))
    tests = Counter(test.unique_id for group in groups for test in group.tests)
    assert sum(tests.values()) == len(tests) == kinds["test"]
    assert sum(len(group.unit_tests) for group in groups) == len(manifest["unit_tests"])
    assert [(edge.upstream, edge.downstream) for edge in shop_plan.plan.edges] == [("hourly", "nightly")]


def test_by_default_ingestion_and_every_group_run_in_order(shop_settings: Settings, shop: Location) -> None:
    assert requests_for(shop_settings, shop, BuildRequest()) == [
        JobRequest("ingestion"),
        JobRequest("hourly", after=frozenset({"ingestion"})),
        JobRequest("nightly", after=frozenset({"hourly"})),
    ]


def test_a_named_group_runs_alone_and_ingestion_can_be_named(shop_settings: Settings, shop: Location) -> None:
    assert requests_for(shop_settings, shop, BuildRequest(("nightly",))) == [JobRequest("nightly")]
    assert requests_for(shop_settings, shop, BuildRequest(("ingestion",))) == [JobRequest("ingestion")]
    assert requests_for(shop_settings, shop, BuildRequest(("hourly", "ingestion"))) == [
        JobRequest("ingestion"),
        JobRequest("hourly", after=frozenset({"ingestion"})),
    ]
    with pytest.raises(ScheduleGroupError, match="Name one of: ingestion, hourly, nightly"):
        requests_for(shop_settings, shop, BuildRequest(("weekly",)))


def test_upstream_of_a_group_ingests_its_sources_and_keeps_its_consumers(
    shop_settings: Settings, shop: Location
) -> None:
    ingestion, hourly, nightly = requests_for(shop_settings, shop, BuildRequest(("nightly",), upstream=True))
    read = {
        source
        for work in (hourly, nightly)
        for node, key in shop.dbt_assets.nodes.items()
        if work.assets is None or key in work.assets
        for source in shop.project.manifest["parent_map"][node]
        if source in shop.ingestion.keys
    }
    assert set(ingestion.assets or ()) == {shop.ingestion.keys[source] for source in read}
    assert {check.asset_key for check in ingestion.checks or ()} == set(ingestion.assets or ())
    assert nightly == JobRequest("nightly", after=frozenset({"hourly"})), "whole, with its consumers"
    assert hourly.after == {"ingestion"}
    assert hourly.assets is not None
    assert hourly.assets < {
        key for node, key in shop.dbt_assets.nodes.items() if shop.plan.group_of[node] == "hourly"
    }, "what nightly does not need is left out"


def test_a_full_refresh_configures_only_dbt_steps(shop_settings: Settings, shop: Location) -> None:
    found = requests_for(shop_settings, shop, BuildRequest(("nightly",), upstream=True, full_refresh=True))
    asked = {"config": {"full_refresh": True}}
    assert [work.configuration for work in found] == [
        {},
        {"ops": {"dbt_hourly": asked}},
        {"ops": {"dbt_nightly": asked}},
    ]
