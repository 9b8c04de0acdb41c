"""The commands of the pages, executed in a small shop; a runbook's in its order, with what it says that one sees."""

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
    "analytics-dagster alerts test",
    "analytics-dagster alerts watch",
)
"""Commands that are executed in this process, in the state of a shop that was built."""

FAILING = {"analytics-dagster alerts watch": 1}
"""The exit codes that are no error here: no daemon runs."""

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
    """A section of the page of runbooks: its commands in order, and the texts that it says one sees."""

    def __init__(self, section: str) -> None:
        found = [block for block in BLOCKS if block.page == RUNBOOKS and block.section == section]
        self.commands = [command for block in found if block.language == "sh" for command in block.commands]
        self.texts = [block.text for block in found if block.language == "text"]
        assert found, f"{RUNBOOKS} has no section {section!r}"


BROKEN = "select *, no_such_column"
"""What a model selects that can't be built."""

SECTIONS = (
    "A run failed",
    "The warehouse is locked",
    "A source is late",
    "Roll back a release",
    "Rebuild last week",
)


def test_every_runbook_is_tried() -> None:
    assert {block.section for block in BLOCKS if block.page == RUNBOOKS} - {"Runbooks"} == set(SECTIONS)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SmallShop:
    return create_small_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def failed_run(shop: SmallShop) -> str:
    """Build the shop for the first time, with a model that can't be built; return the run."""
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
    """Take the shop through the runbook of a run that failed."""
    book = Runbook("A run failed")
    explain, retry = book.commands
    _, explained, left = book.texts
    told = shop.run_here(*shlex.split(explain.replace("RUN_ID", failed_run))[1:])
    assert shown(explained, told), told
    shop.orders.write_text(shop.orders.read_text().replace(BROKEN, "select *"))
    again = shop.run(retry)
    assert shown(left, again), again
    assert shop.totals() == {1: 7, 2: 9}
    return shop


def test_a_run_that_failed_is_explained_and_what_is_left_of_it_run_again(built: SmallShop, failed_run: str) -> None:
    with dg.DagsterInstance.from_config(str(built.home)) as instance:
        [again] = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/parent_run_id": failed_run}))
    assert again.status is dg.DagsterRunStatus.SUCCESS


@pytest.mark.parametrize("command", QUICK)
def test_a_command_that_builds_nothing_is_executed(built: SmallShop, command: str) -> None:
    typed, _, file = command.partition(" > ")
    printed = built.run_here(*shlex.split(typed)[1:], code=FAILING.get(command, 0))
    assert printed
    if file:
        assert printed.startswith("{")


@pytest.mark.thorough
@pytest.mark.parametrize("command", SLOW)
def test_a_command_that_takes_its_time_is_executed(built: SmallShop, failed_run: str, command: str) -> None:
    if command.startswith("pip install"):
        # The same, without the network, and beside the environment that the tests run in.
        flags = "--no-deps --no-build-isolation --quiet --target installed"
        built.run(f"python -m {command.removesuffix('.')} {flags} {ROOT}")
        assert (built.folder / "installed" / "analytics_dagster" / "py.typed").exists()
    else:
        built.run(command.replace("RUN_ID", failed_run), DAGSTER_HOME=str(built.home))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "block", [pytest.param(block, id=str(block)) for block in BLOCKS if block.language == "python"]
)
def test_python_is_executed(built: SmallShop, block: Block) -> None:
    script = built.folder / "snippet.py"
    script.write_text(block.text, encoding="utf-8")
    built.run(f"python {script.name}", DAGSTER_HOME=str(built.home))


@pytest.mark.thorough
def test_the_five_minutes_of_the_readme_work_on_a_project_of_other_shape(library: Library) -> None:
    install, change, *typed, opened = OWN_PROJECT
    assert (install, change.split()[0], opened) == ("pip install .", "cd", "analytics-dagster dev")
    for command in typed:
        # The profile is found as dbt finds it.
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
def test_a_warehouse_that_is_held_names_who_holds_it(built: SmallShop) -> None:
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
def test_the_commands_for_a_warehouse_that_is_held_say_who_has_it(built: SmallShop) -> None:
    look, *rest = Runbook("The warehouse is locked").commands
    with built.start("analytics-dagster build --group hourly --full-refresh") as build:
        holder = Path(f"{built.warehouse}.holder")

        def held_by_the_group() -> str:
            """Return what the command says while the group is at it; ingestion comes before."""
            assert build.poll() is None, "the build has ended"
            said = built.run(look) if holder.exists() else ""
            return said if "of hourly" in said else ""

        said = wait_for("the group has the warehouse", held_by_the_group, 120)
        build.communicate(timeout=300)
    assert '"child"' in said
    printed = built.run("\n".join(rest))
    assert "warehouse" in printed


@pytest.mark.thorough
def test_a_source_that_is_late_is_told_and_what_came_late_is_loaded(built: SmallShop) -> None:
    book = Runbook("A source is late")
    freshness, newest, rejected, load = book.commands
    [told] = book.texts
    stale = built.run(freshness, code=1)
    assert shown(told, stale), stale
    bad = built.folder / "data" / "landing" / "orders" / "bad.parquet"
    bad.write_bytes(b"nothing of the kind")
    built.deliver("late.parquet", (3, 4), days=0)
    assert "orders/late.parquet" in built.run(newest)
    built.run(load)
    assert "orders/bad.parquet" in built.run(rejected)
    assert built.totals()[3] == 4
    built.run(freshness)


@pytest.mark.thorough
def test_a_release_is_rolled_back_and_what_it_wrote_is_rebuilt(built: SmallShop) -> None:
    book = Runbook("Roll back a release")
    checkout, prepare, plan, helm, differing, rebuild = book.commands
    assert (checkout.split()[:2], helm.split()[:2]) == (["git", "checkout"], ["helm", "upgrade"])
    sound, totals = built.orders.read_text(), built.totals()
    built.orders.write_text(sound.replace("select *", "select * replace (order_total * 100 as order_total)"))
    built.run("analytics-dagster build --select orders --full-refresh")
    assert built.totals() != totals
    # The checkout of the release before is this.
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
