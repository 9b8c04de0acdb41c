"""Opens DuckDB as dbt-duckdb does: with the extensions, secrets, settings and attached databases of a profile.

Reason: Python assets must open the database that dbt opens. dbt-duckdb's classes for this are no public API.
Cost of the public alternative (SQL from the documented fields of a profile): `plugins`, `filesystems`, `retries` and
`use_credential_provider` have no effect.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_dagster.dagster_internals.guard import available, require_member

if TYPE_CHECKING:
    import duckdb

Profile = Mapping[str, Any]
"""The credentials of a profile's target, by dbt's own keys; may hold secrets."""


def is_file_path(path: Any) -> bool:
    """Return whether dbt-duckdb takes the `path` of a target or of an attached database for a file's: no `:` in it."""
    return isinstance(path, str) and ":" not in path


def open_profile(
    profile: Profile, project_dir: Path, *, read_only: bool, attach: bool = True
) -> duckdb.DuckDBPyConnection:
    """Open DuckDB by a profile; ``read_only`` is about the attached databases, without ``attach`` there are none.

    Paths are relative to ``project_dir``, where dbt runs. Raises `duckdb.Error`.
    """
    # dbt-duckdb removes secrets and options from the profile.
    content = copy.deepcopy({key: value for key, value in profile.items() if key != "threads"})
    if not attach:
        # `database` may name an attached one, which dbt-duckdb requires to be in `attach`.
        content = {key: value for key, value in content.items() if key not in {"attach", "database"}}
    opened = available("dbt.adapters.duckdb.environments.Environment", _probe, "opening DuckDB by the profile's fields")
    return (opened or _open_by_fields)(content, project_dir, read_only)


def correct_attachments(attachments: list[Any] | None, project_dir: Path, *, read_only: bool) -> None:
    """Make the paths of dbt-duckdb's attached databases absolute; if ``read_only``, attach them only for reading."""
    for attachment in attachments or []:
        if is_file_path(attachment.path):
            attachment.path = str(project_dir / attachment.path)
        if read_only:
            attachment.read_only = True
            options = attachment.options or {}
            attachment.options = {key: value for key, value in options.items() if key.lower() != "read_only"}


_Open = Callable[[dict[str, Any], Path, bool], "duckdb.DuckDBPyConnection"]


def _probe() -> _Open:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials  # takes a second
    from dbt.adapters.duckdb.environments import Environment

    _ = DuckDBCredentials.from_dict
    require_member(Environment, "initialize_db", "creds")
    require_member(Environment, "initialize_cursor", "creds", "cursor")

    def open_by_dbt(content: dict[str, Any], project_dir: Path, read_only: bool) -> duckdb.DuckDBPyConnection:  # noqa: FBT001 - one signature
        credentials: Any = DuckDBCredentials.from_dict({"schema": "main", **content})
        correct_attachments(credentials.attach, project_dir, read_only=read_only)
        connection: duckdb.DuckDBPyConnection = Environment.initialize_db(credentials)
        _configure(connection, lambda: Environment.initialize_cursor(credentials, connection))
        return connection

    return open_by_dbt


def _open_by_fields(content: dict[str, Any], project_dir: Path, read_only: bool) -> duckdb.DuckDBPyConnection:  # noqa: FBT001 - one signature
    import duckdb  # 60 MB that a process which only loads the definitions does not need

    connection = duckdb.connect(content.get("path") or ":memory:", config=content.get("config_options") or {})

    def run_statements() -> None:
        for statement in _statements(content, project_dir, read_only=read_only):
            connection.execute(statement)

    _configure(connection, run_statements)
    return connection


def _configure(connection: duckdb.DuckDBPyConnection, configure: Callable[[], object]) -> None:
    try:
        configure()
    except BaseException:
        connection.close()
        raise


def _statements(content: Profile, project_dir: Path, *, read_only: bool) -> Iterator[str]:
    for extension in content.get("extensions") or []:
        name, origin = (extension, "") if isinstance(extension, str) else (extension["name"], extension["repo"])
        yield f"install {name}" + (f" from {origin}" if origin else "")
        yield f"load {name}"
    for number, secret in enumerate(content.get("secrets") or [], start=1):
        fields = {key: value for key, value in secret.items() if value is not None}
        persistent = "persistent " if fields.pop("persistent", False) else ""
        name = fields.pop("name", f"_dbt_secret_{number}")
        options = ", ".join(f"{key} {_literal(value)}" for key, value in fields.items())
        yield f"create or replace {persistent}secret {name} ({options})"
    for entry in content.get("attach") or []:
        path = str(project_dir / entry["path"]) if is_file_path(entry["path"]) else entry["path"]
        named = {**(entry.get("options") or {}), **{key: entry.get(key) for key in ("type", "secret", "read_only")}}
        given = {key.lower(): value for key, value in named.items() if value not in (None, False)}
        chosen = {**given, "read_only": True} if read_only else given
        options = ", ".join(key if value is True else f"{key} {_literal(value)}" for key, value in chosen.items())
        alias = f" as {entry['alias']}" if entry.get("alias") else ""
        yield f"attach if not exists {_literal(path)}{alias}" + (f" ({options})" if options else "")
    for key, value in (content.get("settings") or {}).items():
        yield f"set {key} = {_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"map {{{', '.join(f'{_literal(key)}: {_literal(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return "'" + str(value).replace("'", "''") + "'"
