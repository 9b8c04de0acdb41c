"""When a run may read a mart of another run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.assets.consumers import Consumer, build_consumers
from analytics_dagster.assets.marts import Mart, reasons_against, require_usable
from analytics_dagster.shop import CONSUMERS
from analytics_dagster.warehouse import Table
from analytics_dagster.warehouse.folder import Folder

pytestmark = pytest.mark.slow


def mart(name: str, group: str = "nightly") -> Mart:
    return Mart(name, dg.AssetKey(name), Table("marts", name), group)


def build(
    marts: Sequence[Mart], *, consumers: Sequence[Consumer] = CONSUMERS, folder: Path = Path("unused"), **others: Any
) -> Any:
    return build_consumers(
        consumers,
        {mart.name: mart for mart in marts},
        group_order=["hourly", "nightly"],
        blocking_checks=others.get("blocking_checks", {}),
        reports=Folder(str(folder / "reports")),
        outbound=Folder(str(folder / "outbound")),
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


class Upstream:
    """A mart with one blocking check in an ephemeral instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.mart = mart("orders", "hourly")
        self.check = dg.AssetCheckKey(self.mart.key, "totals_add_up")

    def run(
        self, *, builds: bool = True, passes: bool | None = True, severity: str = "ERROR", raises: bool = False
    ) -> str:
        """Build the mart and evaluate its check unless ``passes`` is None; return the run id."""

        @dg.asset(
            key=self.mart.key, check_specs=[dg.AssetCheckSpec("totals_add_up", asset=self.mart.key, blocking=True)]
        )
        def orders() -> Any:
            if raises:
                raise RuntimeError
            yield dg.MaterializeResult(check_results=[self._result(passes=bool(passes), severity=severity)])

        @dg.asset_check(asset=self.mart.key, name="totals_add_up", blocking=True)
        def totals_add_up() -> dg.AssetCheckResult:
            return self._result(passes=bool(passes), severity=severity)

        @dg.asset(key=self.mart.key)
        def unchecked() -> None:
            if raises:
                raise RuntimeError

        if not builds:
            defs = dg.Definitions(
                asset_checks=[totals_add_up],
                jobs=[dg.define_asset_job("check", dg.AssetSelection.checks(totals_add_up))],
            )
            return defs.resolve_job_def("check").execute_in_process(instance=self.instance, raise_on_error=False).run_id
        asset = unchecked if passes is None else orders
        return dg.materialize([asset], instance=self.instance, raise_on_error=False).run_id

    def _result(self, *, passes: bool, severity: str) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            check_name="totals_add_up", passed=passes, severity=dg.AssetCheckSeverity[severity], asset_key=self.mart.key
        )

    def report(self, *, builds: bool = False, passes: bool | None = None) -> str:
        """Report a build or a check result from outside of any run; return the empty run id."""
        if builds:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(self.mart.key))
        if passes is not None:
            self.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(asset_key=self.mart.key, check_name=self.check.name, passed=passes, metadata={})
            )
        return ""

    def reasons(self, run_id: str = "the consumer's own") -> list[str]:
        """Return why a run may not read the mart."""
        return list(reasons_against(self.instance, run_id, self.mart, [self.check]))


Step = Mapping[str, Any]


CASES: list[tuple[str, list[Step], str | None]] = [
    ("nothing has happened", [], "was never built"),
    ("built and checked", [{}], None),
    ("built, the check failed", [{"passes": False}], "failed the check totals_add_up in run {0}"),
    ("built, the check only warns", [{"passes": False, "severity": "WARN"}], None),
    ("never built, failed", [{"raises": True}], "was not built in its last run, {0}, which failed"),
    ("built, then failed", [{}, {"raises": True}], "was not built in its last run, {1}, which failed"),
    ("failed, then built", [{"raises": True}, {}], None),
    ("the check failed, then passed on a new build", [{"passes": False}, {}], None),
    ("the check failed, then passed alone", [{"passes": False}, {"builds": False}], None),
    (
        "passed, then failed alone",
        [{}, {"builds": False, "passes": False}],
        "failed the check totals_add_up in run {1}",
    ),
    ("the check failed on an older build", [{"passes": False}, {"passes": None}], None),
    (
        "built, failed from outside",
        [{}, {"outside": {"passes": False}}],
        "failed the check totals_add_up outside of any run",
    ),
    (
        "failed from outside on an older build",
        [{"outside": {"builds": True, "passes": False}}, {"outside": {"builds": True}}],
        None,
    ),
]


@pytest.mark.parametrize(("steps", "reason"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_a_mart_is_usable_if_it_is_built_and_no_error_check_failed(
    instance: dg.DagsterInstance, steps: list[Step], reason: str | None
) -> None:
    upstream = Upstream(instance)
    runs = [upstream.report(**step["outside"]) if "outside" in step else upstream.run(**step) for step in steps]
    expected = [] if reason is None else [f"orders (job hourly) {reason.format(*runs)}"]
    assert upstream.reasons() == expected


def test_a_planned_check_does_not_hide_the_evaluation_before_it(instance: dg.DagsterInstance) -> None:
    upstream = Upstream(instance)
    failed = upstream.run(passes=False)

    @dg.asset(key=upstream.mart.key, check_specs=[dg.AssetCheckSpec("totals_add_up", asset=upstream.mart.key)])
    def orders() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult()

    job = dg.Definitions(assets=[orders], jobs=[dg.define_asset_job("build")]).resolve_job_def("build")
    instance.create_run_for_job(job)
    assert upstream.reasons() == [f"orders (job hourly) failed the check totals_add_up in run {failed}"]


def test_the_failure_names_every_reason_and_is_not_retried(instance: dg.DagsterInstance) -> None:
    upstream = Upstream(instance)
    run = upstream.run(passes=False)
    with pytest.raises(dg.Failure) as failure:
        require_usable(upstream.instance, "own", [upstream.mart, mart("stores")], {upstream.mart.key: [upstream.check]})
    assert f"orders (job hourly) failed the check totals_add_up in run {run}" in str(failure.value.description)
    assert "stores (job nightly) was never built" in str(failure.value.description)
    assert failure.value.allow_retries is False
