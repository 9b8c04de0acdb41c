"""The main job (`make run`) on the bundled shop, end to end: repeated, killed, and with new data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from tests.documents.pages import shown
from tests.integration.shop import BIN, ROOT, Shop

pytestmark = pytest.mark.integration

MORNING = "2026-11-02T12:00:00+00:00"
EVENING = "2026-11-02T19:00:00+00:00"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def first_build(shop: Shop) -> subprocess.CompletedProcess[str]:
    shop.deliver(MORNING)
    return shop.build()


@pytest.fixture(scope="module")
def manifest(shop: Shop, first_build: subprocess.CompletedProcess[str]) -> dict[str, dict[str, dict[str, str]]]:
    assert first_build.returncode == 0, first_build.stdout + first_build.stderr
    content: dict[str, dict[str, dict[str, str]]] = json.loads((shop.folder / "target" / "manifest.json").read_text())
    return content


def _events(shop: Shop, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    with shop.instance() as instance:
        entries = [entry for run in instance.get_runs() for entry in instance.all_logs(run.run_id, of_type=kind)]
    return [entry.dagster_event for entry in entries if entry.dagster_event]


def test_the_first_build_succeeds_and_prints_its_assets(first_build: subprocess.CompletedProcess[str]) -> None:
    assert first_build.returncode == 0, first_build.stdout + first_build.stderr
    assert "marts/orders" in first_build.stdout
    assert "consumers/revenue_report" in first_build.stdout
    assert "not built" not in first_build.stdout


def test_every_node_of_the_manifest_is_materialized_exactly_once(
    shop: Shop, manifest: dict[str, dict[str, dict[str, str]]]
) -> None:
    built = Counter(
        event.step_materialization_data.materialization.metadata["unique_id"].value
        for event in _events(shop, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if "unique_id" in event.step_materialization_data.materialization.metadata
    )
    nodes = {name for name, node in manifest["nodes"].items() if node["resource_type"] in {"model", "seed", "snapshot"}}
    assert built == Counter(nodes)


def test_every_data_test_is_evaluated_once_as_a_check_and_never_an_observation(
    shop: Shop, manifest: dict[str, dict[str, dict[str, str]]]
) -> None:
    evaluated = Counter(
        event.asset_check_evaluation_data.metadata["unique_id"].value
        for event in _events(shop, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        if "unique_id" in event.asset_check_evaluation_data.metadata
    )
    assert evaluated == Counter(name for name in manifest["nodes"] if name.startswith("test."))
    assert _events(shop, dg.DagsterEventType.ASSET_OBSERVATION) == []


def test_row_counts_in_metadata_match_the_warehouse(shop: Shop, manifest: dict[str, dict[str, dict[str, str]]]) -> None:
    counted = {
        str(materialization.metadata["unique_id"].value): materialization.metadata["dagster/row_count"].value
        for event in _events(shop, dg.DagsterEventType.ASSET_MATERIALIZATION)
        for materialization in [event.step_materialization_data.materialization]
        if "unique_id" in materialization.metadata and "dagster/row_count" in materialization.metadata
    }
    assert len(counted) > 20
    for unique_id, count in counted.items():
        relation = manifest["nodes"][unique_id]["relation_name"]
        assert shop.query(f"select count(*) from {relation}") == [(count,)], unique_id  # noqa: S608


def test_a_materialization_has_its_compiled_sql_and_duration(
    shop: Shop, first_build: subprocess.CompletedProcess[str]
) -> None:
    assert first_build.returncode == 0
    [orders] = [
        event.step_materialization_data.materialization
        for event in _events(shop, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_key == dg.AssetKey(["marts", "orders"])
    ]
    assert "stg_orders" in str(orders.metadata["compiled_sql"].value)
    assert float(str(orders.metadata["Execution Duration"].value)) > 0


def test_the_main_job_builds_dbts_documentation_of_every_node(
    shop: Shop, manifest: dict[str, dict[str, dict[str, str]]]
) -> None:
    page = (shop.folder / "data" / "reports" / "dbt_docs" / "index.html").read_text()
    documented = [*manifest["nodes"], *manifest["sources"], *manifest["exposures"]]
    assert [name for name in documented if f'"{name}"' not in page] == []
    [made] = [
        event.step_materialization_data.materialization
        for event in _events(shop, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_key == dg.AssetKey(["dbt_docs", "jaffle_shop"])
    ]
    tables = [name for name in documented if name.startswith(("model.", "seed.", "snapshot.", "source."))]
    assert made.metadata["tables"].value == len(tables), "the warehouse has them all"


@pytest.mark.thorough
def test_plain_dbt_build_runs_with_unit_tests_and_without_deprecations(
    shop: Shop, first_build: subprocess.CompletedProcess[str]
) -> None:
    assert first_build.returncode == 0
    plain = [
        "--project-dir",
        "dbt_project",
        "--profiles-dir",
        "dbt_project",
        "--target-path",
        str(shop.folder / "plain"),
    ]
    done = shop.run(
        str(BIN / "dbt"), "build", *plain, "--show-all-deprecations", "--log-path", str(shop.folder / "plain")
    )
    assert "ERROR=0" in done.stdout
    assert "unit_test" in done.stdout
    assert "eprecat" not in done.stdout


@pytest.mark.thorough
def test_an_incremental_build_gives_the_same_tables_as_one_full_build(
    shop: Shop, first_build: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert first_build.returncode == 0
    orders_before = shop.query("select count(*) from marts.orders")[0][0]
    shop.deliver(EVENING)
    again = shop.build()
    assert again.returncode == 0, again.stdout + again.stderr
    orders_after = shop.query("select count(*) from marts.orders")[0][0]
    assert orders_before < orders_after < orders_before * 1.01
    with shop.instance() as instance:
        run = next(iter(instance.get_runs(filters=dg.RunsFilter(job_name="ingestion"), limit=1)))
        loaded = sum(
            int(str(event.asset_materialization.metadata["files_loaded"].value))
            for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
            if event.asset_materialization
        )
    hours_with_sales = 7
    assert 0 < loaded <= 4 * hours_with_sales

    # Build the same data at once in another folder.
    state = shop.state()
    other = Shop(tmp_path)
    other.landing.parent.mkdir(parents=True)
    other.landing.symlink_to(shop.landing)
    assert other.build().returncode == 0
    assert other.state() == state

    # A build without new data gives the same state (the next test checks the hourly group).
    assert shop.build("--group", "nightly").returncode == 0
    assert shop.state() == state


@pytest.mark.thorough
def test_the_next_build_recovers_from_a_killed_build(shop: Shop, first_build: subprocess.CompletedProcess[str]) -> None:
    assert first_build.returncode == 0
    state = shop.state()
    command = [str(BIN / "analytics-dagster"), "build", "--group", "hourly"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=dict(shop.environment), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if " of " in line and "dbt_hourly" not in line:
            break
    # Kill the whole process group, as if the machine or pod were lost.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(1)
    again = shop.build("--group", "hourly")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "was marked as failed" in again.stdout
    assert shop.state() == state
    with shop.instance() as instance:
        assert instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["dagster", "definitions", "validate"], "All code locations passed validation"),
        (["dg", "check", "defs"], "All definitions loaded successfully"),
        (["dg", "list", "defs", "--json"], '"asset_key": "marts/orders"'),
    ],
)
def test_dagster_and_dg_commands_work_in_the_checkout(
    shop: Shop, first_build: subprocess.CompletedProcess[str], command: list[str], said: str
) -> None:
    assert first_build.returncode == 0
    done = shop.run(str(BIN / command[0]), *command[1:])
    assert said in done.stdout + done.stderr


def test_the_readme_shows_the_output_of_the_build(first_build: subprocess.CompletedProcess[str]) -> None:
    summary = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- summary -->")[2].split("```")[1]
    assert shown(summary, first_build.stdout)
