"""A model that dbt cannot build: its message on its asset, who would be alerted, and the retry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.execution.failures.observation import COMPILED, MESSAGE
from tests.conftest import Library, copy_prepared_library

MEMBERS = "transformations/circulation/members.sql"


@dataclass(frozen=True)
class Broken:
    """A library in which one model could not be built, and the output of the command."""

    library: Library
    build: str
    code: int
    run_id: str


@pytest.fixture(scope="module")
def instance_of(broken: Broken) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(broken.library.folder / "home")) as found:
        yield found


@pytest.fixture(scope="module")
def broken(preparation: Any, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    library = copy_prepared_library(preparation.library, tmp_path_factory.mktemp("broken"))
    model = library.project / MEMBERS
    model.write_text(model.read_text().replace("select member", "select no_such_column as nothing, member"))
    done = library.run("build")
    with dg.DagsterInstance.from_config(str(library.folder / "home")) as instance:
        [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    return Broken(library, done.stdout + done.stderr, done.returncode, run.run_id)


@pytest.mark.integration
def test_a_failed_model_shows_dbts_message_on_its_own_asset(broken: Broken, instance_of: dg.DagsterInstance) -> None:
    assert broken.code == 1
    [record] = instance_of.fetch_observations(dg.AssetKey(["circulation", "members"]), limit=5).records
    observation = record.event_log_entry.asset_observation
    assert observation is not None
    assert "no_such_column" in str(observation.metadata[MESSAGE].value)
    assert str(observation.metadata[COMPILED].value).endswith("transformations/circulation/members.sql")


@pytest.mark.integration
def test_alerts_explain_names_the_owners_and_the_retry(broken: Broken) -> None:
    done = broken.library.run("alerts", "explain", broken.run_id, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    [node] = report["nodes"]
    assert node["kind"] == "SQL error"
    assert node["message"].startswith('Binder Error: Referenced column "no_such_column" not found')
    assert not report["steps"], "the node explains the failed step"
    assert report["owners"] == ["team:front_desk"]
    assert report["exposures"] == [], "the dashboard reads other models"
    assert report["retry"]["due"] is None
    assert report["retry"]["reason"] == "not retried: the schedule groups file sets no retries for it"


@pytest.mark.integration
def test_a_retry_runs_only_failed_and_skipped_nodes(broken: Broken, instance_of: dg.DagsterInstance) -> None:
    model = broken.library.project / MEMBERS
    model.write_text(model.read_text().replace("no_such_column as nothing, ", ""))
    done = broken.library.run("retry")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Retrying run {broken.run_id}" in done.stdout
    [retry] = instance_of.get_runs(filters=dg.RunsFilter(tags={"dagster/parent_run_id": broken.run_id}))
    first = _built(instance_of, broken.run_id)
    again = _built(instance_of, retry.run_id)
    assert not first & again, "completed assets are not rebuilt"
    assert "members" in {key.path[-1] for key in again}
    assert retry.root_run_id == broken.run_id


def _built(instance: dg.DagsterInstance, run_id: str) -> set[dg.AssetKey]:
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {entry.dagster_event.asset_key for entry in entries if entry.dagster_event and entry.dagster_event.asset_key}
