"""DuckDB's extensions out of packages of the registry, put where DuckDB looks for them: nothing is downloaded."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analytics_dagster.errors import ProfileError
from analytics_dagster.profile import Target

DIRECTORY = "~/.duckdb/extensions"
"""DuckDB's own choice."""


def ensure_target_extensions(target: Target) -> None:
    """Put the extensions that a DuckDB target names in place, of which there are packages; see `ensure_extensions`."""
    if target.adapter != "duckdb":
        return
    options: Mapping[str, Any] = target.credentials.get("config_options") or {}
    named = [one for one in target.credentials.get("extensions") or [] if isinstance(one, str)]
    ensure_extensions(named, str(options.get("extension_directory") or DIRECTORY))


def ensure_extensions(names: Sequence[str], directory: str) -> None:
    """Copy the extensions out of their packages into the folder from which DuckDB loads them, unless they are there.

    One that has no package here is left to DuckDB, which may download it. Raises `ProfileError` where a package is of
    another version than DuckDB, or the folder can't be written.
    """
    absent = [name for name in names if not _is_there(name, directory) and _package(name) is not None]
    if not absent:
        return
    import duckdb  # noqa: PLC0415 - 60 MB, and only the first time

    with duckdb.connect(config={"extension_directory": directory}) as connection:
        try:
            for name in absent:
                connection.install_extension(str(_file(name)))
        except duckdb.Error as error:
            raise ProfileError(
                f"DuckDB's extension {name} can't be installed into {directory}: {error}",
                remedy=f"Install the package of DuckDB's own version, {duckdb.__version__}: "
                f"pip install 'duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}'; "
                "and see that the folder can be written.",
            ) from None


def _is_there(name: str, directory: str) -> bool:
    version = importlib.metadata.version("duckdb")
    return any(Path(directory).expanduser().glob(f"v{version}/*/{name}.duckdb_extension"))


def _package(name: str) -> Path | None:
    """Return the folder of an extension's package, if it is installed."""
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    return None if found is None or found.origin is None else Path(found.origin).parent


def _file(name: str) -> Path:
    folder = _package(name)
    assert folder is not None  # noqa: S101 - asked before
    return next(folder.rglob(f"{name}.duckdb_extension*"))
