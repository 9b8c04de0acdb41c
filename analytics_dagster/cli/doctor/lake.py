"""Whether a DuckLake can be reached and written, its catalog and its files: by a table that is made and taken back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_dagster.cli.doctor.finding import Finding, ill, well
from analytics_dagster.cli.doctor.warehouse import CHECK
from analytics_dagster.errors import NoWarehouseYetError
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse import attached, quoted

if TYPE_CHECKING:
    import duckdb

_PROBE = "analytics_dagster_probe"
_ROWS = 1000  # few rows go into the catalog and into no file
_IN_POSTGRES = "ducklake:postgres:"


def check_lake(target: Target, project_dir: Path) -> Iterator[Finding]:
    """Yield how it stands with a DuckLake; raises `WarehouseError`, with the remedy, where it can't be opened.

    One that is not there yet is not made: its data path would be settled by that, for ever.
    """
    is_there = _is_there(target, project_dir)
    beside = attached.connect_without_attached(target, project_dir)
    with attached.closed_on_error(beside, target):
        attached.list_files(beside, target)
        faults = [fault for catalog in catalogs(target.credentials) for fault in _faults(beside, catalog)]
    beside.close()
    files = ", ".join(attached.data_urls(target)) or "its data path"
    if faults:
        yield from faults
    elif is_there:
        _write(target, project_dir)
        yield well(CHECK, f"The DuckLake can be read and written: its catalog, and its files in {files}.")
    else:
        yield well(CHECK, f"The DuckLake is made by the first build: its catalog's server and {files} can be reached.")


def _is_there(target: Target, project_dir: Path) -> bool:
    try:
        attached.connect(target, project_dir, read_only=True).close()
    except NoWarehouseYetError:
        return False
    return True


def _write(target: Target, project_dir: Path) -> None:
    """Have DuckLake write a file, and delete it with the transaction."""
    connection = attached.connect(target, project_dir, read_only=False)
    with attached.closed_on_error(connection, target):
        connection.execute("begin")
        connection.execute(f"create schema {_PROBE}")
        connection.execute(f"create table {_PROBE}.probe as from range({_ROWS})")
        connection.execute("rollback")
    connection.close()


@dataclass(frozen=True)
class Catalog:
    """The catalog of a DuckLake in PostgreSQL: how DuckDB finds the server, and the schema.

    ``path`` may hold a password, where the profile has one in it.
    """

    path: str
    secret: str
    schema: str

    def attach(self, alias: str) -> str:
        """Return the statement that attaches its database."""
        secret = f", secret {quoted(self.secret)}" if self.secret else ""
        return f"attach {_text(self.path)} as {alias} (type postgres{secret})"


def catalogs(credentials: Mapping[str, Any]) -> list[Catalog]:
    """Return the catalogs in PostgreSQL that a profile names. Pure."""
    found = []
    for entry in credentials.get("attach") or []:
        path = str(entry.get("path", "")) if isinstance(entry, dict) else ""
        if path.lower().startswith(_IN_POSTGRES):
            options = {key.lower(): str(value) for key, value in (entry.get("options") or {}).items()}
            schema = options.get("metadata_schema", "public")
            found.append(Catalog(path[len(_IN_POSTGRES) :], options.get("meta_secret", ""), schema))
    return found


def _faults(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> Iterator[Finding]:
    """Yield what keeps a build from writing the catalog: a transaction that is taken back never gets to it."""
    connection.execute(catalog.attach(_PROBE))
    [row] = connection.execute(f"from postgres_query({_text(_PROBE)}, {_text(_question(catalog.schema))})").fetchall()
    connection.execute(f"detach {_PROBE}")
    user, database, is_read_only, is_there, makes_schemas, writes = row
    where = f"the schema {catalog.schema} of the catalog's database {database}"
    if is_read_only:
        remedy = "Name the server of the catalog that takes writes, not a standby."
        yield ill(CHECK, f"{user} can read {where}, but not write it: it is read-only.", remedy)
    elif not is_there and not makes_schemas:
        remedy = f"By who owns the database: grant create on database {quoted(database)} to {quoted(user)}"
        yield ill(CHECK, f"{user} may not make {where}.", remedy)
    elif is_there and not writes:
        schema = quoted(catalog.schema)
        remedy = (
            f"By who owns the schema: grant usage, create on schema {schema} to {quoted(user)}; "
            f"grant select, insert, update, delete on all tables in schema {schema} to {quoted(user)}"
        )
        yield ill(CHECK, f"{user} may not write {where}.", remedy)


def _question(schema: str) -> str:
    """Return what PostgreSQL is asked: who asks, where, and what that user may do."""
    named = f"(select oid from pg_namespace where nspname = {_text(schema)})"  # noqa: S608 - quoted
    lacks = " or ".join(f"not has_table_privilege(oid, '{right}')" for right in ("insert", "update", "delete"))
    return f"""
        select current_user::text as "user", current_database()::text as "database",
            current_setting('transaction_read_only') = 'on' as is_read_only, {named} is not null as is_there,
            has_database_privilege(current_database(), 'create') as makes_schemas,
            coalesce(has_schema_privilege({named}, 'create'), false)
            and not exists (select from pg_class where relnamespace = {named} and relkind = 'r' and ({lacks})) as writes
    """  # noqa: S608 - quoted


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
