"""Schedules and the sensor of pending runs on a real Dagster instance: which runs start, wait or are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.pending_run_store import SCHEDULE_NAME, Trigger
from analytics_dagster.automation.pending_runs import check_pending_runs
from analytics_dagster.automation.retry_decision import DECISION, NUMBER, RETRIED_BY, may_be_retried
from analytics_dagster.automation.run_order import GRACE
from analytics_dagster.automation.schedules import evaluate_tick
from analytics_dagster.planning.groups import OnUpstreamFailure
from tests.unit.automation.three_groups import NAMES, SIX, ThreeGroups, nightly_table, three_groups

pytestmark = pytest.mark.slow

SEVEN = SIX + timedelta(hours=1)
TAGS = {".dagster/scheduled_execution_time": "2026-02-01T06:00:00+00:00"}
RUN, SKIP, WAIT = OnUpstreamFailure.RUN, OnUpstreamFailure.SKIP, OnUpstreamFailure.WAIT


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    folder = str(tmp_path_factory.mktemp("instance"))
    overrides = {
        "run_retries": {"enabled": True, "max_retries": 0},
        # One file for all runs: Dagster's default creates one per run.
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
    """Return the instance without the records of other tests."""
    stored.wipe()
    stored.wipe_all_schedules()
    for name in NAMES:
        for kind in ("ticks", "ingestions", "settled"):
            stored.daemon_cursor_storage.set_cursor_values({f"analytics_dagster/shop/{kind}/{name}": "[]"})
    return stored


@pytest.fixture
def groups(instance: dg.DagsterInstance) -> ThreeGroups:
    return ThreeGroups(instance, three_groups())


def is_run(groups: ThreeGroups, found: str) -> bool:
    return groups.instance.has_run(found)


# --- ticks --------------------------------------------------------------------------------------------------


def test_a_tick_without_upstream_work_launches_a_run_at_once(groups: ThreeGroups) -> None:
    assert is_run(groups, groups.tick("hourly"))
    # The hourly group does not tick at this moment, and its run has ended.
    groups.end(groups.instance.get_runs()[0].run_id)
    assert is_run(groups, groups.tick("nightly", SIX + timedelta(minutes=30)))
    assert groups.skip_reason() == "No run is pending."


@pytest.mark.parametrize("order", [("hourly", "nightly"), ("nightly", "hourly")])
def test_of_two_ticks_at_once_the_upstream_run_ends_before_the_other_starts(
    groups: ThreeGroups, order: tuple[str, str]
) -> None:
    found = {name: groups.tick(name) for name in order}
    assert is_run(groups, found["hourly"])
    assert found["nightly"] == (
        "The run of nightly is pending: it waits for hourly (the tick of 2026-02-01 06:00 UTC"
        + (f", run {found['hourly']}" if order[0] == "hourly" else "")
        + "). due_runs_sensor starts it."
    )
    assert f"hourly's run {found['hourly']} is STARTED" in groups.skip_reason()
    groups.end(found["hourly"])
    (request,) = groups.evaluate_sensor()[0]
    assert request.job_name == "nightly"
    assert request.tags.items() >= {**TAGS, SCHEDULE_NAME: "nightly_schedule"}.items()


def test_ticks_during_an_unfinished_run_lead_to_one_run_after_it(groups: ThreeGroups) -> None:
    first = groups.tick("hourly")
    assert groups.tick("hourly", SEVEN) == (
        f"The run of hourly is pending: the group's own run {first} is STARTED. due_runs_sensor starts it."
    )
    for hour in (2, 3, 4):
        assert groups.tick("hourly", SIX + timedelta(hours=hour)).endswith(f"1 {6 + hour:02}:00 UTC too.")
    assert f"the group's own run {first} is STARTED" in groups.skip_reason()
    groups.end(first, "FAILURE")
    started = groups.start_pending()
    assert list(started) == ["hourly"]
    assert groups.start_pending() == {}
    groups.end(started["hourly"])
    assert groups.skip_reason() == "No run is pending."
    assert is_run(groups, groups.tick("hourly", SIX + timedelta(hours=5)))


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_every_unfinished_run_of_the_group_counts_however_it_was_started(groups: ThreeGroups, status: str) -> None:
    by_hand = groups.launch("nightly", status=dg.DagsterRunStatus[status])
    assert f"the group's own run {by_hand} is {status}" in groups.tick("nightly")
    assert is_run(groups, groups.tick("hourly"))


def test_a_run_that_was_created_and_never_queued_holds_no_group(groups: ThreeGroups) -> None:
    stuck = groups.launch("hourly", status=dg.DagsterRunStatus.NOT_STARTED)

    def evaluate(name: str, minutes: int) -> str:
        now = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        moment = Trigger(SIX + timedelta(minutes=minutes))
        found = evaluate_tick(name, moment, InstanceSnapshot(groups.instance, groups.groups, now=now), is_preview=True)
        return str(found.skip_message) if isinstance(found, dg.SkipReason) else "launched"

    assert stuck in evaluate("hourly", 1)
    assert stuck in evaluate("nightly", 1)
    assert evaluate("hourly", 6) == evaluate("nightly", 6) == "launched"


def materialize(groups: ThreeGroups, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> str:
    """Start a run of one nightly asset, as "Materialize" in the UI does."""
    job = groups.definitions.resolve_implicit_global_asset_job_def()
    run = groups.instance.create_run_for_job(
        job.get_subset(asset_selection={nightly_table.key}),
        asset_selection=frozenset({nightly_table.key}),
        status=status,
    )
    assert run.job_name == "__ASSET_JOB"
    return run.run_id


def test_a_run_of_materialize_in_the_ui_counts_if_it_has_assets_of_the_group(groups: ThreeGroups) -> None:
    by_hand = materialize(groups)
    assert by_hand in groups.tick("nightly", SIX + timedelta(minutes=1))
    assert by_hand in groups.tick("monthly", SIX + timedelta(minutes=1))  # waits for it
    assert is_run(groups, groups.tick("hourly"))


@pytest.mark.parametrize("end", ["SUCCESS", "FAILURE", "CANCELED"])
def test_a_materialization_by_hand_delays_the_run_of_a_tick_and_does_not_drop_it(groups: ThreeGroups, end: str) -> None:
    by_hand = materialize(groups)
    moment = SIX + timedelta(minutes=1)
    assert by_hand in groups.tick("nightly", moment)
    assert groups.start_pending() == {}
    groups.end(by_hand, end)
    (request,) = groups.evaluate_sensor()[0]
    assert request.job_name == "nightly"
    assert request.tags[".dagster/scheduled_execution_time"] == moment.isoformat()


def test_a_run_of_another_projects_group_of_the_same_name_does_not_count(groups: ThreeGroups) -> None:
    groups.launch("hourly", {"analytics_dagster/project": "bank"})
    assert is_run(groups, groups.tick("hourly"))


# --- chains -------------------------------------------------------------------------------------------------


def test_a_chain_of_three_runs_one_after_the_other(groups: ThreeGroups) -> None:
    found = {name: groups.tick(name) for name in reversed(NAMES)}
    assert [is_run(groups, found[name]) for name in NAMES] == [True, False, False]
    assert groups.start_pending() == {}
    groups.end(found["hourly"])
    started = groups.start_pending()
    assert list(started) == ["nightly"]
    assert groups.start_pending() == {}
    assert f"nightly's run {started['nightly']} is STARTED" in groups.skip_reason()
    groups.end(started["nightly"])
    assert list(groups.start_pending()) == ["monthly"]
    assert groups.start_pending() == {}
    assert groups.skip_reason() == "No run is pending."


def test_a_group_waits_for_a_pending_upstream_run_of_another_tick(groups: ThreeGroups) -> None:
    hourly = groups.tick("hourly")
    groups.tick("nightly")
    groups.end(hourly)
    # The sensor has not run yet: the nightly run is still pending when the monthly schedule ticks.
    assert "nightly (the tick of 2026-02-01 06:00 UTC)" in groups.tick("monthly", SIX + timedelta(minutes=5))
    started = groups.start_pending()
    assert list(started) == ["nightly"]
    groups.end(started["nightly"], "FAILURE")
    # It has another tick, so its failure does not skip the monthly run.
    assert list(groups.start_pending()) == ["monthly"]


# --- the result of the upstream run -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["FAILURE", "CANCELED"])
@pytest.mark.parametrize(("policy", "starts"), [(RUN, True), (SKIP, False), (WAIT, False)])
def test_after_a_failed_upstream_run_the_policy_decides(
    instance: dg.DagsterInstance, policy: OnUpstreamFailure, end: str, *, starts: bool
) -> None:
    groups = ThreeGroups(instance, three_groups(policy))
    hourly = groups.tick("hourly")
    groups.tick("nightly")
    groups.tick("monthly")
    groups.end(hourly, end)
    if starts:
        started = groups.start_pending()
        assert list(started) == ["nightly"]
        groups.end(started["nightly"], end)
        assert list(groups.start_pending()) == ["monthly"]
        return
    reason = groups.skip_reason()
    assert (
        f"The run of nightly pending since the tick of 2026-02-01 06:00 UTC is skipped: hourly's run {hourly} is {end}."
    ) in reason
    assert "The run of monthly pending since the tick of 2026-02-01 06:00 UTC is skipped" in reason
    assert groups.skip_reason() == "No run is pending."


@pytest.mark.parametrize(
    ("policy", "after_failure", "after_retry"), [(RUN, True, True), (SKIP, False, False), (WAIT, False, True)]
)
@pytest.mark.parametrize("end", ["SUCCESS", "FAILURE"])
def test_only_the_policy_wait_waits_for_retries_of_the_upstream_run(
    instance: dg.DagsterInstance, policy: OnUpstreamFailure, end: str, *, after_failure: bool, after_retry: bool
) -> None:
    groups = ThreeGroups(instance, three_groups(policy, retries=1))
    groups.tick("nightly")
    first = groups.tick("hourly")
    groups.end(first, "FAILURE")
    run = instance.get_run_by_id(first)
    assert run is not None
    assert run.tags["dagster/will_retry"] == "false"  # not by Dagster itself
    assert may_be_retried(run, sensor_is_on=True)
    assert ("nightly" in groups.start_pending()) is after_failure
    if after_failure:
        return
    if policy is WAIT:
        assert f"hourly's run {first} is FAILURE and will be retried" in groups.skip_reason()
    retry = groups.launch("hourly", {**TAGS, NUMBER: "1"}, root=first)
    instance.add_run_tags(first, {RETRIED_BY: retry})
    assert groups.start_pending() == {}
    groups.end(retry, end)
    assert ("nightly" in groups.start_pending()) is (after_retry and end == "SUCCESS")
    assert groups.skip_reason() == "No run is pending."


def test_a_failed_run_of_the_command_line_is_waited_for_until_it_is_not_retried(
    instance: dg.DagsterInstance,
) -> None:
    groups = ThreeGroups(instance, three_groups(retries=1))
    job = groups.definitions.resolve_job_def("hourly")
    # It has neither a code server nor a tick.
    run = instance.create_run_for_job(job, tags=job.run_tags, status=dg.DagsterRunStatus.STARTED)
    assert f"hourly (run {run.run_id})" in groups.tick("nightly", SIX + timedelta(minutes=30))
    groups.end(run.run_id, "FAILURE")
    assert f"{run.run_id} is FAILURE and will be retried" in groups.skip_reason()
    instance.add_run_tags(run.run_id, {DECISION: "not retried: it would fail again (SQL error)"})
    # Its tick is another one, so its failure does not skip the nightly run.
    assert list(groups.start_pending()) == ["nightly"]


# --- the last run -------------------------------------------------------------------------------------------


def strict(instance: dg.DagsterInstance) -> ThreeGroups:
    """Return the three groups, with `depends_on_past` for the hourly one."""
    groups = three_groups()
    hourly = groups.by_name["hourly"]
    past = replace(hourly, group=hourly.group.model_copy(update={"depends_on_past": True}))
    return ThreeGroups(instance, replace(groups, by_name={**groups.by_name, "hourly": past}))


@pytest.mark.parametrize("end", ["FAILURE", "CANCELED"])
def test_with_depends_on_past_the_next_run_waits_until_a_retry_of_the_last_one_succeeds(
    instance: dg.DagsterInstance, end: str
) -> None:
    groups = strict(instance)
    first = groups.tick("hourly")
    assert is_run(groups, first)  # there is no last run
    groups.end(first, end)
    reason = f"its last run {first} is {end} (depends_on_past: it starts when a retry of that run has succeeded)"
    assert reason in groups.tick("hourly", SEVEN)
    assert reason in groups.skip_reason()
    # Neither part of the group nor another run of one of its assets by hand repeats what failed.
    groups.end(groups.launch("nightly"))
    groups.end(groups.launch_part())
    assert reason in groups.skip_reason()
    groups.end(groups.launch("hourly", root=first), "FAILURE")
    assert reason in groups.skip_reason()
    groups.end(groups.launch("hourly", root=first))
    assert list(groups.start_pending()) == ["hourly"]


def test_with_depends_on_past_a_whole_run_by_hand_that_succeeds_is_enough(instance: dg.DagsterInstance) -> None:
    groups = strict(instance)
    groups.end(groups.tick("hourly"), "FAILURE")
    groups.tick("hourly", SEVEN)
    groups.end(groups.launch("hourly"))
    assert list(groups.start_pending()) == ["hourly"]


def test_without_depends_on_past_the_result_of_the_last_run_does_not_matter(groups: ThreeGroups) -> None:
    groups.end(groups.tick("hourly"), "FAILURE")
    assert is_run(groups, groups.tick("hourly", SEVEN))


# --- the run of another trigger -----------------------------------------------------------------------------


def test_the_run_that_an_upstream_tick_got_after_a_run_by_hand_is_waited_for(groups: ThreeGroups) -> None:
    by_hand = groups.launch("hourly")
    assert by_hand in groups.tick("hourly")
    assert "hourly" in groups.tick("nightly")
    assert "hourly has a pending run" in groups.skip_reason()
    groups.end(by_hand, "FAILURE")
    started = groups.start_pending()
    assert list(started) == ["hourly"]
    groups.end(started["hourly"], "FAILURE")
    assert f"is skipped: hourly's run {started['hourly']} is FAILURE" in groups.skip_reason()


def test_the_result_of_an_upstream_run_of_another_trigger_does_not_matter(groups: ThreeGroups) -> None:
    by_hand = groups.launch("hourly")
    moment = SIX + timedelta(minutes=30)
    assert f"hourly (run {by_hand})" in groups.tick("nightly", moment)
    assert by_hand in groups.skip_reason()
    groups.end(by_hand, "FAILURE")
    assert list(groups.start_pending()) == ["nightly"]


def test_a_later_upstream_run_is_not_waited_for(groups: ThreeGroups) -> None:
    hourly = groups.tick("hourly")
    groups.tick("nightly")
    groups.end(hourly)
    assert is_run(groups, groups.tick("hourly", SEVEN))
    assert list(groups.start_pending()) == ["nightly"]


def test_a_deleted_upstream_run_is_not_waited_for(groups: ThreeGroups) -> None:
    by_hand = groups.launch("hourly")
    groups.tick("nightly", SIX + timedelta(minutes=30))
    groups.instance.delete_run(by_hand)
    assert list(groups.start_pending()) == ["nightly"]


def test_a_pending_run_waits_for_another_run_of_its_group(groups: ThreeGroups) -> None:
    hourly = groups.tick("hourly")
    groups.tick("nightly")
    by_hand = groups.launch("nightly")
    groups.end(hourly)
    assert f"the group's own run {by_hand} is STARTED" in groups.skip_reason()
    groups.end(by_hand)
    assert list(groups.start_pending()) == ["nightly"]


# --- schedules that are off ---------------------------------------------------------------------------------


def test_a_schedule_that_is_off_is_not_waited_for(groups: ThreeGroups) -> None:
    groups.turn("hourly_schedule", "STOPPED")
    assert is_run(groups, groups.tick("nightly"))


def test_a_schedule_that_was_turned_on_is_waited_for_if_schedules_are_off_by_default(
    instance: dg.DagsterInstance,
) -> None:
    groups = ThreeGroups(instance, three_groups(schedules_on=False))
    assert is_run(groups, groups.tick("nightly", SIX - timedelta(days=1)))
    groups.end(instance.get_runs()[0].run_id)
    groups.turn("hourly_schedule", "RUNNING")
    assert "waits for hourly" in groups.tick("nightly")


def test_the_sensor_ignores_a_schedule_of_another_location(instance: dg.DagsterInstance) -> None:
    groups = ThreeGroups(instance, three_groups(schedules_on=False))
    groups.turn("hourly_schedule", "STOPPED")
    groups.turn("hourly_schedule", "RUNNING", location="elsewhere")
    assert "waits for hourly" in groups.tick("nightly")  # a schedule does not know its location
    assert check_pending_runs(InstanceSnapshot(instance, groups.groups, location="here")).requests
    assert not check_pending_runs(InstanceSnapshot(instance, groups.groups, location="elsewhere")).requests


def test_a_pending_run_starts_after_its_schedule_was_turned_off(groups: ThreeGroups) -> None:
    hourly = groups.tick("hourly")
    groups.tick("nightly")
    groups.turn("nightly_schedule", "STOPPED")
    groups.end(hourly)
    assert list(groups.start_pending()) == ["nightly"]


def test_an_upstream_tick_that_never_happens_is_waited_for_a_while_only(groups: ThreeGroups) -> None:
    groups.tick("nightly")
    assert "hourly is expected to run at the tick of 2026-02-01 06:00 UTC" in groups.skip_reason()
    later = datetime.now(timezone.utc) + GRACE
    requests = check_pending_runs(InstanceSnapshot(groups.instance, groups.groups, now=later)).requests
    assert [request.job_name for request in requests] == ["nightly"]


def test_a_tick_reports_that_the_sensor_is_turned_off(groups: ThreeGroups) -> None:
    groups.turn("due_runs_sensor", "STOPPED")
    assert groups.tick("nightly").endswith("But due_runs_sensor is turned off: turn it on.")


# --- exactly once -------------------------------------------------------------------------------------


def test_the_next_tick_joins_the_pending_run(groups: ThreeGroups) -> None:
    # Otherwise a group would never run whose upstream takes longer than the time between two ticks.
    hourly = groups.tick("hourly")
    groups.tick("nightly")
    tomorrow = SIX + timedelta(days=1)
    assert hourly in groups.tick("hourly", tomorrow)
    assert groups.tick("nightly", tomorrow) == (
        "The run of nightly pending since the tick of 2026-02-01 06:00 UTC covers the tick of 2026-02-02 06:00 UTC too."
    )
    assert "nightly" in groups.tick("monthly", tomorrow)
    groups.end(hourly)
    started = groups.start_pending()
    assert list(started) == ["hourly", "nightly"]
    groups.end(started["hourly"])
    # A run that waits for tomorrow's tick waits for the run that covers it.
    assert f"nightly's run {started['nightly']} is STARTED" in groups.skip_reason()
    groups.end(started["nightly"])
    assert list(groups.start_pending()) == ["monthly"]
    assert groups.start_pending() == {}


def test_a_tick_that_joined_a_skipped_run_becomes_pending(groups: ThreeGroups) -> None:
    hourly = groups.tick("hourly")
    groups.tick("nightly")
    tomorrow = SIX + timedelta(days=1)
    assert "too" in groups.tick("nightly", tomorrow)
    groups.end(hourly, "FAILURE")
    second = groups.tick("hourly", tomorrow)
    assert "the tick of 2026-02-01 06:00 UTC is skipped" in groups.skip_reason()
    assert f"hourly's run {second} is STARTED" in groups.skip_reason()
    groups.end(second)
    (request,) = groups.evaluate_sensor()[0]
    assert request.tags[".dagster/scheduled_execution_time"] == tomorrow.isoformat()


def test_a_pending_run_is_requested_with_the_same_key_until_it_exists(groups: ThreeGroups) -> None:
    groups.end(groups.tick("hourly"))
    groups.tick("nightly")
    (first,) = groups.evaluate_sensor()[0]
    (again,) = groups.evaluate_sensor()[0]
    assert first.run_key == again.run_key
    # The daemon created the run, and stopped before it queued it.
    run = groups.launch("nightly", dict(first.tags), status=dg.DagsterRunStatus.NOT_STARTED)
    (third,) = groups.evaluate_sensor()[0]
    assert third.run_key == first.run_key
    groups.end(run)
    assert groups.skip_reason() == "No run is pending."


@pytest.mark.parametrize("name", ["hourly", "nightly"])
def test_a_tick_that_is_evaluated_again_has_the_same_result(groups: ThreeGroups, name: str) -> None:
    def evaluate() -> str:
        found = evaluate_tick(name, Trigger(SIX), InstanceSnapshot(groups.instance, groups.groups))
        return str(found.skip_message) if isinstance(found, dg.SkipReason) else "launched"

    hourly = groups.tick("hourly")
    first = evaluate()
    assert ("waits" in first) is (name == "nightly")
    assert evaluate() == first
    # Also when the sensor has started the run.
    groups.end(hourly)
    assert groups.start_pending().keys() == ({"nightly"} if name == "nightly" else set())
    assert evaluate() == first
    assert groups.skip_reason() == "No run is pending."


def test_the_records_survive_a_restart(groups: ThreeGroups, instance: dg.DagsterInstance) -> None:
    groups.end(groups.tick("hourly"))
    groups.tick("nightly")
    with dg.DagsterInstance.from_ref(instance.get_ref()) as other:
        assert list(ThreeGroups(other, three_groups()).start_pending()) == ["nightly"]


# --- cost ------------------------------------------------------------------------------------------


def test_without_pending_runs_no_run_is_read(groups: ThreeGroups, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError

    for name in ("get_runs", "get_run_records", "all_instigator_state", "get_run_by_id"):
        monkeypatch.setattr(dg.DagsterInstance, name, forbidden)
    assert groups.skip_reason() == "No run is pending."


def test_the_tag_of_a_schedule_is_dagsters() -> None:
    from dagster._core.storage.tags import SCHEDULE_NAME_TAG  # the test compares it

    assert SCHEDULE_NAME == SCHEDULE_NAME_TAG


def test_the_sensor_of_pending_runs_is_on_even_if_schedules_are_off(instance: dg.DagsterInstance) -> None:
    for on in (True, False):
        definitions = ThreeGroups(instance, three_groups(schedules_on=on)).definitions
        assert definitions.resolve_sensor_def("due_runs_sensor").default_status is dg.DefaultSensorStatus.RUNNING
        schedule = definitions.resolve_schedule_def("hourly_schedule")
        assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) is on
