"""DuckDB's extensions out of packages of the registry, put where DuckDB looks for them: nothing is downloaded.

The build of an image has no profile: it runs `python -m analytics_dagster.project.extensions DIRECTORY NAME...`.
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
    absent = [name for name in names if not _is_there(name, directory) and _has_package(name)]
    if not absent:
        return
    import duckdb  # 60 MB, and only the first time
    from duckdb_extensions import import_extension

    with duckdb.connect(config={"extension_directory": directory}) as connection:
        try:
            for name in absent:
                import_extension(name, con=connection)
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


def _has_package(name: str) -> bool:
    return all(importlib.util.find_spec(one) for one in ("duckdb_extensions", f"duckdb_extension_{name}"))


if __name__ == "__main__":
    ensure_extensions(sys.argv[2:], sys.argv[1])
