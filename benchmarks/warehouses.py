"""Counts clean builds in PostgreSQL and in DuckLake, by number of dbt threads, with concurrent readers.

`python -m benchmarks.warehouses --builds 50` runs, for each warehouse and number of threads, N builds into new schemas
and N builds into an existing one, each in a separate process, while two readers query the tables. A build is clean if
dbt reports success and the tables have the expected rows. The project is parsed once, so only the warehouse is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {"postgres": "prod", "ducklake": "ducklake"}
ORDERS = 20_000
HANGS_AFTER = 120.0  # seconds

_MODELS = {
    "stg_orders": ("view", "select * from {{ source('raw', 'orders') }}"),
    "stg_customers": ("view", "select distinct customer_id, 'c' || customer_id as name from {{ ref('stg_orders') }}"),
    "orders": (
        "incremental",
        """select o.*, r.name as region from {{ ref('stg_orders') }} o join {{ ref('regions') }} r
        on r.id = o.customer_id % 3 {% if is_incremental() %} where o.id % 10 = 0 {% endif %}""",
    ),
    "customers": (
        "table",
        """select c.customer_id, c.name, count(*) as n, sum(amount) as total from {{ ref('stg_customers') }} c
        join {{ ref('orders') }} o on o.customer_id = c.customer_id group by 1, 2""",
    ),
    "days": ("table", "select day, count(*) as n, sum(amount) as total from {{ ref('orders') }} group by 1"),
    "region_days": ("table", "select region, day, sum(amount) as total from {{ ref('orders') }} group by 1, 2"),
    "best_days": ("table", "select day, total from {{ ref('days') }} where total > 1000"),
    "best_customers": ("table", "select * from {{ ref('customers') }} where n > 10"),
    "regions_total": ("table", "select region, sum(total) as total from {{ ref('region_days') }} group by 1"),
    "everything": (
        "table",
        """select o.*, c.total from {{ ref('orders') }} o
        join {{ ref('customers') }} c on c.customer_id = o.customer_id""",
    ),
}
_SCHEMA = {
    "version": 2,
    "sources": [{"name": "raw", "schema": "raw", "tables": [{"name": "orders"}]}],
    "models": [
        {"name": "orders", "columns": [{"name": "id", "data_tests": ["unique", "not_null"]}]},
        {"name": "customers", "columns": [{"name": "customer_id", "data_tests": ["unique", "not_null"]}]},
        {"name": "days", "columns": [{"name": "day", "data_tests": ["unique"]}]},
        {"name": "everything", "columns": [{"name": "id", "data_tests": ["unique"]}]},
    ],
    "snapshots": [
        {
            "name": "regions_history",
            "relation": "ref('regions')",
            "config": {"unique_key": "id", "strategy": "check", "check_cols": "all"},
        }
    ],
}
_EXPECTED = {"orders": ORDERS, "everything": ORDERS, "customers": 1000, "days": 365, "regions": 3, "regions_history": 3}


@dataclass
class Outcome:
    """The result of the builds of one kind."""

    warehouse: str
    threads: int
    kind: str
    seconds: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    builds: int = 0
    queries: int = 0
    query_faults: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Return a line of the report."""
        clean = self.builds - sum(self.faults.values())
        median = f"{statistics.median(self.seconds):.1f} s" if self.seconds else "-"
        readers = f"{self.queries - sum(self.query_faults.values())} of {self.queries} queries"
        what = f"{self.warehouse:<9} threads {self.threads}  {self.kind:<4}"
        lines = [f"{what} {clean:>3} of {self.builds:>3} clean  median {median}  readers: {readers}"]
        lines += [f"    {count} x {fault}" for fault, count in (self.faults + self.query_faults).most_common()]
        return "\n".join(lines)


def write_project(folder: Path) -> None:
    """Write a small dbt project with one of each materialization."""
    for name in ("models", "seeds", "snapshots"):
        (folder / name).mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(
        "name: bench\nversion: '1.0.0'\nprofile: jaffle_shop\nflags: {send_anonymous_usage_stats: false}\n"
    )
    (folder / "seeds" / "regions.csv").write_text("id,name\n0,north\n1,south\n2,west\n")
    (folder / "models" / "schema.yml").write_text(json.dumps(_SCHEMA))
    for name, (materialized, sql) in _MODELS.items():
        key = ", unique_key='id'" if materialized == "incremental" else ""
        config = f"{{{{ config(materialized='{materialized}'{key}) }}}}"
        (folder / "models" / f"{name}.sql").write_text(f"{config}\n{sql}\n")


def write_profile(folder: Path) -> None:
    """Write the bundled profile with another schema and number of threads."""
    import yaml  # not needed by readers

    profiles = yaml.safe_load((ROOT / "dbt_project" / "profiles.yml").read_text(encoding="utf-8"))
    for output in profiles["jaffle_shop"]["outputs"].values():
        output["schema"] = "{{ env_var('BENCH_SCHEMA') }}"
        output["threads"] = "{{ env_var('BENCH_THREADS') | as_number }}"
    (folder / "profiles.yml").write_text(json.dumps(profiles), encoding="utf-8")


def in_a_process(folder: Path, action: Callable[[], int]) -> tuple[float, str]:
    """Run a function in a fork of this process; return its seconds and its error, if any.

    This process imports dbt and never opens a warehouse, so each fork behaves like a new process.
    """
    started = time.monotonic()
    log = folder / "build.log"
    child = os.fork()
    if not child:
        code = 3
        try:
            with log.open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            code = action()
        except Exception as error:  # noqa: BLE001 - the log has the error
            log.write_text(f"{type(error).__name__}: {error}")
        finally:
            os._exit(code)
    while time.monotonic() < started + HANGS_AFTER:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return time.monotonic() - started, _fault(code, log)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return time.monotonic() - started, "it hung"


def parse(folder: Path, target: str, schema: str) -> Any:
    """Return the manifest of the project in a schema, without connecting."""
    from dbt.cli.main import dbtRunner  # not needed by readers

    os.environ.update(BENCH_SCHEMA=schema, DBT_LOG_PATH=str(folder / "logs"))
    result = dbtRunner().invoke(["--quiet", "parse", *_where(folder, target), "--no-partial-parse"])
    if not result.success:
        raise RuntimeError(result.exception)
    return result.result


def build(folder: Path, target: str, schema: str, threads: int, manifest: Any) -> int:
    """Run dbt; return its exit code."""
    from dbt.cli.main import dbtRunner  # the parent has imported it

    os.environ.update(BENCH_SCHEMA=schema, BENCH_THREADS=str(threads), DBT_LOG_PATH=str(folder / "logs"))
    result = dbtRunner(manifest=manifest).invoke(["build", *_where(folder, target), "--no-use-colors"])
    return 0 if result.success else 1


def drop(folder: Path, target: str, schema: str) -> int:
    """Drop a schema with its tables; return an exit code."""
    with opened(folder, target, read_only=False) as access:
        connection = access._connection  # noqa: SLF001 - statements of all kinds
        (connection.cursor() if target == "prod" else connection).execute(f"drop schema if exists {schema} cascade")
    return 0


def _where(folder: Path, target: str) -> Sequence[str]:
    target_path = str(folder / f"target_{target}")
    return [
        "--project-dir",
        str(folder),
        "--profiles-dir",
        str(folder),
        "--target",
        target,
        "--target-path",
        target_path,
    ]


def _fault(code: int, log: Path) -> str:
    if code < 0:
        return f"crash: {signal.Signals(-code).name}"
    if code:
        said = [line.split("  ", 1)[-1].strip() for line in log.read_text(errors="replace").splitlines()]
        first = next((place for place, line in enumerate(said) if "Error" in line or "FAIL" in line), 0)
        return f"exit code {code}: {' '.join(said[first : first + 3])[:300]}"
    return ""


def check(folder: Path, target: str, schema: str) -> int:
    """Check the row counts after a build; return an exit code."""
    with opened(folder, target) as access:
        query = " union all ".join(f"select '{name}', count(*) from {schema}.{name}" for name in _EXPECTED)  # noqa: S608
        found: Mapping[str, int] = dict(access.rows(query))
    wrong = {name: count for name, count in found.items() if count != _EXPECTED[name]}
    if wrong:
        print(f"Error: wrong counts {wrong}", flush=True)
    return 1 if wrong else 0


@contextmanager
def opened(folder: Path, target: str, *, read_only: bool = True) -> Iterator[Any]:
    """Open the warehouse like our Python assets."""
    from analytics_dagster.warehouse import Warehouse  # brings Dagster

    warehouse = Warehouse(
        adapter="postgres" if target == "prod" else "duckdb",
        path="",
        lock_timeout=1,
        project_dir=str(folder),
        profiles_dir=str(folder),
        profile="jaffle_shop",
        target=target,
    )
    with warehouse._open(read_only=read_only) as access:  # noqa: SLF001 - statements of all kinds
        yield access


def read_on(folder: Path, target: str, schema: str) -> int:
    """Query the tables of a schema repeatedly until the input ends; print one line per query."""
    import select  # only readers need it

    while not select.select([sys.stdin], [], [], 1.0)[0]:
        try:
            with opened(folder, target) as access:
                [(rows,)] = access.rows(f"select count(*) from {schema}.orders")  # noqa: S608
                access.rows(f"select count(*), sum(total) from {schema}.customers")  # noqa: S608
            print("ok" if rows == ORDERS else f"reader: {rows} orders", flush=True)
        except Exception as error:  # noqa: BLE001, PERF203 - every error is counted
            print(f"reader: {type(error).__name__}: {str(error).splitlines()[0][:160]}", flush=True)
    return 0


def measure(folder: Path, warehouse: str, threads: int, builds: int, enough: int) -> None:
    """Build into new schemas and into an existing one, and print the result; ``enough`` faults end each."""
    target = TARGETS[warehouse]
    new, old = f"new_{threads}", f"old_{threads}"
    manifests = {schema: parse(folder, target, schema) for schema in (new, old)}
    _, without_old = in_a_process(folder, lambda: build(folder, target, old, threads, manifests[old]))
    for schema in (new, old):
        kind = schema.partition("_")[0]
        outcome = Outcome(warehouse, threads, kind)
        with ExitStack() as stack:
            readers = [stack.enter_context(_reader(folder, warehouse, old)) for _ in range(0 if without_old else 2)]
            for number in range(builds):
                if schema == new:
                    in_a_process(folder, partial(drop, folder, target, schema))
                action = partial(build, folder, target, schema, threads, manifests[schema])
                seconds, fault = in_a_process(folder, action)
                if not fault:
                    _, fault = in_a_process(folder, partial(check, folder, target, schema))
                outcome.builds += 1
                outcome.seconds.append(seconds)
                if fault:
                    outcome.faults[fault] += 1
                print(f"  {warehouse} {threads} {kind} {number}: {fault or 'clean'}", file=sys.stderr, flush=True)
                if fault and sum(outcome.faults.values()) == enough:
                    break
            for reader in readers:
                said, _ = reader.communicate()
                outcome.queries += len(said.splitlines())
                outcome.query_faults.update(line for line in said.splitlines() if line != "ok")
        print(outcome, flush=True)


def _put_extensions() -> int:
    from analytics_dagster.project.extensions import DIRECTORY, ensure_extensions  # brings DuckDB

    ensure_extensions(["ducklake", "postgres_scanner", "httpfs"], DIRECTORY)
    return 0


def _reader(folder: Path, warehouse: str, schema: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.warehouses", "--read", schema, "--folder", str(folder)]
    return subprocess.Popen(
        [*command, "--only", warehouse],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def make_raw(folder: Path, target: str) -> int:
    """Write the source tables of the project."""
    columns = "i as id, i % 1000 as customer_id, i % 365 as day, cast(i % 97 as numeric(16, 2)) as amount"
    sql = f"create table raw.orders as select {columns} from generate_series(0, {ORDERS - 1}) as t(i)"  # noqa: S608
    with opened(folder, target, read_only=False) as access:
        connection = access._connection  # noqa: SLF001 - statements of all kinds
        cursor = connection.cursor() if target == "prod" else connection
        cursor.execute("create schema raw")
        cursor.execute(sql)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; print a line for each warehouse, number of threads and kind of schema."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--builds", type=int, default=50, help="number of builds into new schemas, and into an existing one"
    )
    parser.add_argument("--only", choices=list(TARGETS), action="append", help="the warehouse")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--enough", type=int, default=0, help="stop a kind of build after this many faults (0: never)")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.read:
        return read_on(options.folder, TARGETS[options.only[0]], options.read)
    # Import once: each build is a fork of this process.
    import dbt.cli.main  # noqa: F401

    import analytics_dagster.warehouse  # noqa: F401
    from scripts.servers import run_both

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops the servers, too
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="bench-warehouses-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with run_both(folder) as (postgres, s3):
            os.environ.update({**postgres.environment, **s3.environment, "BENCH_SCHEMA": "main", "BENCH_THREADS": "1"})
            os.environ["ANALYTICS_LAKE_DATA_PATH"] = f"s3://{s3.bucket}/lake"
            project = folder / "project"
            write_project(project)
            write_profile(project)
            in_a_process(project, _put_extensions)
            for warehouse in options.only or TARGETS:
                _, fault = in_a_process(project, partial(make_raw, project, TARGETS[warehouse]))
                if fault:
                    raise RuntimeError(fault)
                for threads in [4] if warehouse == "postgres" else options.threads:
                    measure(project, warehouse, threads, options.builds, options.enough)
    return 0


if __name__ == "__main__":
    sys.exit(main())
