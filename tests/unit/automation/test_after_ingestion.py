"""What an ingestion starts: the groups that ask for it, in their order, and never two runs of one at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import dagster as dg
import pytest

from analytics_dagster.automation.after_ingestion import build_after_ingestion_sensor, rows_loaded, start
from analytics_dagster.automation.due_runs import look
from analytics_dagster.automation.jobs import build_group_job
from analytics_dagster.automation.landing_sensor import STARTED_BY
from analytics_dagster.automation.notes import Answer, Note, Notebook, Trigger, Wait
from analytics_dagster.automation.retrying import PARENT
from analytics_dagster.automation.situation import Order, OrderedGroup, Situation
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


def ordered(name: str, asset: dg.AssetsDefinition, *before: str) -> OrderedGroup:
    return OrderedGroup(ScheduleGroup(name=name, select="x", after_ingestion=True), frozenset({asset.key}), before)


# `third` reads what `first` builds; `second` neither.
ORDER = Order(
    "shop",
    {
        "first": ordered("first", first),
        "second": ordered("second", second),
        "third": ordered("third", third, "first"),
    },
    running=True,
)
JOBS = {
    name: build_group_job(one.group, project="shop", nodes=list(one.assets), checks=[], consumers=[])
    for name, one in ORDER.groups.items()
}
INGESTION = dg.define_asset_job("ingestion", selection=dg.AssetSelection.assets(orders, items))
AFTER = build_after_ingestion_sensor(INGESTION, list(JOBS.values()), ORDER, dg.DefaultSensorStatus.STOPPED)
DEFINITIONS = dg.Definitions(
    assets=[orders, items, first, second, third], jobs=[INGESTION, *JOBS.values()], sensors=[AFTER]
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    # An ephemeral one knows of no schedules and sensors.
    with dg.instance_for_test() as one:
        yield one


def ingest(instance: dg.DagsterInstance, asset: str = "orders", **tags: str) -> list[dg.RunRequest | dg.SkipReason]:
    """Ingest one table, and let the sensor look at the run that did, twice: it comes to the same."""
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


def test_what_a_run_had_loaded_before_it_failed_is_news_once_its_retry_succeeds(instance: dg.DagsterInstance) -> None:
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


class Look(Situation):
    """An ephemeral instance has no schedules that somebody could have turned on or off."""

    def is_on(self, instigator: str, *, default: bool) -> bool:
        """Return how the code starts it."""
        return default and bool(instigator)


def started(instance: dg.DagsterInstance) -> tuple[list[str], str]:
    """Let the sensor of due runs look; return the groups whose runs it starts, and all that it says."""
    seen = look(Look(instance, ORDER))
    for request in seen.requests:
        run(instance, str(request.job_name), dict(request.tags))
    return [str(request.job_name) for request in seen.requests], " ".join([*seen.left_out, *seen.waiting])


def test_an_ingestion_that_loaded_rows_starts_each_group_after_it_once(instance: dg.DagsterInstance) -> None:
    found = requests(ingest(instance))
    assert list(found) == ["first", "second"]
    assert len({request.run_key for request in found.values()}) == 2
    (ingestion,) = instance.get_runs()
    assert found["first"].tags["analytics_dagster/after_ingestion"] == ingestion.run_id


def test_a_group_after_another_that_starts_too_is_due_until_that_has_ended(instance: dg.DagsterInstance) -> None:
    tags = requests(ingest(instance))["first"].tags
    names, why = started(instance)
    assert not names
    assert "first has been asked for a run" in why
    running = run(instance, "first", dict(tags))
    names, why = started(instance)
    assert not names
    assert f"first's run {running} is STARTED" in why
    instance.delete_run(running)
    run(instance, "first", dict(tags), status=dg.DagsterRunStatus.SUCCESS)
    assert started(instance)[0] == ["third"]
    assert started(instance) == ([], "")


def test_a_group_whose_upstream_failed_after_the_ingestion_is_left_out(instance: dg.DagsterInstance) -> None:
    tags = requests(ingest(instance))["first"].tags
    run(instance, "first", dict(tags), status=dg.DagsterRunStatus.FAILURE)
    names, why = started(instance)
    assert not names
    assert "The run of third that is due since ingestion run" in why
    assert "is left out: first's run" in why


def test_a_group_with_a_run_that_is_going_gets_another_after_it_and_is_not_skipped(
    instance: dg.DagsterInstance,
) -> None:
    going = run(instance, "second")
    assert list(requests(ingest(instance))) == ["first"]
    assert f"second's run {going} is STARTED" in started(instance)[1]
    instance.delete_run(going)
    assert "second" in started(instance)[0]


def test_several_ingestions_while_a_group_is_due_come_to_one_run(instance: dg.DagsterInstance) -> None:
    going = run(instance, "second")
    ingest(instance)
    ingest(instance)
    ingest(instance)
    instance.delete_run(going)
    assert started(instance)[0].count("second") == 1
    assert "second" not in started(instance)[0]


def test_when_all_groups_are_due_the_reason_says_so(instance: dg.DagsterInstance) -> None:
    run(instance, "first")
    run(instance, "second")
    (skip,) = ingest(instance)
    assert isinstance(skip, dg.SkipReason)
    assert "A run of first is due and waits for first; due_runs_sensor starts it." in str(skip.skip_message)


def test_a_group_that_is_due_anyway_needs_no_run_of_its_own(instance: dg.DagsterInstance) -> None:
    tick = Trigger(datetime(2026, 1, 1, 6, tzinfo=timezone.utc))
    Notebook(instance.daemon_cursor_storage, "shop", list(JOBS)).write(
        "second", Note(tick, Answer.DUE, tick.moment, (Wait("first", (tick,)),))
    )
    found, lines = start(list(JOBS), INGESTED, Situation(instance, ORDER))
    assert [request.job_name for request in found] == ["first"]
    assert "second is due already: that run reads the new rows." in lines


@pytest.mark.parametrize(
    ("asset", "tags", "reason"),
    [("items", BY_FILES, "no new rows"), ("orders", {"by": "hand"}, "not started by new files")],
)
def test_an_ingestion_without_new_rows_or_by_hand_starts_nothing(
    instance: dg.DagsterInstance, asset: str, tags: dict[str, str], reason: str
) -> None:
    (skip,) = ingest(instance, asset, **tags)
    assert isinstance(skip, dg.SkipReason)
    assert reason in str(skip.skip_message)
    assert started(instance) == ([], "")


def test_the_rows_of_a_run_are_summed_from_its_materializations(instance: dg.DagsterInstance) -> None:
    ingestion = DEFINITIONS.resolve_job_def("ingestion").execute_in_process(instance=instance)
    assert rows_loaded(instance, ingestion.run_id) == 3
