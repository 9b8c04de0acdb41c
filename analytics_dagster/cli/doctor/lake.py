"""Checks that a DuckLake's catalog and files can be read and written, with a table that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_dagster.cli.doctor.result import CheckResult
from analytics_dagster.cli.doctor.warehouse import CHECK
from analytics_dagster.errors import NoWarehouseYetError
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse import attached, quoted

if TYPE_CHECKING:
    import duckdb

_PROBE = "analytics_dagster_probe"
_ROWS = 1000  # DuckLake stores fewer rows in the catalog and not in a file
_IN_POSTGRES = "ducklake:postgres:"


def check_lake(target: Target, project_dir: Path) -> Iterator[CheckResult]:
    """Yield whether a DuckLake can be used; raises `WarehouseError` with a remedy if it can't be opened.

    A missing DuckLake is not created: that would fix its data path permanently.
    """
    exists = _exists(target, project_dir)
    beside = attached.connect_without_attached(target, project_dir)
    with attached.closed_on_error(beside, target):
        attached.list_files(beside, target)
        errors = [error for catalog in catalogs(target.credentials) for error in _missing_rights(beside, catalog)]
    beside.close()
    files = ", ".join(attached.data_urls(target)) or "its data path"
    if errors:
        yield from errors
    elif exists:
        _write(target, project_dir)
        yield CHECK.ok(f"The catalog of the DuckLake and its files in {files} can be read and written.")
    else:
        yield CHECK.ok(f"The first build creates the DuckLake; its catalog's server and {files} can be reached.")


def _exists(target: Target, project_dir: Path) -> bool:
    try:
        attached.connect(target, project_dir, read_only=True).close()
    except NoWarehouseYetError:
        return False
    return True


def _write(target: Target, project_dir: Path) -> None:
    """Let DuckLake write a file, which is deleted with the transaction."""
    connection = attached.connect(target, project_dir, read_only=False)
    with attached.closed_on_error(connection, target):
        connection.execute("begin")
        connection.execute(f"create schema {_PROBE}")
        connection.execute(f"create table {_PROBE}.probe as from range({_ROWS})")
        connection.execute("rollback")
    connection.close()


@dataclass(frozen=True)
class LakeCatalog:
    """The catalog of a DuckLake in PostgreSQL.

    ``path`` and ``secret`` are what DuckDB attaches. ``path`` may contain a password of the profile.
    """

    path: str
    secret: str
    schema: str

    def attach(self, alias: str) -> str:
        """Return the statement that attaches its database."""
        secret = f", secret {quoted(self.secret)}" if self.secret else ""
        return f"attach {_text(self.path)} as {alias} (type postgres{secret})"


def catalogs(credentials: Mapping[str, Any]) -> list[LakeCatalog]:
    """Return the PostgreSQL catalogs of a profile. Pure."""
    found = []
    for entry in credentials.get("attach") or []:
        path = str(entry.get("path", "")) if isinstance(entry, dict) else ""
        if path.lower().startswith(_IN_POSTGRES):
            options = {key.lower(): str(value) for key, value in (entry.get("options") or {}).items()}
            schema = options.get("metadata_schema", "public")
            found.append(LakeCatalog(path[len(_IN_POSTGRES) :], options.get("meta_secret", ""), schema))
    return found


def _missing_rights(connection: duckdb.DuckDBPyConnection, catalog: LakeCatalog) -> Iterator[CheckResult]:
    """Yield the rights that a build lacks in the catalog. A transaction that is rolled back never writes there."""
    connection.execute(catalog.attach(_PROBE))
    [row] = connection.execute(
        f"from postgres_query({_text(_PROBE)}, {_text(_rights_query(catalog.schema))})"
    ).fetchall()
    connection.execute(f"detach {_PROBE}")
    user, database, is_read_only, exists, creates_schemas, writes = row
    where = f"the schema {catalog.schema} of the catalog's database {database}"
    if is_read_only:
        remedy = "Use the catalog's primary server, not a standby."
        yield CHECK.error(f"{user} can read {where} but not write it: the server is read-only.", remedy)
    elif not exists and not creates_schemas:
        remedy = f"As the owner of the database: grant create on database {quoted(database)} to {quoted(user)}"
        yield CHECK.error(f"{user} may not create {where}.", remedy)
    elif exists and not writes:
        schema = quoted(catalog.schema)
        remedy = (
            f"As the owner of the schema: grant usage, create on schema {schema} to {quoted(user)}; "
            f"grant select, insert, update, delete on all tables in schema {schema} to {quoted(user)}"
        )
        yield CHECK.error(f"{user} may not write {where}.", remedy)


def _rights_query(schema: str) -> str:
    """Return the query for the current user and database, and what the user may do there."""
    named = f"(select oid from pg_namespace where nspname = {_text(schema)})"  # noqa: S608 - quoted
    lacks = " or ".join(f"not has_table_privilege(oid, '{right}')" for right in ("insert", "update", "delete"))
    return f"""
        select current_user::text as "user", current_database()::text as "database",
            current_setting('transaction_read_only') = 'on' as is_read_only, {named} is not null as schema_exists,
            has_database_privilege(current_database(), 'create') as creates_schemas,
            coalesce(has_schema_privilege({named}, 'create'), false)
            and not exists (select from pg_class where relnamespace = {named} and relkind = 'r' and ({lacks})) as writes
    """  # noqa: S608 - quoted


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
