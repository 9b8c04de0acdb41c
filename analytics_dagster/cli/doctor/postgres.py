"""Whether a PostgreSQL warehouse can be reached and written: by what a build does there, all of it taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, well
from analytics_dagster.cli.doctor.warehouse import CHECK, Probed
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse import postgres, quoted

if TYPE_CHECKING:
    import psycopg2.extensions

_PROBE = "analytics_dagster_probe"
_PATIENCE = "20s"  # for one statement: somebody may have locked the catalog


class _Server(NamedTuple):
    """What the server says of itself, of who asks, and of the target's schema."""

    version: str
    user: str
    database: str
    now: datetime
    is_read_only: bool
    makes_schemas: bool
    has_schema: bool


_ASK = """
select current_setting('server_version'), current_user, current_database(), clock_timestamp(),
    current_setting('transaction_read_only') = 'on', has_database_privilege(current_database(), 'create'),
    exists (select from pg_namespace where nspname = %s)
"""


def check_postgres(target: Target) -> Probed:
    """Return how it stands with the server; raises `WarehouseError`, with the remedy, where it can't be reached."""
    with closing(postgres.connect(target, read_only=False)) as connection, connection.cursor() as cursor:
        # As the server has it for this user, and so for dbt.
        cursor.execute(f"reset default_transaction_read_only; set statement_timeout = '{_PATIENCE}'")
        cursor.execute(_ASK, [target.schema])
        [row] = cursor.fetchall()
        server = _Server(*row)
        return Probed(tuple(_findings(target, server, cursor)), server.now)


def _findings(target: Target, server: _Server, cursor: psycopg2.extensions.cursor) -> Iterator[Finding]:
    where = f"PostgreSQL {server.version} at {target.credentials.get('host')}, database {server.database}"
    if server.is_read_only:
        remedy = (
            "Name the server that takes writes, not a standby; or: "
            f"alter role {quoted(server.user)} set default_transaction_read_only = off"
        )
        yield ill(CHECK, f"{where}, can be read by {server.user} but not written.", remedy)
        return
    grant = f"grant create on database {quoted(server.database)} to {quoted(server.user)}"
    if not server.has_schema and not server.makes_schemas:
        said = f"{where}: the schema {target.schema} is not there, and {server.user} may not make it."
        yield ill(CHECK, said, f"By who owns the database: {grant}")
        return
    refused = _try_to_write(cursor, target.schema, make_schema=not server.has_schema)
    if refused:
        said = f"{where}: {server.user} can't make a table in the schema {target.schema}: {target.redact(refused)}"
        right = f"grant usage, create on schema {quoted(target.schema)} to {quoted(server.user)}"
        yield ill(CHECK, said, f"By who owns the schema: {right}")
        return
    if not server.makes_schemas:
        said = f"{server.user} may not make schemas in the database {server.database}: those of a build must be there."
        yield doubt(CHECK, said, f"By who owns the database: {grant}")
    yield well(CHECK, f"{where}, can be reached, and tables be made in the schema {target.schema}.")


def _try_to_write(cursor: psycopg2.extensions.cursor, schema: str, *, make_schema: bool) -> str:
    """Make a table and take it back; return what the server refused it with, or nothing."""
    import psycopg2  # comes with dbt-postgres, where that is used

    cursor.execute("begin")
    try:
        if make_schema:
            cursor.execute(f"create schema {quoted(schema)}")
        cursor.execute(f"create table {quoted(schema)}.{_PROBE} as select 1 as id")
    except psycopg2.Error as error:
        return str(error).strip()
    finally:
        cursor.execute("rollback")
    return ""
