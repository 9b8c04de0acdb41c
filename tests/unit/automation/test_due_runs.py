"""Schedules and the sensor of due runs on a real Dagster instance: who is launched, who waits, who is left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from analytics_dagster.automation import due_runs
from analytics_dagster.automation.due_runs import SCHEDULE_NAME, look
from analytics_dagster.automation.notes import Trigger
from analytics_dagster.automation.order import GRACE
from analytics_dagster.automation.retrying import DECISION, NUMBER, RETRIED_BY, may_be_retried
from analytics_dagster.automation.schedules import answer
from analytics_dagster.automation.situation import Situation
from analytics_dagster.planning.groups import OnUpstreamFailure
from tests.unit.automation.ordered import NAMES, SIX, Shop, nightly_table, ordered_groups

pytestmark = pytest.mark.slow

SEVEN = SIX + timedelta(hours=1)
TAGS = {".dagster/scheduled_execution_time": "2026-02-01T06:00:00+00:00"}
RUN, SKIP, WAIT = OnUpstreamFailure.RUN, OnUpstreamFailure.SKIP, OnUpstreamFailure.WAIT


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    folder = str(tmp_path_factory.mktemp("instance"))
    overrides = {
        "run_retries": {"enabled": True, "max_retries": 0},
        # One file for all runs: Dagster's default makes one for each.
        "event_log_storage": {
            "module": "dagster._core.storage.event_log",
            "class": "ConsolidatedSqliteEventLogStorage",
            "config": {"base_dir": folder},
        },
    }
    with dg.DagsterInstance.local_temp(folder, overrides=overrides) as one:
        yield one


@pytest.fixture
def instance(stored: dg.DagsterInstance) -> dg.DagsterInstance:
    """Give the instance without anything that another test has left."""
    stored.wipe()
    stored.wipe_all_schedules()
    for name in NAMES:
        for kind in ("ticks", "ingestions", "settled"):
            stored.daemon_cursor_storage.set_cursor_values({f"analytics_dagster/shop/{kind}/{name}": "[]"})
    return stored


@pytest.fixture
def shop(instance: dg.DagsterInstance) -> Shop:
    return Shop(instance, ordered_groups())


def is_run(shop: Shop, found: str) -> bool:
    return shop.instance.has_run(found)


# --- ticks --------------------------------------------------------------------------------------------------


def test_a_tick_with_nobody_to_wait_for_launches_its_run_at_once(shop: Shop) -> None:
    assert is_run(shop, shop.tick("hourly"))
    # At this moment the hourly one does not tick, and its run has ended.
    shop.end(shop.instance.get_runs()[0].run_id)
    assert is_run(shop, shop.tick("nightly", SIX + timedelta(minutes=30)))
    assert shop.why() == "No run is due."


@pytest.mark.parametrize("order", [("hourly", "nightly"), ("nightly", "hourly")])
def test_of_two_ticks_at_once_the_run_upstream_ends_before_the_other_starts(shop: Shop, order: tuple[str, str]) -> None:
    answers = {name: shop.tick(name) for name in order}
    assert is_run(shop, answers["hourly"])
    assert answers["nightly"] == (
        "A run is due and waits for hourly (the tick of 2026-02-01 06:00 UTC"
        + (f", run {answers['hourly']}" if order[0] == "hourly" else "")
        + "); due_runs_sensor starts it."
    )
    assert f"hourly's run {answers['hourly']} is STARTED" in shop.why()
    shop.end(answers["hourly"])
    (request,) = shop.requests()[0]
    assert request.job_name == "nightly"
    assert request.tags.items() >= {**TAGS, SCHEDULE_NAME: "nightly_schedule"}.items()


def test_a_tick_that_finds_the_last_run_going_is_left_out_and_not_queued(shop: Shop) -> None:
    first = shop.tick("hourly")
    assert shop.tick("hourly", SEVEN) == (
        f"The last run of hourly is not over (run {first} is STARTED): this tick is left out."
    )
    assert shop.why() == "No run is due."
    shop.end(first)
    assert is_run(shop, shop.tick("hourly", SEVEN + timedelta(hours=1)))


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_every_unfinished_run_of_the_group_counts_wherever_it_was_started(shop: Shop, status: str) -> None:
    by_hand = shop.launch("nightly", status=dg.DagsterRunStatus[status])
    assert f"run {by_hand} is {status}" in shop.tick("nightly")
    assert is_run(shop, shop.tick("hourly"))


def test_what_materialize_in_the_ui_starts_counts_if_it_touches_the_group(shop: Shop) -> None:
    job = shop.definitions.resolve_implicit_global_asset_job_def()
    run = shop.instance.create_run_for_job(
        job.get_subset(asset_selection={nightly_table.key}),
        asset_selection=frozenset({nightly_table.key}),
        status=dg.DagsterRunStatus.STARTED,
    )
    assert run.job_name == "__ASSET_JOB"
    assert run.run_id in shop.tick("nightly", SIX + timedelta(minutes=1))
    assert run.run_id in shop.tick("monthly", SIX + timedelta(minutes=1))  # waits for it
    assert is_run(shop, shop.tick("hourly"))


def test_a_run_of_another_project_whose_group_has_the_same_name_does_not_count(shop: Shop) -> None:
    shop.launch("hourly", {"analytics_dagster/project": "bank"})
    assert is_run(shop, shop.tick("hourly"))


# --- chains -------------------------------------------------------------------------------------------------


def test_a_chain_of_three_runs_one_after_the_other(shop: Shop) -> None:
    answers = {name: shop.tick(name) for name in reversed(NAMES)}
    assert [is_run(shop, answers[name]) for name in NAMES] == [True, False, False]
    assert shop.look() == {}
    shop.end(answers["hourly"])
    started = shop.look()
    assert list(started) == ["nightly"]
    assert shop.look() == {}
    assert f"nightly's run {started['nightly']} is STARTED" in shop.why()
    shop.end(started["nightly"])
    assert list(shop.look()) == ["monthly"]
    assert shop.look() == {}
    assert shop.why() == "No run is due."


def test_a_group_whose_upstream_is_due_itself_waits_though_it_does_not_tick_with_it(shop: Shop) -> None:
    hourly = shop.tick("hourly")
    shop.tick("nightly")
    shop.end(hourly)
    # Nobody has looked yet: the nightly run is still due when the monthly one ticks, later.
    assert "nightly (the tick of 2026-02-01 06:00 UTC)" in shop.tick("monthly", SIX + timedelta(minutes=5))
    started = shop.look()
    assert list(started) == ["nightly"]
    shop.end(started["nightly"], "FAILURE")
    # It was in the way, and no run of the same tick: its failure is no reason to leave out the monthly one.
    assert list(shop.look()) == ["monthly"]


# --- how the run upstream ended -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["FAILURE", "CANCELED"])
@pytest.mark.parametrize(("policy", "starts"), [(RUN, True), (SKIP, False), (WAIT, False)])
def test_after_a_failed_run_upstream_the_policy_decides(
    instance: dg.DagsterInstance, policy: OnUpstreamFailure, end: str, *, starts: bool
) -> None:
    shop = Shop(instance, ordered_groups(policy))
    hourly = shop.tick("hourly")
    shop.tick("nightly")
    shop.tick("monthly")
    shop.end(hourly, end)
    if starts:
        started = shop.look()
        assert list(started) == ["nightly"]
        shop.end(started["nightly"], end)
        assert list(shop.look()) == ["monthly"]
        return
    why = shop.why()
    assert (
        f"The run of nightly that is due since the tick of 2026-02-01 06:00 UTC is left out: hourly's run {hourly} "
        f"is {end}."
    ) in why
    assert "The run of monthly that is due since the tick of 2026-02-01 06:00 UTC is left out" in why
    assert shop.why() == "No run is due."


@pytest.mark.parametrize(
    ("policy", "after_failure", "after_retry"), [(RUN, True, True), (SKIP, False, False), (WAIT, False, True)]
)
@pytest.mark.parametrize("end", ["SUCCESS", "FAILURE"])
def test_a_failed_run_that_is_retried_is_waited_for_only_where_that_is_asked(
    instance: dg.DagsterInstance, policy: OnUpstreamFailure, end: str, *, after_failure: bool, after_retry: bool
) -> None:
    shop = Shop(instance, ordered_groups(policy, retries=1))
    shop.tick("nightly")
    first = shop.tick("hourly")
    shop.end(first, "FAILURE")
    run = instance.get_run_by_id(first)
    assert run is not None
    assert run.tags["dagster/will_retry"] == "false"  # not by Dagster itself
    assert may_be_retried(run, sensor_is_on=True)
    assert ("nightly" in shop.look()) is after_failure
    if after_failure:
        return
    if policy is WAIT:
        assert f"hourly's run {first} is FAILURE and will be retried" in shop.why()
    retry = shop.launch("hourly", {**TAGS, NUMBER: "1"}, root=first)
    instance.add_run_tags(first, {RETRIED_BY: retry})
    assert shop.look() == {}
    shop.end(retry, end)
    assert ("nightly" in shop.look()) is (after_retry and end == "SUCCESS")
    assert shop.why() == "No run is due."


def test_a_failed_run_of_the_command_line_is_waited_for_until_it_has_said_that_it_is_not_run_again(
    instance: dg.DagsterInstance,
) -> None:
    shop = Shop(instance, ordered_groups(retries=1))
    job = shop.definitions.resolve_job_def("hourly")
    # It has no code server, and is none of a tick; but the tick is skipped for it.
    run = instance.create_run_for_job(job, tags=job.run_tags, status=dg.DagsterRunStatus.STARTED)
    assert run.run_id in shop.tick("hourly")
    shop.tick("nightly")
    shop.end(run.run_id, "FAILURE")
    assert f"{run.run_id} is FAILURE and will be retried" in shop.why()
    instance.add_run_tags(run.run_id, {DECISION: "not retried: it would fail again (SQL error)"})
    assert "is left out" in shop.why()


# --- the run of another trigger -----------------------------------------------------------------------------


def test_the_run_for_which_the_tick_upstream_was_skipped_counts_as_its_run(shop: Shop) -> None:
    by_hand = shop.launch("hourly")
    assert by_hand in shop.tick("hourly")
    assert "hourly" in shop.tick("nightly")
    assert f"hourly's run {by_hand} is STARTED" in shop.why()
    shop.end(by_hand, "FAILURE")
    assert "is left out" in shop.why()


def test_a_run_upstream_that_does_not_stand_for_the_tick_is_waited_for_but_its_end_does_not_matter(shop: Shop) -> None:
    by_hand = shop.launch("hourly")
    moment = SIX + timedelta(minutes=30)
    assert f"hourly (run {by_hand})" in shop.tick("nightly", moment)
    assert by_hand in shop.why()
    shop.end(by_hand, "FAILURE")
    assert list(shop.look()) == ["nightly"]


def test_a_run_upstream_that_started_later_is_not_waited_for(shop: Shop) -> None:
    hourly = shop.tick("hourly")
    shop.tick("nightly")
    shop.end(hourly)
    assert is_run(shop, shop.tick("hourly", SEVEN))
    assert list(shop.look()) == ["nightly"]


def test_a_deleted_run_upstream_holds_nobody_back(shop: Shop) -> None:
    by_hand = shop.launch("hourly")
    shop.tick("nightly", SIX + timedelta(minutes=30))
    shop.instance.delete_run(by_hand)
    assert list(shop.look()) == ["nightly"]


def test_a_due_run_does_not_start_beside_another_run_of_its_group(shop: Shop) -> None:
    hourly = shop.tick("hourly")
    shop.tick("nightly")
    by_hand = shop.launch("nightly")
    shop.end(hourly)
    assert f"its own run {by_hand} is STARTED" in shop.why()
    shop.end(by_hand)
    assert list(shop.look()) == ["nightly"]


# --- schedules that are off ---------------------------------------------------------------------------------


def test_a_schedule_that_is_off_is_not_waited_for(shop: Shop) -> None:
    shop.turn("hourly_schedule", "STOPPED")
    assert is_run(shop, shop.tick("nightly"))


def test_where_schedules_start_off_one_that_was_turned_on_is_waited_for(instance: dg.DagsterInstance) -> None:
    shop = Shop(instance, ordered_groups(running=False))
    assert is_run(shop, shop.tick("nightly", SIX - timedelta(days=1)))
    shop.end(instance.get_runs()[0].run_id)
    shop.turn("hourly_schedule", "RUNNING")
    assert "waits for hourly" in shop.tick("nightly")


def test_a_schedule_of_another_location_is_told_apart_by_the_sensor(instance: dg.DagsterInstance) -> None:
    shop = Shop(instance, ordered_groups(running=False))
    shop.turn("hourly_schedule", "STOPPED")
    shop.turn("hourly_schedule", "RUNNING", location="elsewhere")
    assert "waits for hourly" in shop.tick("nightly")  # a schedule does not know its location
    assert look(Situation(instance, shop.order, location="here")).requests
    assert not look(Situation(instance, shop.order, location="elsewhere")).requests


def test_a_due_run_starts_though_its_schedule_was_turned_off_meanwhile(shop: Shop) -> None:
    hourly = shop.tick("hourly")
    shop.tick("nightly")
    shop.turn("nightly_schedule", "STOPPED")
    shop.end(hourly)
    assert list(shop.look()) == ["nightly"]


def test_a_tick_upstream_that_never_comes_is_waited_for_a_while_only(shop: Shop) -> None:
    shop.tick("nightly")
    assert "hourly is expected to run at the tick of 2026-02-01 06:00 UTC" in shop.why()
    later = datetime.now(timezone.utc) + GRACE
    requests = look(Situation(shop.instance, shop.order, now=later)).requests
    assert [request.job_name for request in requests] == ["nightly"]


def test_a_tick_says_that_the_sensor_is_turned_off(shop: Shop) -> None:
    shop.turn("due_runs_sensor", "STOPPED")
    assert shop.tick("nightly").endswith("But due_runs_sensor is turned off: turn it on.")


# --- once and only once -------------------------------------------------------------------------------------


def test_the_next_tick_joins_a_run_that_is_still_due_and_says_so(shop: Shop) -> None:
    # Were it due anew, a group might never run whose upstream takes longer than from tick to tick.
    hourly = shop.tick("hourly")
    shop.tick("nightly")
    tomorrow = SIX + timedelta(days=1)
    assert hourly in shop.tick("hourly", tomorrow)
    assert shop.tick("nightly", tomorrow) == (
        "The run of nightly that is due since the tick of 2026-02-01 06:00 UTC waits still, and stands for this tick "
        "too."
    )
    assert "nightly" in shop.tick("monthly", tomorrow)
    shop.end(hourly)
    started = shop.look()
    assert list(started) == ["nightly"]
    # What waits for the tick of tomorrow waits for the run that stands for it.
    assert f"nightly's run {started['nightly']} is STARTED" in shop.why()
    shop.end(started["nightly"])
    assert list(shop.look()) == ["monthly"]
    assert shop.why() == "No run is due."


def test_a_tick_that_joined_a_run_which_is_left_out_is_due_itself(shop: Shop) -> None:
    hourly = shop.tick("hourly")
    shop.tick("nightly")
    tomorrow = SIX + timedelta(days=1)
    assert "too" in shop.tick("nightly", tomorrow)
    shop.end(hourly, "FAILURE")
    second = shop.tick("hourly", tomorrow)
    assert "the tick of 2026-02-01 06:00 UTC is left out" in shop.why()
    assert f"hourly's run {second} is STARTED" in shop.why()
    shop.end(second)
    (request,) = shop.requests()[0]
    assert request.tags[".dagster/scheduled_execution_time"] == tomorrow.isoformat()


def test_a_due_run_is_asked_for_again_until_it_is_there_always_by_the_same_key(shop: Shop) -> None:
    shop.end(shop.tick("hourly"))
    shop.tick("nightly")
    (first,) = shop.requests()[0]
    (again,) = shop.requests()[0]
    assert first.run_key == again.run_key
    # The daemon made the run, and stopped before it queued it.
    run = shop.launch("nightly", dict(first.tags), status=dg.DagsterRunStatus.NOT_STARTED)
    (third,) = shop.requests()[0]
    assert third.run_key == first.run_key
    shop.end(run)
    assert shop.why() == "No run is due."


@pytest.mark.parametrize("name", ["hourly", "nightly"])
def test_a_tick_that_the_daemon_evaluates_again_comes_to_the_same(shop: Shop, name: str) -> None:
    def evaluate() -> str:
        found = answer(name, Trigger(SIX), Situation(shop.instance, shop.order))
        return str(found.skip_message) if isinstance(found, dg.SkipReason) else "launched"

    hourly = shop.tick("hourly")
    first = evaluate()
    assert ("waits" in first) is (name == "nightly")
    assert evaluate() == first
    # Also when nobody is to be waited for any more, and the run was started by the sensor.
    shop.end(hourly)
    assert shop.look().keys() == ({"nightly"} if name == "nightly" else set())
    assert evaluate() == first
    assert shop.why() == "No run is due."


def test_the_notes_outlive_a_restart(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.end(shop.tick("hourly"))
    shop.tick("nightly")
    with dg.DagsterInstance.from_ref(instance.get_ref()) as other:
        assert list(Shop(other, ordered_groups()).look()) == ["nightly"]


# --- what is cheap ------------------------------------------------------------------------------------------


def test_a_look_at_nothing_reads_the_notes_and_no_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError

    for name in ("get_runs", "get_run_records", "all_instigator_state", "get_run_by_id"):
        monkeypatch.setattr(dg.DagsterInstance, name, forbidden)
    assert shop.why() == "No run is due."


def test_the_tag_of_a_schedule_is_dagsters() -> None:
    from dagster._core.storage.tags import SCHEDULE_NAME_TAG  # the name that must not change

    assert due_runs.SCHEDULE_NAME == SCHEDULE_NAME_TAG


def test_the_sensor_of_due_runs_is_on_wherever_schedules_may_be_turned_on(instance: dg.DagsterInstance) -> None:
    for running in (True, False):
        definitions = Shop(instance, ordered_groups(running=running)).definitions
        assert definitions.resolve_sensor_def("due_runs_sensor").default_status is dg.DefaultSensorStatus.RUNNING
        schedule = definitions.resolve_schedule_def("hourly_schedule")
        assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) is running
