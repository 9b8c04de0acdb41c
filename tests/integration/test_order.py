"""Groups that tick at the same minute, by Dagster's real daemon: upstream first, whatever the pool takes at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from analytics_dagster.automation.notes import SCHEDULED_TIME, Answer, Notebook, Trigger
from analytics_dagster.warehouse import POOL

if TYPE_CHECKING:
    from tests.conftest import Library

pytestmark = pytest.mark.integration

COMMAND = Path(sys.executable).with_name("analytics-dagster")
GROUPS = """
groups:
  - {name: stock, select: "resource_type:seed", cron: "* * * * *"}
  - {name: shelves, select: "path:transformations", cron: "* * * * *", default: true}
  - {name: wrong, select: wrong, cron: "* * * * *"}
  - {name: careful, select: careful, cron: "* * * * *", on_upstream_failure: skip}
  - {name: bold, select: bold, cron: "* * * * *", on_upstream_failure: run}
"""
NAMES = ("stock", "shelves", "wrong", "careful", "bold")
PREVIEW = """
mutation ($tick: Float!) {
  scheduleDryRun(selectorData: {repositoryLocationName: "analytics_dagster", repositoryName: "__repository__",
                                scheduleName: "shelves_schedule"}, timestamp: $tick) {
    ... on DryRunInstigationTick { evaluationResult { skipReason runRequests { jobName } error { message } } }
  }
}
"""


def write_project(library: Library) -> None:
    """Put groups into the library which all tick each minute; one of them builds its table, and fails its test."""
    (library.project / "schedule_groups.yaml").write_text(GROUPS)
    others = library.project / "others"
    others.mkdir()
    (others / "wrong.sql").write_text("select 1 as one")
    (others / "careful.sql").write_text("select * from {{ ref('wrong') }}")
    (others / "bold.sql").write_text("select * from {{ ref('wrong') }}")
    (library.project / "reconciliations" / "wrong_is_right.sql").write_text("select * from {{ ref('wrong') }}")
    project = library.project / "dbt_project.yml"
    project.write_text(project.read_text().replace("[transformations]", "[transformations, others]"))


def ask(port: int, query: str, **variables: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - the same
        answer: dict[str, Any] = json.loads(response.read())
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


@contextmanager
def dev(library: Library) -> Iterator[int]:
    """Let `analytics-dagster dev` run with schedules turned on; give the port of its UI."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    with (library.folder / "dev.log").open("w") as log:
        process = subprocess.Popen(
            [COMMAND, "dev", "--port", str(port)],
            env={**os.environ, **library.environment, "ANALYTICS_SCHEDULES_RUNNING": "true"},
            cwd=library.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield port
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def wait_for(what: str, ready: Callable[[], Any], library: Library, seconds: float) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ready()
        if found:
            return found
        time.sleep(1)
    log = (library.folder / "dev.log").read_text()[-8000:]
    raise AssertionError(f"waited {seconds:g} s for {what}\n{log}")


def records_of(instance: dg.DagsterInstance) -> Mapping[str, list[dg.RunRecord]]:
    """Return the runs of each group, oldest first."""
    found = defaultdict(list)
    for record in instance.get_run_records(ascending=True):
        found[record.dagster_run.job_name].append(record)
    return found


def ended(records: list[dg.RunRecord]) -> list[dg.RunRecord]:
    return [record for record in records if record.end_time]


def notes_of(instance: dg.DagsterInstance) -> Notebook:
    return Notebook(instance.daemon_cursor_storage, "lending_library", NAMES)


def left_out(instance: dg.DagsterInstance) -> list[str]:
    return [one.left_out for one in notes_of(instance)["careful"].settled if one.left_out]


@pytest.fixture
def finished(library: Library) -> Iterator[dg.DagsterInstance]:
    """Let the daemon run until each group had two ticks, with another limit of the pool in between; stop it."""
    write_project(library)
    (library.folder / "home").mkdir()
    with dev(library) as port:

        def loaded() -> bool:
            try:
                return bool(ask(port, "{version}"))
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return False

        wait_for("the UI", loaded, library, 150)
        with dg.DagsterInstance.from_config(str(library.folder / "home")) as instance:
            instance.event_log_storage.set_concurrency_slots(POOL, 4)

            def have_run(times: int) -> bool:
                records = records_of(instance)
                ran = min(len(ended(records["shelves"])), len(ended(records["bold"])), len(left_out(instance)))
                return ran >= times

            wait_for("the first ticks", lambda: have_run(1), library, 240)
            instance.event_log_storage.set_concurrency_slots(POOL, 1)
            preview(port, instance)
            wait_for("the second ticks", lambda: have_run(2), library, 240)
    with dg.DagsterInstance.from_config(str(library.folder / "home")) as instance:
        yield instance


def preview(port: int, instance: dg.DagsterInstance) -> None:
    """Preview a tick by the UI, as people do who wonder what it does: it does nothing."""
    tick = Trigger(datetime(2030, 1, 1, 6, tzinfo=timezone.utc))
    answer = ask(port, PREVIEW, tick=tick.moment.timestamp())["scheduleDryRun"]["evaluationResult"]
    assert not answer["error"]
    assert "stock (the tick of 2030-01-01 06:00 UTC" in answer["skipReason"] or "is not over" in answer["skipReason"]
    assert notes_of(instance)["shelves"].of(tick) is None


def test_of_groups_that_tick_together_the_upstream_ones_run_first(finished: dg.DagsterInstance) -> None:
    records = records_of(finished)
    notes = notes_of(finished)

    # Each run was started by a tick, and none failed but those that were to.
    for name, runs in records.items():
        for record in ended(runs):
            assert SCHEDULED_TIME in record.dagster_run.tags
            expected = dg.DagsterRunStatus.FAILURE if name == "wrong" else dg.DagsterRunStatus.SUCCESS
            if record.dagster_run.status is not dg.DagsterRunStatus.CANCELED:  # the end of the test
                assert record.dagster_run.status is expected, (name, record.dagster_run.run_id)

    # Two runs of a group never overlap: not even in the queue.
    for name, runs in records.items():
        for earlier, later in pairwise(runs):
            assert earlier.end_time, name
            assert earlier.end_time <= later.create_timestamp.timestamp(), name

    # A run starts when the upstream run of the same tick has ended, however that did where the group says so.
    compared = 0
    for upstream, downstream in (("stock", "shelves"), ("wrong", "bold")):
        ends = {record.dagster_run.tags[SCHEDULED_TIME]: record.end_time for record in records[upstream]}
        for record in records[downstream]:
            tick = record.dagster_run.tags[SCHEDULED_TIME]
            note = notes[downstream].of(Trigger(datetime.fromisoformat(tick)))
            assert note is not None
            assert note.answer is Answer.DUE
            if tick in ends:  # else the upstream tick was skipped for a run that went on
                end = ends[tick]
                assert end
                assert end <= record.create_timestamp.timestamp(), (downstream, tick)
                compared += 1
    assert compared >= 4

    # Where the group wants none of it, the failed run upstream is the reason that is given.
    assert not records["careful"]
    failed = {record.dagster_run.run_id for record in ended(records["wrong"])}
    assert len(left_out(finished)) >= 2
    for reason in left_out(finished):
        assert any(f"wrong's run {run} is FAILURE" in reason for run in failed)

    # As a schedule's own run would be: listed with the schedule's runs.
    assert {record.dagster_run.tags["dagster/schedule_name"] for record in records["shelves"]} == {"shelves_schedule"}
