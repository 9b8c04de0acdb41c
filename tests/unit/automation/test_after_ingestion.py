"""The sensor after ingestion: it starts groups in their order, and never two runs of one group at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import dagster as dg
import pytest

from analytics_dagster.automation.after_ingestion import build_after_ingestion_sensor, rows_loaded, start_groups
from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.jobs import STARTED_BY, build_group_job
from analytics_dagster.automation.pending_run_store import Outcome, PendingRunStore, Trigger, TriggerRecord, Wait
from analytics_dagster.automation.pending_runs import check_pending_runs
from analytics_dagster.automation.retry_decision import PARENT
from analytics_dagster.automation.run_order import AutomatedGroup, AutomatedGroups
from analytics_dagster.planning.groups import ScheduleGroup

pytestmark = pytest.mark.slow

BY_FILES = {STARTED_BY: "landing_sensor"}
END = datetime(2026, 1, 1, 6, 3, tzinfo=timezone.utc)
INGESTED = Trigger(END, "i")


@dg.asset
def orders() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows_loaded": 3})


@dg.asset
def items() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows_loaded": 0})


@dg.asset
def first() -> None: ...


@dg.asset
def second() -> None: ...


@dg.asset
def third() -> None: ...


def group(name: str, asset: dg.AssetsDefinition, *upstream: str) -> AutomatedGroup:
    return AutomatedGroup(ScheduleGroup(name=name, select="x", after_ingestion=True), frozenset({asset.key}), upstream)


# `third` reads `first`; `second` reads neither.
GROUPS = AutomatedGroups(
    "shop",
    {
        "first": group("first", first),
        "second": group("second", second),
        "third": group("third", third, "first"),
    },
    schedules_on=True,
)
JOBS = {
    name: build_group_job(one.group, project="shop", nodes=list(one.assets), checks=[], consumers=[])
    for name, one in GROUPS.by_name.items()
}
INGESTION = dg.define_asset_job("ingestion", selection=dg.AssetSelection.assets(orders, items))
AFTER = build_after_ingestion_sensor(INGESTION, list(JOBS.values()), GROUPS, dg.DefaultSensorStatus.STOPPED)
DEFINITIONS = dg.Definitions(
    assets=[orders, items, first, second, third], jobs=[INGESTION, *JOBS.values()], sensors=[AFTER]
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    # An ephemeral instance stores no state of schedules and sensors.
    with dg.instance_for_test() as one:
        yield one


def ingest(instance: dg.DagsterInstance, asset: str = "orders", **tags: str) -> list[dg.RunRequest | dg.SkipReason]:
    """Ingest one table, and evaluate the sensor for that run twice, with the same result."""
    job = DEFINITIONS.resolve_job_def("ingestion")
    result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(asset)], tags=tags or BY_FILES)

    def evaluate() -> list[dg.RunRequest | dg.SkipReason]:
        context = dg.build_run_status_sensor_context(
            sensor_name=AFTER.name,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_success_event(),
        )
        found = AFTER(context)
        assert isinstance(found, Iterator)
        return [one for one in found if isinstance(one, dg.RunRequest | dg.SkipReason)]

    found = evaluate()
    again = evaluate()
    assert [one.run_key for one in again if isinstance(one, dg.RunRequest)] == [
        one.run_key for one in found if isinstance(one, dg.RunRequest)
    ]
    return found


def test_rows_that_a_failed_run_loaded_count_when_its_retry_succeeds(instance: dg.DagsterInstance) -> None:
    job = DEFINITIONS.resolve_job_def("ingestion")
    failed = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("orders")], tags=BY_FILES)
    assert not requests(ingest(instance, "items"))
    retried = ingest(instance, "items", **{**BY_FILES, PARENT: failed.run_id})
    assert requests(retried).keys() == {"first", "second"}


def requests(found: list[dg.RunRequest | dg.SkipReason]) -> dict[str, dg.RunRequest]:
    return {str(one.job_name): one for one in found if isinstance(one, dg.RunRequest)}


def run(
    instance: dg.DagsterInstance,
    name: str,
    tags: dict[str, str] | None = None,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
) -> str:
    job = DEFINITIONS.resolve_job_def(name)
    return instance.create_run_for_job(job, tags={**job.run_tags, **(tags or {})}, status=status).run_id


class DefaultStatuses(InstanceSnapshot):
    """A snapshot in which nobody has turned a schedule or sensor on or off."""

    def is_on(self, instigator: str, *, default: bool) -> bool:
        """Return the default."""
        return default and bool(instigator)


def started(instance: dg.DagsterInstance) -> tuple[list[str], str]:
    """Evaluate the sensor of pending runs; return the groups whose runs it starts, and its messages."""
    result = check_pending_runs(DefaultStatuses(instance, GROUPS))
    for request in result.requests:
        run(instance, str(request.job_name), dict(request.tags))
    return [str(request.job_name) for request in result.requests], " ".join([*result.skipped, *result.waiting])


def test_an_ingestion_that_loaded_rows_starts_each_group_once(instance: dg.DagsterInstance) -> None:
    found = requests(ingest(instance))
    assert list(found) == ["first", "second"]
    assert len({request.run_key for request in found.values()}) == 2
    (ingestion,) = instance.get_runs()
    assert found["first"].tags["analytics_dagster/after_ingestion"] == ingestion.run_id


def test_a_group_is_pending_until_the_run_of_its_upstream_group_has_ended(instance: dg.DagsterInstance) -> None:
    tags = requests(ingest(instance))["first"].tags
    names, messages = started(instance)
    assert not names
    assert "first has requested a run" in messages
    running = run(instance, "first", dict(tags))
    names, messages = started(instance)
    assert not names
    assert f"first's run {running} is STARTED" in messages
    instance.delete_run(running)
    run(instance, "first", dict(tags), status=dg.DagsterRunStatus.SUCCESS)
    assert started(instance)[0] == ["third"]
    assert started(instance) == ([], "")


def test_a_group_is_skipped_if_its_upstream_run_failed_after_the_ingestion(instance: dg.DagsterInstance) -> None:
    tags = requests(ingest(instance))["first"].tags
    run(instance, "first", dict(tags), status=dg.DagsterRunStatus.FAILURE)
    names, messages = started(instance)
    assert not names
    assert "The run of third pending since ingestion run" in messages
    assert "is skipped: first's run" in messages


def test_a_group_with_an_unfinished_run_gets_another_run_after_it(
    instance: dg.DagsterInstance,
) -> None:
    unfinished = run(instance, "second")
    assert list(requests(ingest(instance))) == ["first"]
    assert f"the group's own run {unfinished} is STARTED" in started(instance)[1]
    instance.delete_run(unfinished)
    assert "second" in started(instance)[0]


def test_several_ingestions_during_a_pending_run_lead_to_one_run(instance: dg.DagsterInstance) -> None:
    unfinished = run(instance, "second")
    ingest(instance)
    ingest(instance)
    ingest(instance)
    instance.delete_run(unfinished)
    assert started(instance)[0].count("second") == 1
    assert "second" not in started(instance)[0]


def test_the_skip_reason_lists_the_pending_runs(instance: dg.DagsterInstance) -> None:
    busy = run(instance, "first")
    run(instance, "second")
    (skip,) = ingest(instance)
    assert isinstance(skip, dg.SkipReason)
    assert f"The run of first is pending: the group's own run {busy} is STARTED." in str(skip.skip_message)


def test_a_group_with_a_pending_run_gets_no_other_run(instance: dg.DagsterInstance) -> None:
    tick = Trigger(datetime(2026, 1, 1, 6, tzinfo=timezone.utc))
    PendingRunStore(instance.daemon_cursor_storage, "shop", list(JOBS)).record(
        "second", TriggerRecord(tick, Outcome.PENDING, tick.moment, (Wait("first", (tick,)),))
    )
    found, lines = start_groups(list(JOBS), INGESTED, InstanceSnapshot(instance, GROUPS))
    assert [request.job_name for request in found] == ["first"]
    assert "The run of second pending since the tick of 2026-01-01 06:00 UTC covers ingestion run i too." in lines


@pytest.mark.parametrize(
    ("asset", "tags", "reason"),
    [("items", BY_FILES, "loaded no new rows"), ("orders", {"by": "hand"}, "not started by new files")],
)
def test_an_ingestion_by_hand_or_without_new_rows_starts_nothing(
    instance: dg.DagsterInstance, asset: str, tags: dict[str, str], reason: str
) -> None:
    (skip,) = ingest(instance, asset, **tags)
    assert isinstance(skip, dg.SkipReason)
    assert reason in str(skip.skip_message)
    assert started(instance) == ([], "")


def test_the_rows_of_a_run_are_summed_from_its_materializations(instance: dg.DagsterInstance) -> None:
    ingestion = DEFINITIONS.resolve_job_def("ingestion").execute_in_process(instance=instance)
    assert rows_loaded(instance, ingestion.run_id) == 3
