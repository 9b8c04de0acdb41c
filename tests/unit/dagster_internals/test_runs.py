"""Private names about runs: what each returns, and what replaces it if the name is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.dagster_internals.guard import NO_INTERNALS
from analytics_dagster.dagster_internals.runs import executes_all_runs_here, log_metadata, silent_output_metadata
from analytics_dagster.execution.remaining_work import Completed, completed_in_parent

JOB = dg.GraphDefinition("job", node_defs=[]).to_job()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def _logged(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterEvent:
    [entry] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    assert entry.dagster_event is not None
    return entry.dagster_event


def test_a_document_is_metadata_in_the_log_of_a_run(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(JOB)
    log_metadata(instance, run, "Report", "report", {"nodes": 1})
    assert _logged(instance, run).message == "Report"
    assert _logged(instance, run).engine_event_data.metadata["report"].value == {"nodes": 1}


def test_without_private_names_a_document_is_part_of_the_message(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NO_INTERNALS, "1")
    run = instance.create_run_for_job(JOB)
    log_metadata(instance, run, "Report", "report", {"nodes": 1})
    assert _logged(instance, run).message == 'Report\n{"nodes": 1}'


def test_without_private_names_runs_may_be_executed_anywhere(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executes_all_runs_here(instance)
    monkeypatch.setenv(NO_INTERNALS, "1")
    assert not executes_all_runs_here(instance)


def test_without_private_names_a_resumed_run_runs_its_steps_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert silent_output_metadata() == {"__source_asset_observation__": True}
    monkeypatch.setenv(NO_INTERNALS, "1")
    assert silent_output_metadata() is None
    run = instance.create_run_for_job(JOB, tags={"dagster/is_resume_retry": "true"}, parent_run_id="p", root_run_id="p")
    assert completed_in_parent(instance, run) == Completed()
