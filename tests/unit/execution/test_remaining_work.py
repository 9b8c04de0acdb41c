"""What is left of a run is what Dagster's own re-execution from asset failure would run."""

from typing import Any

import dagster as dg
import pytest

from analytics_dagster.execution.remaining_work import RemainingWork, find_remaining_work

pytestmark = pytest.mark.slow


def definitions(failing: str) -> dg.Definitions:
    specs = [dg.AssetSpec(name, skippable=True) for name in "abc"]
    checks = [
        dg.AssetCheckSpec("checked", asset=name, blocking=blocking)
        for name, blocking in (("a", True), ("b", False), ("c", True))
    ]

    @dg.multi_asset(specs=specs, check_specs=checks, can_subset=True)
    def built() -> Any:
        for name in "abc":
            if name == failing:
                raise dg.Failure("connection lost")
            yield dg.MaterializeResult(asset_key=name)
            passed = failing != f"check of {name}"
            yield dg.AssetCheckResult(asset_key=name, check_name="checked", passed=passed)

    @dg.asset(deps=["c"])
    def reader() -> None: ...

    return dg.Definitions([built, reader], jobs=[dg.define_asset_job("all")])


@pytest.mark.parametrize(
    ("failing", "assets", "checks"),
    [
        ("a", {"a", "b", "c", "reader"}, {"a", "b", "c"}),
        ("c", {"c", "reader"}, {"c"}),
        ("check of a", {"a", "reader"}, {"a"}),
        ("check of b", set(), set()),
        ("check of c", {"c", "reader"}, {"c"}),
        ("nothing", set(), set()),
    ],
)
def test_it_is_what_dagster_itself_would_run_again(failing: str, assets: set[str], checks: set[str]) -> None:
    job = definitions(failing).resolve_job_def("all")
    with dg.DagsterInstance.ephemeral() as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        run = job.execute_in_process(instance=instance, raise_on_error=False, run_config=quiet).dagster_run
        remaining = find_remaining_work(instance, run.run_id)
        snapshot = instance.get_execution_plan_snapshot(str(run.execution_plan_snapshot_id))
        theirs = instance.run_domain.get_keys_to_reexecute(run.run_id, snapshot)
    assert {key.to_user_string() for key in remaining.assets} == assets
    assert {key.asset_key.to_user_string() for key in remaining.checks} == checks
    assert (remaining.assets, remaining.checks) == theirs
    assert bool(remaining) is bool(assets)
    assert remaining.steps == {"reader" if asset == "reader" else "built" for asset in assets}


def test_of_a_runs_configuration_only_that_of_its_steps_is_kept() -> None:
    remaining = RemainingWork(steps=frozenset({"built"}))
    ops = {"built": {"config": {"full_refresh": True}}, "reader": {"config": {}}}
    assert remaining.configuration({"ops": ops, "execution": {"config": {}}}) == {
        "ops": {"built": {"config": {"full_refresh": True}}},
        "execution": {"config": {}},
    }
    assert remaining.configuration({"ops": {"reader": {}}}) == {}
    assert remaining.configuration({}) == {}
