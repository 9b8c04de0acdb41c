"""Copies DuckDB's extensions from their Python packages to where DuckDB loads them from: nothing is downloaded.

An image build has no profile: it runs `python -m analytics_dagster.project.extensions DIRECTORY NAME...`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analytics_dagster.errors import ProfileError
from analytics_dagster.project.profile import Target

DIRECTORY = "~/.duckdb/extensions"
"""DuckDB's default folder of extensions."""


def ensure_target_extensions(target: Target) -> None:
    """Install the extensions that a DuckDB target names; see `ensure_extensions`."""
    if target.adapter != "duckdb":
        return
    options: Mapping[str, Any] = target.credentials.get("config_options") or {}
    named = [one for one in target.credentials.get("extensions") or [] if isinstance(one, str)]
    ensure_extensions(named, str(options.get("extension_directory") or DIRECTORY))


def ensure_extensions(names: Sequence[str], directory: str) -> None:
    """Copy extensions from their packages into the folder from which DuckDB loads them, unless they are there.

    An extension without a package is left to DuckDB, which may download it. Raises `ProfileError` if a package has
    another version than DuckDB, or if the folder can't be written.
    """
    missing = [name for name in names if not _is_installed(name, directory) and _has_package(name)]
    if not missing:
        return
    import duckdb  # 60 MB, needed only once
    from duckdb_extensions import import_extension

    with duckdb.connect(config={"extension_directory": directory}) as connection:
        try:
            for name in missing:
                import_extension(name, con=connection)
        except duckdb.Error as error:
            raise ProfileError(
                f"DuckDB's extension {name} can't be installed into {directory}: {error}",
                remedy=f"Install the package of DuckDB's version, {duckdb.__version__}: "
                f"pip install 'duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}'; "
                "and make sure that the folder is writable.",
            ) from None


def _is_installed(name: str, directory: str) -> bool:
    version = importlib.metadata.version("duckdb")
    return any(Path(directory).expanduser().glob(f"v{version}/*/{name}.duckdb_extension"))


def _has_package(name: str) -> bool:
    return all(importlib.util.find_spec(one) for one in ("duckdb_extensions", f"duckdb_extension_{name}"))


if __name__ == "__main__":
    ensure_extensions(sys.argv[2:], sys.argv[1])
