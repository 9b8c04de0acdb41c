"""Executes the commands of the documentation in a small shop; runbooks in their order, with the output they show."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from tests.documents.pages import BLOCKS, ROOT, Block, shown
from tests.documents.small_shop import SmallShop, create_small_shop
from tests.processes import wait_for

if TYPE_CHECKING:
    from tests.conftest import Library

pytestmark = pytest.mark.integration

QUICK = (
    "analytics-dagster prepare",
    "analytics-dagster plan",
    "analytics-dagster plan --group nightly",
    "analytics-dagster plan --node orders",
    "analytics-dagster plan --json",
    "analytics-dagster schema > groups.schema.json",
    "analytics-dagster alerts schema > routes.schema.json",
    "analytics-dagster alerts list",
    "analytics-dagster alerts test",
    "analytics-dagster alerts watch",
)
"""Commands that are executed in this process after the shop was built."""

FAILING = {"analytics-dagster alerts watch": 1, "analytics-dagster alerts test": 2}
"""Expected exit codes: no daemon runs, and no channel is set up."""

SLOW = (
    "analytics-dagster build --group nightly --upstream",
    'analytics-dagster build --select "orders+"',
    "analytics-dagster build --group hourly --full-refresh",
    "analytics-dagster build --group ingestion",
    "analytics-dagster retry RUN_ID",
    "pip install .",
    "pip install --upgrade .",
    "dagster instance migrate",
    "dbt parse --project-dir dbt_project --profiles-dir dbt_project --show-all-deprecations",
)
"""Commands that take seconds each."""

RUNBOOKS = "docs/operations.md"

IN_RUNBOOKS = {
    command for block in BLOCKS if (block.page, block.language) == (RUNBOOKS, "sh") for command in block.commands
}


OWN_PROJECT = [
    command
    for block in BLOCKS
    if (block.page, block.section, block.language) == ("README.md", "Use it for your dbt project", "sh")
    for command in block.commands
]

IN_README = {command for command in OWN_PROJECT if command.startswith("cd ")}


class Runbook:
    """A section of the runbooks: its commands in order, and the output that it shows."""

    def __init__(self, section: str) -> None:
        found = [block for block in BLOCKS if block.page == RUNBOOKS and block.section == section]
        self.commands = [command for block in found if block.language == "sh" for command in block.commands]
        self.texts = [block.text for block in found if block.language == "text"]
        assert found, f"{RUNBOOKS} has no section {section!r}"


BROKEN = "select *, no_such_column"
"""A query that fails."""

SECTIONS = (
    "A run failed",
    "The warehouse is locked",
    "A source is late",
    "Roll back a release",
    "Rebuild last week",
)


def test_every_runbook_has_a_test() -> None:
    assert {block.section for block in BLOCKS if block.page == RUNBOOKS} - {"Runbooks"} == set(SECTIONS)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SmallShop:
    return create_small_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def failed_run(shop: SmallShop) -> str:
    """Build the shop for the first time with a failing model; return the run id."""
    seen = Runbook("A run failed").texts[0]
    shop.orders.write_text(shop.orders.read_text().replace("select *", BROKEN))
    printed = shop.run("analytics-dagster build", code=1)
    assert shown(seen, printed), printed
    assert "marts/orders (not built)" in printed
    with dg.DagsterInstance.from_config(str(shop.home)) as instance:
        [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    return run.run_id


@pytest.fixture(scope="module")
def built(shop: SmallShop, failed_run: str) -> SmallShop:
    """Follow the runbook of a failed run."""
    book = Runbook("A run failed")
    explain, retry = book.commands
    _, explained, remaining = book.texts
    output = shop.run_here(*shlex.split(explain.replace("RUN_ID", failed_run))[1:])
    assert shown(explained, output), output
    shop.orders.write_text(shop.orders.read_text().replace(BROKEN, "select *"))
    again = shop.run(retry)
    assert shown(remaining, again), again
    assert shop.totals() == {1: 7, 2: 9}
    return shop


def test_a_failed_run_is_explained_and_its_remaining_work_retried(built: SmallShop, failed_run: str) -> None:
    with dg.DagsterInstance.from_config(str(built.home)) as instance:
        [again] = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/parent_run_id": failed_run}))
    assert again.status is dg.DagsterRunStatus.SUCCESS


@pytest.mark.parametrize("command", QUICK)
def test_commands_that_build_nothing_succeed(built: SmallShop, command: str) -> None:
    typed, _, file = command.partition(" > ")
    printed = built.run_here(*shlex.split(typed)[1:], code=FAILING.get(command, 0))
    assert printed
    if file:
        assert printed.startswith("{")


@pytest.mark.thorough
@pytest.mark.parametrize("command", SLOW)
def test_slow_commands_succeed(built: SmallShop, failed_run: str, command: str) -> None:
    if command.startswith("pip install"):
        # Install without the network, into a separate folder.
        flags = "--no-deps --no-build-isolation --quiet --target installed"
        built.run(f"python -m {command.removesuffix('.')} {flags} {ROOT}")
        assert (built.folder / "installed" / "analytics_dagster" / "py.typed").exists()
    else:
        built.run(command.replace("RUN_ID", failed_run), DAGSTER_HOME=str(built.home))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "block", [pytest.param(block, id=str(block)) for block in BLOCKS if block.language == "python"]
)
def test_python_snippets_run(built: SmallShop, block: Block) -> None:
    script = built.folder / "snippet.py"
    script.write_text(block.text, encoding="utf-8")
    built.run(f"python {script.name}", DAGSTER_HOME=str(built.home))


@pytest.mark.thorough
def test_the_readme_commands_work_for_another_dbt_project(library: Library) -> None:
    install, change, *typed, opened = OWN_PROJECT
    assert (install, change.split()[0], opened) == ("pip install .", "cd", "analytics-dagster dev")
    for command in typed:
        # dbt's variable names the profile.
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=library.project,
            env={**SmallShop(library.folder).environment, "DBT_PROFILES_DIR": str(library.project / "profiles")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert library.warehouse.exists()


@pytest.mark.thorough
def test_a_locked_warehouse_error_names_the_holder(built: SmallShop) -> None:
    book = Runbook("The warehouse is locked")
    waiting, failing = book.texts
    reader = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", reader, str(built.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as notebook:
        assert notebook.stdout is not None
        notebook.stdout.readline()
        printed = built.run(
            "analytics-dagster build --group hourly", code=1, ANALYTICS_WAREHOUSE_LOCK_TIMEOUT="1", COLUMNS="400"
        )
        notebook.communicate("")
    assert shown(failing, printed), printed
    assert shown(waiting, printed), printed
    assert str(notebook.pid) in printed


@pytest.mark.thorough
def test_the_runbook_commands_show_the_holder_of_a_locked_warehouse(built: SmallShop) -> None:
    look, *rest = Runbook("The warehouse is locked").commands
    with built.start("analytics-dagster build --group hourly --full-refresh") as build:
        holder = Path(f"{built.warehouse}.holder")

        def held_by_the_group() -> str:
            """Return the output of the command while the group runs; ingestion runs first."""
            assert build.poll() is None, "the build has ended"
            # A step of ingestion can remove the file between the two calls.
            said = built.run(f"{look} || true") if holder.exists() else ""
            return said if "of hourly" in said else ""

        said = wait_for("the group holds the warehouse", held_by_the_group, 120)
        build.communicate(timeout=300)
    assert '"child"' in said
    printed = built.run("\n".join(rest))
    assert "warehouse" in printed


@pytest.mark.thorough
def test_a_late_source_is_reported_and_late_files_are_loaded(built: SmallShop) -> None:
    book = Runbook("A source is late")
    freshness, newest, rejected, load = book.commands
    [expected] = book.texts
    stale = built.run(freshness, code=1)
    assert shown(expected, stale), stale
    bad = built.folder / "data" / "landing" / "orders" / "bad.parquet"
    bad.write_bytes(b"nothing of the kind")
    built.deliver("late.parquet", (3, 4), days=0)
    assert "orders/late.parquet" in built.run(newest)
    built.run(load)
    assert "orders/bad.parquet" in built.run(rejected)
    assert built.totals()[3] == 4
    built.run(freshness)


@pytest.mark.thorough
def test_a_release_is_rolled_back_and_its_tables_are_rebuilt(built: SmallShop) -> None:
    book = Runbook("Roll back a release")
    checkout, prepare, plan, helm, differing, rebuild = book.commands
    assert (checkout.split()[:2], helm.split()[:2]) == (["git", "checkout"], ["helm", "upgrade"])
    sound, totals = built.orders.read_text(), built.totals()
    built.orders.write_text(sound.replace("select *", "select * replace (order_total * 100 as order_total)"))
    built.run("analytics-dagster build --select orders --full-refresh")
    assert built.totals() != totals
    # This stands for the checkout of the previous release.
    built.orders.write_text(sound)
    built.run(prepare)
    built.run(plan)
    assert "jaffle_shop.marts.orders" in built.run(differing)
    built.run(rebuild)
    assert built.totals() == totals


@pytest.mark.thorough
def test_last_week_is_rebuilt_by_corrected_files_or_from_scratch(built: SmallShop) -> None:
    ordinary, from_scratch = Runbook("Rebuild last week").commands
    totals = built.totals()
    built.deliver("first.parquet", (1, 8), (2, 9), days=2)
    built.run(ordinary)
    assert built.totals() == {**totals, 1: 8}
    built.run(from_scratch)
    assert built.totals() == {**totals, 1: 8}
