"""With every private name of Dagster and dbt turned off, the location loads, plans and builds with the same result."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.dagster_internals.guard import NO_INTERNALS
from tests.conftest import Library, copy_library

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_KINDS = (
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_SUCCESS,
)


def _runs(library: Library) -> list[tuple[str, dg.DagsterRunStatus, Counter[str]]]:
    """Return the job, the status and the events of each run, oldest first."""
    found = []
    with dg.DagsterInstance.from_config(str(library.folder / "home")) as instance:
        for run in reversed(instance.get_runs()):
            events: Counter[str] = Counter()
            for entry in instance.all_logs(run.run_id, of_type=set(_KINDS)):
                event = entry.dagster_event
                assert event is not None
                data: Any = event.event_specific_data
                name = getattr(data, "check_name", None)
                events[f"{event.event_type_value} {event.asset_key or event.step_key} {name}"] += 1
            found.append((run.job_name, run.status, events))
    return found


def test_plan_and_build_are_the_same_without_private_names(tmp_path: Path) -> None:
    plans, runs, logs = [], [], []
    for number, variables in enumerate(({}, {NO_INTERNALS: "1"})):
        (tmp_path / str(number)).mkdir()
        library = copy_library(tmp_path / str(number))
        planned = library.run("plan", "--json", **variables)
        assert planned.returncode == 0, planned.stderr
        built = library.run("build", **variables)
        assert built.returncode == 0, built.stdout + built.stderr
        plans.append(json.loads(planned.stdout.replace(str(library.folder), "")))
        runs.append(_runs(library))
        logs.append(planned.stderr + built.stderr)
    assert plans[0] == plans[1]
    assert runs[0] == runs[1]
    assert sum(len(events) for _, _, events in runs[0]) > 10
    assert "Not using the private name" not in logs[0]
    not_used = set(re.findall(r"Not using the private name (.+?) \(", logs[1]))
    assert "dagster._core.definitions.assets.job.asset_job.build_node_deps and two more" in not_used
    assert "dagster._core.storage.event_log.SqliteEventLogStorage._connect" in not_used
    assert any(name.startswith("dagster._core.execution.plan.instance_concurrency_context") for name in not_used)
