"""Builds one dbt project with the tutorials' Dagster code and with ours: Dagster's events are the same.

Intended differences are listed here with their reasons; any other difference fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Library, Preparation

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

BIN = Path(sys.executable).parent

# The tutorials' code for the whole project: with one `@dbt_assets` per group, tests across groups would be lost.
STOCK = """
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

here = Path(__file__).parent
project = DbtProject(project_dir=here / "lending_library", profiles_dir=here / "lending_library" / "profiles")


@dbt_assets(manifest=project.manifest_path, project=project)
def all_assets(context: dg.AssetExecutionContext, dbt: DbtCliResource):
    yield from dbt.cli(["build"], context=context).stream().fetch_row_counts()


defs = dg.Definitions(
    assets=[all_assets],
    jobs=[dg.define_asset_job("everything", selection=[all_assets])],
    resources={"dbt": DbtCliResource(project_dir=project)},
)
"""

LATE = "circulation/late_returns: relationships_late_returns_member__member__ref_members_"

OF_THE_RUN = {"invocation_id", "Execution Duration"}
"""Metadata that differs between runs."""

WARNS = "select member, count(*) as loans from {{ ref('loans') }} group by member union all select null, 0"
FAILS = "select member, count(*) as loans from {{ ref('loans') }} where member = 'ana' group by member"
"""Two versions of the model `members`: with a member without a name, and without a member who has a late loan."""

ONLY_OURS = {"compiled_sql"}
"""Metadata that stock records only on request and under another name."""

CHECKS_OF_OURS = {
    # A test of a source: stock reports an observation of the source; here it is a check of it.
    "seeded/loans: source_not_null_seeded_loans_loan_id",
    # A test of an ephemeral model: stock observes an asset that does not exist; here it is a check of the parent.
    "loans: unique_returned_loans_loan_id",
    # A test that reads two assets: stock observes both; here it is a check of one of them.
    "shelf: no_book_is_lent_more_often_than_it_has_copies",
}


@dataclass(frozen=True)
class Known:
    """The materializations and checks in a Dagster home, without metadata that varies."""

    materializations: dict[str, list[dict[str, Any]]]
    checks: dict[str, list[dict[str, Any]]]
    observations: list[str]
    failed: int


def _metadata(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, tuple[str, Any]]:
    ignored = OF_THE_RUN | ONLY_OURS
    return {key: (type(item).__name__, item.value) for key, item in metadata.items() if key not in ignored}


def _known(home: Path) -> Known:
    materializations: dict[str, list[dict[str, Any]]] = defaultdict(list)
    checks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    observations = []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = list(reversed(instance.get_runs()))
        for run in runs:
            for entry in instance.all_logs(run.run_id):
                event = entry.dagster_event
                if event is None:
                    continue
                if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
                    materializations[_asset(event)].append(_materialization(event))
                elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                    check = event.asset_check_evaluation_data
                    name = f"{check.asset_key.to_user_string()}: {check.check_name}"
                    checks[name].append(_evaluation(check, run.run_id))
                elif event.event_type is dg.DagsterEventType.ASSET_OBSERVATION:
                    observations.append(_asset(event))
    failed = sum(run.status is dg.DagsterRunStatus.FAILURE for run in runs)
    return Known(dict(materializations), dict(checks), observations, failed)


def _asset(event: dg.DagsterEvent) -> str:
    assert event.asset_key is not None
    return event.asset_key.to_user_string()


def _materialization(event: dg.DagsterEvent) -> dict[str, Any]:
    materialization = event.step_materialization_data.materialization
    return {
        "metadata": _metadata(materialization.metadata),
        "description": materialization.description,
        "reads": sorted(tag for tag in materialization.tags or {} if tag.startswith("dagster/input_data_version/")),
    }


def _evaluation(check: Any, run_id: str) -> dict[str, Any]:
    target = check.target_materialization_data
    return {
        "metadata": _metadata(check.metadata),
        "passed": check.passed,
        "severity": check.severity,
        "description": check.description,
        "blocking": check.blocking,
        "of the table that this run built": target is not None and target.run_id == run_id,
    }


def _build_by_stock(folder: Path) -> int:
    arguments = ["job", "execute", "-f", "definitions.py", "-j", "everything", "-c", "in_process.yaml"]
    done = subprocess.run(
        [BIN / "dagster", *arguments],
        env={
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DAGSTER_HOME": str(folder / "home"),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "RUN_SUCCESS" in done.stderr or "RUN_FAILURE" in done.stderr, done.stdout + done.stderr
    return done.returncode


@pytest.fixture(scope="module")
def stock(
    preparation: Preparation,
    copy_prepared: Callable[[Library, Path], Library],
    tmp_path_factory: pytest.TempPathFactory,
) -> Known:
    """Build a copy of the library twice with stock dagster-dbt; return the events.

    The first build has a warning, the second a failed test.
    """
    folder = tmp_path_factory.mktemp("stock")
    library = copy_prepared(preparation.library, folder)
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "definitions.py").write_text(STOCK)
    (folder / "in_process.yaml").write_text("execution: {config: {in_process: {}}}\n")
    _members(library, WARNS)
    # Stock would use the existing manifest.
    assert library.run("prepare").returncode == 0
    assert _build_by_stock(folder) == 0
    _members(library, FAILS)
    assert _build_by_stock(folder) == 1
    return _known(folder / "home")


@pytest.fixture(scope="module", params=["warm", pytest.param("plain", marks=pytest.mark.thorough)])
def ours(
    request: pytest.FixtureRequest,
    preparation: Preparation,
    copy_prepared: Callable[[Library, Path], Library],
    tmp_path_factory: pytest.TempPathFactory,
) -> Known:
    """Build a copy of the library with our code, with the dbt worker and without; return the events."""
    library = copy_prepared(preparation.library, tmp_path_factory.mktemp("ours"))
    for members, code in ((WARNS, 0), (FAILS, 1)):
        _members(library, members)
        done = library.run("build", ANALYTICS_DBT_RUNNER=request.param)
        assert done.returncode == code, done.stdout + done.stderr
    return _known(library.folder / "home")


def _members(library: Library, query: str) -> None:
    (library.project / "transformations" / "circulation" / "members.sql").write_text(query)


def test_assets_have_the_same_materializations_and_metadata(stock: Known, ours: Known) -> None:
    assert set(ours.materializations) == set(stock.materializations)
    for asset, expected in stock.materializations.items():
        assert ours.materializations[asset] == expected, asset


def test_checks_have_the_same_evaluations_and_metadata(stock: Known, ours: Known) -> None:
    assert set(ours.checks) == set(stock.checks) | CHECKS_OF_OURS
    for check, expected in stock.checks.items():
        assert ours.checks[check] == expected, check


def test_the_builds_had_a_warning_and_a_failure(stock: Known, ours: Known) -> None:
    for known in (stock, ours):
        warned, fine = known.checks["circulation/members: not_null_members_member"]
        assert (warned["passed"], warned["severity"]) == (False, dg.AssetCheckSeverity.WARN)
        assert fine["passed"]
        [_, failed] = known.checks[LATE]
        assert (failed["passed"], failed["severity"]) == (False, dg.AssetCheckSeverity.ERROR)
        assert known.failed == 1


def test_observations_of_stock_are_checks_here(stock: Known, ours: Known) -> None:
    assert set(stock.observations) == {"seeded/loans", "circulation/returned_loans", "shelf", "books"}
    assert not ours.observations
    assert all(len(ours.checks[check]) == 2 for check in CHECKS_OF_OURS)
