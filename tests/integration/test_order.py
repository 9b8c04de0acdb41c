"""Groups that tick at the same minute, with Dagster's real daemon: upstream runs first, whatever the pool's limit."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from analytics_dagster.automation.pending_run_store import SCHEDULED_TIME, Outcome, PendingRunStore, Trigger
from analytics_dagster.warehouse import POOL
from tests.conftest import COMMAND
from tests.integration.ui import Ui, free_port, opened
from tests.processes import wait_for

if TYPE_CHECKING:
    from tests.conftest import Library

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200), pytest.mark.thorough]

FILES = {
    "dbt_project.yml": "name: tiny\nversion: '1.0'\nprofile: tiny\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles/profiles.yml": "tiny: {target: laptop, outputs: {laptop: {type: duckdb, path: tiny.duckdb}}}\n",
    "schedule_groups.yaml": """
groups:
  - {name: first, select: first, cron: "* * * * *"}
  - {name: careful, select: careful, cron: "* * * * *", on_upstream_failure: skip}
  - {name: bold, select: bold, cron: "* * * * *", on_upstream_failure: run, default: true}
""",
    "models/first.sql": "select 1 as one",
    "models/careful.sql": "select * from {{ ref('first') }}",
    # It reads both: it runs last.
    "models/bold.sql": "select * from {{ ref('careful') }} union all select * from {{ ref('first') }}",
    # It fails while a file of this name exists.
    "tests/nothing_is_broken.sql": "select * from {{ ref('first') }} where (select count(*) from glob('BROKEN')) > 0",
}
NAMES = ("first", "careful", "bold")
PREVIEW = """
mutation ($tick: Float!) {
  scheduleDryRun(selectorData: {repositoryLocationName: "analytics_dagster", repositoryName: "__repository__",
                                scheduleName: "bold_schedule"}, timestamp: $tick) {
    ... on DryRunInstigationTick { evaluationResult { skipReason runRequests { jobName } error { message } } }
  }
}
"""


def write_project(folder: Path) -> Library:
    """Write a project of three groups with one model each, which read the earlier groups and tick every minute."""
    from tests.conftest import Library  # pytest loads it first

    tiny = Library(folder)
    for name, content in FILES.items():
        file = tiny.project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.replace("BROKEN", str(folder / "broken")))
    return tiny


@contextmanager
def dev(library: Library) -> Iterator[Ui]:
    """Run `analytics-dagster dev` with schedules turned on."""
    port = free_port()
    with opened(
        [COMMAND, "dev", "--port", str(port)],
        port=port,
        environment={**os.environ, **library.environment, "ANALYTICS_SCHEDULES_RUNNING": "true"},
        folder=library.folder,
        log=library.folder / "dev.log",
    ) as ui:
        yield ui


def records_of(instance: dg.DagsterInstance) -> Mapping[str, list[dg.RunRecord]]:
    """Return the runs of each group, oldest first."""
    found = defaultdict(list)
    for record in instance.get_run_records(ascending=True):
        found[record.dagster_run.job_name].append(record)
    return found


def ended(records: list[dg.RunRecord]) -> list[dg.RunRecord]:
    return [record for record in records if record.end_time]


def store_of(instance: dg.DagsterInstance) -> PendingRunStore:
    return PendingRunStore(instance.daemon_cursor_storage, "tiny", NAMES)


def skip_reasons(instance: dg.DagsterInstance) -> list[str]:
    return [one.skipped for one in store_of(instance)["careful"].resolutions if one.skipped]


@pytest.fixture
def finished(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Run the daemon: at first all runs succeed, then the first group fails; the pool has four slots, then one."""
    tiny = write_project(tmp_path)
    with dev(tiny) as ui, dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:

        def ends(name: str) -> int:
            return len(ended(records_of(instance)[name]))

        instance.event_log_storage.set_concurrency_slots(POOL, 4)
        wait_for("a chain of three has ended", lambda: ends("bold") >= 1, 300)
        instance.event_log_storage.set_concurrency_slots(POOL, 1)
        preview(ui, instance)
        (tmp_path / "broken").touch()
        before = ends("bold")
        wait_for("the runs after a failure have ended", lambda: skip_reasons(instance) and ends("bold") > before, 300)
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        yield instance


def preview(ui: Ui, instance: dg.DagsterInstance) -> None:
    """Preview a tick in the UI: it stores nothing."""
    tick = Trigger(datetime(2030, 1, 1, 6, tzinfo=timezone.utc))
    result = ui.ask(PREVIEW, tick=tick.moment.timestamp())["scheduleDryRun"]["evaluationResult"]
    assert not result["error"]
    assert result["skipReason"]
    assert store_of(instance)["bold"].find(tick) is None


def tick_of(record: dg.RunRecord) -> Trigger:
    return Trigger(datetime.fromisoformat(record.dagster_run.tags[SCHEDULED_TIME]))


def test_of_groups_that_tick_together_the_upstream_groups_run_first(finished: dg.DagsterInstance) -> None:
    records = {name: ended(runs) for name, runs in records_of(finished).items()}
    store = store_of(finished)
    assert records.keys() == set(NAMES)
    broken = [record for record in records["first"] if record.dagster_run.status is dg.DagsterRunStatus.FAILURE]

    # Only the runs of the first group failed that were meant to.
    for name, runs in records.items():
        for record in runs:
            run = record.dagster_run
            assert run.is_success or record in broken or is_cut_off(record, runs), (name, run.run_id)

    # Two runs of a group never overlap, not even in the queue.
    for name, runs in records.items():
        for earlier, later in pairwise(runs):
            assert earlier.end_time is not None
            assert earlier.end_time <= later.create_timestamp.timestamp(), name

    # A run starts after the upstream runs of the same tick.
    compared = 0
    for upstream, downstream in (("first", "careful"), ("first", "bold"), ("careful", "bold")):
        ends = {tick_of(record): record.end_time for record in records[upstream]}
        for record in records[downstream]:
            record_of_tick = store[downstream].find(tick_of(record))
            assert record_of_tick is not None
            assert record_of_tick.outcome in {Outcome.PENDING, Outcome.JOINED}
            end = ends.get(tick_of(record))  # none if that tick was skipped for an unfinished run
            if end is not None:
                assert end <= record.create_timestamp.timestamp(), (downstream, tick_of(record))
                compared += 1
    assert compared >= 4

    # After a failure the careful group is skipped with the reason; the bold group runs.
    assert broken
    for reason in skip_reasons(finished):
        assert any(f"first's run {record.dagster_run.run_id} is FAILURE" in reason for record in broken)
    after = [record for record in records["bold"] if tick_of(record) in {tick_of(one) for one in broken}]
    assert after
    assert not {tick_of(record) for record in records["careful"]} & {tick_of(one) for one in broken}

    # Dagster lists them with the runs of the schedule.
    assert {record.dagster_run.tags["dagster/schedule_name"] for record in records["bold"]} == {"bold_schedule"}


def is_cut_off(record: dg.RunRecord, runs: list[dg.RunRecord]) -> bool:
    """Return whether a run is the last of its group, and was canceled with the daemon."""
    return record is runs[-1] and record.dagster_run.status is dg.DagsterRunStatus.CANCELED
