"""The doctor and a run name what is wrong with a PostgreSQL, a DuckLake or a bucket, and the remedy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import dagster as dg
import pandas as pd
import pytest
import yaml

from analytics_dagster.cli.doctor import lake, postgres, storage_locations, warehouse
from analytics_dagster.cli.doctor.dagster_storage import check_run_logs
from analytics_dagster.cli.doctor.result import CheckResult, CheckStatus, Clocks
from analytics_dagster.cli.doctor.runner import _guarded, run_checks
from analytics_dagster.errors import AnalyticsError, FolderError, LandingZoneError
from analytics_dagster.execution.failures.classification import FailureKind, classify
from analytics_dagster.ingestion.landing import Landing
from analytics_dagster.ingestion.tables import LandedTable
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse import Table
from analytics_dagster.warehouse.folder import Folder
from tests.conftest import ProjectCopy, copy_project
from tests.integration.production import PROJECT, Servers, opened, run_servers, target_of

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

WRONG = "wr0ng-secret"
ORDERS = LandedTable("source.p.shop.orders", "shop", "orders", "raw", "orders", "orders/*.csv", "csv")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Start both servers, once for all tests."""
    with run_servers() as started:
        yield started


@pytest.fixture
def own(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point the bundled profile at both; return the name of the DuckLake and schema of this test."""
    name = f"own_{uuid4().hex[:8]}"
    mine = {
        "ANALYTICS_POSTGRES_SCHEMA": name,
        "ANALYTICS_LAKE_CATALOG_SCHEMA": name,
        "ANALYTICS_LAKE_DATA_PATH": f"s3://{servers.s3.bucket}/{name}",
    }
    for variable, value in {**servers.environment, **mine}.items():
        monkeypatch.setenv(variable, value)
    yield name
    servers.execute(f"drop schema if exists {name} cascade")


def check_postgres_target() -> list[CheckResult]:
    """Return the doctor's results about the PostgreSQL warehouse."""
    return list(_guarded(warehouse.CHECK, lambda: postgres.check_postgres(target_of("prod"), {})))


def check_lake_target() -> list[CheckResult]:
    """Return the doctor's results about the DuckLake."""
    return list(_guarded(warehouse.CHECK, lambda: lake.check_lake(target_of("ducklake"), PROJECT)))


def assert_one_error(results: list[CheckResult], said: str, remedy: str, *secrets: str) -> None:
    """Assert that the only result is this error, without a secret."""
    assert [result.status for result in results] == [CheckStatus.ERROR], results
    assert said in results[0].message
    assert remedy in results[0].remedy
    assert not [secret for secret in (WRONG, *secrets) if secret in str(results)]


# --- PostgreSQL ---------------------------------------------------------------------------------------------

_SCHEMAS = "select nspname from pg_namespace order by 1"
_TABLES = "select oid from pg_class where relkind in ('r', 'v') order by 1"


@pytest.mark.parametrize("is_there", [False, True])
def test_a_writable_postgresql_is_ok_and_not_changed(servers: Servers, own: str, *, is_there: bool) -> None:
    if is_there:
        servers.execute(f"create schema {own}")
    before = [servers.execute(_SCHEMAS), servers.execute(_TABLES)]
    clocks: Clocks = {}
    [result] = postgres.check_postgres(target_of("prod"), clocks)
    assert result.status is CheckStatus.OK, result
    assert servers.postgres.database in result.message
    assert clocks["the warehouse"].tzinfo is not None
    assert [servers.execute(_SCHEMAS), servers.execute(_TABLES)] == before


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("variable", "value", "said", "remedy"),
    [
        ("ANALYTICS_POSTGRES_PORT", "1", "onnection refused", "Check that the server runs"),
        ("ANALYTICS_POSTGRES_PASSWORD", WRONG, "authentication failed", "Correct the user or the password"),
        ("ANALYTICS_POSTGRES_USER", "nobody_we_know", "authentication failed", "Correct the user or the password"),
        ("ANALYTICS_POSTGRES_DBNAME", "no_such_database", "does not exist", "Create it"),
    ],
)
def test_a_postgresql_that_cannot_be_opened_is_an_error_with_a_remedy(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str, remedy: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert_one_error(check_postgres_target(), said, remedy, servers.postgres.password)


@pytest.fixture
def guest(servers: Servers, own: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Create a user who may only connect, and use it in the profile."""
    user = f"guest_{own}"
    servers.execute(f"create role {user} login password 'guest'")
    monkeypatch.setenv("ANALYTICS_POSTGRES_USER", user)
    monkeypatch.setenv("ANALYTICS_POSTGRES_PASSWORD", "guest")
    yield user
    servers.execute(f"drop owned by {user} cascade; drop role {user}")


def test_a_missing_privilege_is_named_and_granting_it_is_enough(servers: Servers, own: str, guest: str) -> None:
    [refused] = check_postgres_target()
    assert refused.status is CheckStatus.ERROR
    assert refused.message.endswith(f"the schema {own} does not exist, and {guest} may not create it.")
    servers.execute(f"create schema {own}")
    [denied] = check_postgres_target()
    assert (denied.status, "permission denied for schema" in denied.message) == (CheckStatus.ERROR, True)
    servers.execute(denied.remedy.partition(": ")[2])
    [lacking, reached] = check_postgres_target()
    assert [lacking.status, reached.status] == [CheckStatus.WARNING, CheckStatus.OK], (
        "one that others made the schemas for"
    )
    assert lacking.remedy == refused.remedy
    servers.execute(lacking.remedy.partition(": ")[2])
    assert [result.status for result in check_postgres_target()] == [CheckStatus.OK], "the remedies are what helps"


def test_a_read_only_server_is_an_error(servers: Servers, guest: str) -> None:
    servers.execute(f"alter role {guest} set default_transaction_read_only = on")
    assert_one_error(
        check_postgres_target(),
        "can read but not write",
        f'alter role "{guest}" set default_transaction_read_only = off',
    )


# --- DuckLake -----------------------------------------------------------------------------------------------


def catalog(servers: Servers, own: str) -> list[tuple[Any, ...]]:
    """Return the row counts of the tables of the DuckLake's catalog; empty without a catalog."""
    tables = servers.execute(f"select tablename from pg_tables where schemaname = '{own}' order by 1")  # noqa: S608
    return [(name, *servers.execute(f'select count(*) from {own}."{name}"')) for (name,) in tables]  # noqa: S608


def test_a_missing_ducklake_is_not_created(servers: Servers, own: str) -> None:
    [result] = check_lake_target()
    assert result.status is CheckStatus.OK, result
    assert f"s3://{servers.s3.bucket}/{own}" in result.message
    assert "The first build creates the DuckLake" in result.message
    assert catalog(servers, own) == []
    assert servers.objects(own) == []


def test_a_ducklake_is_tested_by_a_write_and_not_changed(servers: Servers, own: str) -> None:
    opened("ducklake").replace(Table("consumers", "t"), pd.DataFrame({"n": range(1000)}))
    before = [catalog(servers, own), servers.objects(own)]
    assert before[1], "its files are in the bucket"
    [result] = check_lake_target()
    assert result.status is CheckStatus.OK, result
    assert [catalog(servers, own), servers.objects(own)] == before


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("variable", "value", "said", "remedy"),
    [
        ("ANALYTICS_POSTGRES_PORT", "1", "onnection refused", "catalog's PostgreSQL runs"),
        ("ANALYTICS_POSTGRES_PASSWORD", WRONG, "authentication failed", "the password of the catalog"),
        ("ANALYTICS_POSTGRES_DBNAME", "no_such_database", "does not exist", "Create the catalog's database"),
        ("ANALYTICS_LAKE_DATA_PATH", "s3://no-such-bucket/lake", "no-such-bucket", "Create the bucket"),
        ("AWS_SECRET_ACCESS_KEY", WRONG, "403", "Correct the key or the secret"),
        ("AWS_ACCESS_KEY_ID", "AKIAWRONG", "403", "Correct the key or the secret"),
    ],
)
def test_a_ducklake_that_cannot_be_created_is_an_error_with_a_remedy(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str, remedy: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert_one_error(check_lake_target(), said, remedy, servers.postgres.password, servers.s3.secret)


def _of_another_version(servers: Servers, own: str) -> None:
    servers.execute(f"update {own}.ducklake_metadata set value = '0.1' where key = 'version'")  # noqa: S608


def _at_another_path(servers: Servers, own: str) -> None:
    os.environ["ANALYTICS_LAKE_DATA_PATH"] = f"s3://{servers.s3.bucket}/{own}_elsewhere"


@pytest.mark.parametrize(
    ("harm", "said", "remedy"),
    [
        (_of_another_version, "version", "automatic_migration"),
        (_at_another_path, "_elsewhere", "Use the data path that this DuckLake was created with"),
    ],
)
def test_an_incompatible_ducklake_is_an_error_with_a_remedy(
    servers: Servers, own: str, harm: Callable[[Servers, str], None], said: str, remedy: str
) -> None:
    opened("ducklake").replace(Table("consumers", "t"), pd.DataFrame({"n": range(1000)}))
    before = catalog(servers, own)
    harm(servers, own)  # the environment is put back after the test: `own` has set these variables
    assert_one_error(check_lake_target(), said, remedy)
    assert catalog(servers, own) == before
    with pytest.raises(AnalyticsError) as raised:
        opened("ducklake").replace(Table("consumers", "t"), pd.DataFrame({"n": [1]}))
    assert not classify(str(raised.value)).is_transient, "it is not run again in vain"


def test_a_missing_privilege_on_the_catalog_is_named(servers: Servers, own: str, guest: str) -> None:
    [refused] = check_lake_target()
    assert (refused.status, f"may not create the schema {own}" in refused.message) == (CheckStatus.ERROR, True), refused
    servers.execute(refused.remedy.partition(": ")[2])
    assert [result.status for result in check_lake_target()] == [CheckStatus.OK], "the remedy is what helps"

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANALYTICS_POSTGRES_USER", servers.postgres.user)
        patch.setenv("ANALYTICS_POSTGRES_PASSWORD", servers.postgres.password)
        opened("ducklake").replace(Table("consumers", "t"), pd.DataFrame({"n": range(1000)}))
    servers.execute(f"grant usage on schema {own} to {guest}; grant select on all tables in schema {own} to {guest}")
    assert opened("ducklake").rows("select count(*) from consumers.t") == [(1000,)]
    [denied] = check_lake_target()
    assert (denied.status, f"may not write the schema {own}" in denied.message) == (CheckStatus.ERROR, True), denied
    servers.execute(denied.remedy.partition(": ")[2])
    assert [result.status for result in check_lake_target()] == [CheckStatus.OK], "the remedy is what helps"


@pytest.mark.usefixtures("own")
def test_missing_extensions_are_named_with_package_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_DUCKDB_EXTENSIONS", str(tmp_path))
    results = list(warehouse.check_extensions(target_of("ducklake").credentials))
    assert [result.message.split()[0] for result in results] == ["ducklake", "postgres_scanner", "httpfs"]
    assert {result.remedy for result in results} == {"analytics-dagster prepare"}, "their packages are installed"


# --- buckets ------------------------------------------------------------------------------------------------


def unusable_buckets(servers: Servers) -> Mapping[str, tuple[str, Mapping[str, Any], str, FailureKind]]:
    """Return unusable addresses and options, each with its remedy and kind of failure."""
    good, bucket = servers.options, f"s3://{servers.s3.bucket}"
    return {
        "bucket": ("s3://no-such-bucket/x", good, "Create the bucket", FailureKind.CODE),
        "secret": (f"{bucket}/x", {**good, "secret": WRONG}, "Correct the key", FailureKind.PERMISSION),
        "key": (f"{bucket}/x", {**good, "key": "AKIAWRONG"}, "Correct the key", FailureKind.PERMISSION),
    }


@pytest.mark.parametrize("fault", ["bucket", "secret", "key"])
def test_doctor_reader_and_writer_name_an_unusable_bucket(servers: Servers, fault: str, tmp_path: Path) -> None:
    url, options, remedy, kind = unusable_buckets(servers)[fault]
    settings = Settings(
        data_dir=tmp_path,
        landing_url=url,
        outbound_url=url,
        reports_url=url,
        landing_storage_options=dict(options),
    )
    found = list(storage_locations.check_locations(settings))
    assert [result.status for result in found] == [CheckStatus.ERROR] * 3
    assert all(remedy in result.remedy for result in found), found
    with pytest.raises(LandingZoneError) as unread:
        Landing(url, options=options).list_files(ORDERS)
    told: dict[str, AnalyticsError] = {"ANALYTICS_LANDING_URL": unread.value}
    if fault != "bucket":  # this server, unlike others, makes the bucket that is written to
        with pytest.raises(FolderError) as unwritten:
            Folder(url, options, "outbound_url").write("a.txt", b"a")
        told["ANALYTICS_OUTBOUND_URL"] = unwritten.value
    for variable, error in told.items():
        assert remedy in error.remedy
        assert variable in error.remedy
        assert classify(str(error)) is kind
    assert not [secret for secret in (WRONG, servers.s3.secret) if secret in f"{found} {told}"]


def test_a_usable_bucket_is_ok_and_can_be_read_and_written(servers: Servers, tmp_path: Path) -> None:
    url = f"s3://{servers.s3.bucket}/places"
    settings = Settings(
        data_dir=tmp_path,
        landing_url=f"{url}/landing",
        outbound_url=f"{url}/outbound",
        reports_url=f"{url}/reports",
        landing_storage_options=dict(servers.options),
    )
    assert [result.status for result in storage_locations.check_locations(settings)] == [CheckStatus.OK] * 3, (
        "nothing lies there yet"
    )
    assert servers.objects("places/") == [], "what the doctor wrote for a try is gone"
    folder = Folder(f"{url}/reports", servers.options) / "monthly"
    assert folder.names() == set()
    assert folder.write("a.txt", b"a")
    assert folder.names() == {"a.txt"}
    assert Landing(f"{url}/landing", options=servers.options).list_files(ORDERS) == ()
    folder.delete("a.txt")


# --- run logs -----------------------------------------------------------------------------------------------


@pytest.fixture
def instance_of(servers: Servers, tmp_path: Path) -> Iterator[Callable[..., dg.DagsterInstance]]:
    """Return a function that opens an instance with run logs in the bucket; arguments change its options."""
    with ExitStack() as opened:

        def open_instance(**changed: str) -> dg.DagsterInstance:
            options = {"bucket": servers.s3.bucket, "endpoint_url": servers.s3.url, "prefix": "logs", **changed}
            manager = {"module": "dagster_aws.s3", "class": "S3ComputeLogManager", "config": options}
            overrides = {"compute_logs": manager}
            return opened.enter_context(dg.instance_for_test(temp_dir=str(tmp_path), overrides=overrides))

        yield open_instance


def test_a_bucket_for_run_logs_is_ok_and_not_changed(
    servers: Servers, own: str, instance_of: Callable[..., dg.DagsterInstance]
) -> None:
    [result] = check_run_logs(instance_of(prefix=own))
    assert result == CheckResult("run logs", CheckStatus.OK, "S3ComputeLogManager can be written.")
    assert servers.objects(own) == []


@pytest.mark.parametrize(
    ("variables", "changed", "remedy"),
    [
        ({"AWS_SECRET_ACCESS_KEY": WRONG}, {}, "Correct the key"),
        ({}, {"endpoint_url": "http://127.0.0.1:1"}, "Check that the server runs"),
    ],
    ids=["secret", "address"],
)
@pytest.mark.usefixtures("own")
def test_an_unusable_bucket_for_run_logs_is_an_error_with_a_remedy(
    variables: Mapping[str, str],
    changed: Mapping[str, str],
    remedy: str,
    instance_of: Callable[..., dg.DagsterInstance],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # the session keeps its first credentials
    [result] = check_run_logs(instance_of(**changed))
    assert (result.check, result.status) == ("run logs", CheckStatus.ERROR)
    assert remedy in result.remedy
    assert "compute_logs in dagster.yaml" in result.remedy
    assert WRONG not in f"{result}"


def test_run_logs_in_a_folder_are_not_checked(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        assert list(check_run_logs(instance)) == []


# --- a whole deployment -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["prod", "ducklake"])
def test_the_doctor_finds_no_error_in_a_working_target(servers: Servers, own: str, target: str, tmp_path: Path) -> None:
    bucket = f"s3://{servers.s3.bucket}/{own}"
    settings = Settings(
        environment="prod",
        dbt_project_dir=PROJECT,
        dbt_target=target,
        dbt_target_path=tmp_path / "target",
        data_dir=tmp_path / "data",
        dagster_home=tmp_path,
        landing_url=f"{bucket}/landing",
        outbound_url=f"{bucket}/outbound",
        reports_url=f"{bucket}/reports",
        landing_storage_options=dict(servers.options),
    )
    found = {result.check: result for result in run_checks(lambda: settings) if result.status is not CheckStatus.OK}
    # `prepare` would create the manifest, and no alerts are configured.
    assert set(found) == {"manifest", "alerts"}, found
    assert "prepare" in found["manifest"].remedy


def test_the_doctor_names_every_missing_variable_of_the_target(tmp_path: Path) -> None:
    settings = Settings(environment="prod", dbt_project_dir=PROJECT, data_dir=tmp_path, dagster_home=tmp_path)
    [result] = [result for result in run_checks(lambda: settings) if result.check == "dbt project"]
    assert result.status is CheckStatus.ERROR
    for name in ("HOST", "USER", "PASSWORD", "DBNAME"):
        assert f"ANALYTICS_POSTGRES_{name}" in result.message
    assert "from a Secret" in result.remedy


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ({"AWS_SECRET_ACCESS_KEY": WRONG}, "403"),
        ({"ANALYTICS_POSTGRES_PASSWORD": WRONG}, "authentication failed"),
        ({}, "ersion"),
    ],
    ids=["key", "password", "version"],
)
def test_a_build_that_cannot_reach_its_ducklake_fails_with_the_reason(
    servers: Servers, own: str, harm: Mapping[str, str], told: str, tmp_path: Path
) -> None:
    project = copy_project(ProjectCopy(tmp_path, "bare"))
    profile = yaml.safe_load((PROJECT / "profiles.yml").read_text(encoding="utf-8"))["jaffle_shop"]
    (project.project / "profiles.yml").write_text(yaml.safe_dump({"bare": profile}), encoding="utf-8")
    # More rows than DuckLake inlines in its catalog.
    numbers = "\n".join(map(str, range(1000)))
    (project.project / "seeds" / "numbers.csv").write_text(f"id\n{numbers}\n", encoding="utf-8")
    assert project.run("prepare", ANALYTICS_DBT_TARGET="ducklake").returncode == 0
    if not harm:
        opened("ducklake").replace(Table("consumers", "t"), pd.DataFrame({"n": range(1000)}))
        _of_another_version(servers, own)
    done = project.run("build", ANALYTICS_DBT_TARGET="ducklake", **harm)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert told in said
    assert not [secret for secret in (WRONG, servers.postgres.password, servers.s3.secret) if secret in said]
    with dg.DagsterInstance.from_config(str(project.folder / "home")) as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE}
    assert servers.objects(own) == [] or not harm, "nothing half-built"
