"""dbt's manifest.json as a mapping, read once, with a clear error if it can't be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from analytics_dagster.errors import ProjectError

MANIFEST = "manifest.json"
"""The name of the file."""

SUPPORTED_SCHEMA = "https://schemas.getdbt.com/dbt/manifest/v12.json"
"""The manifest version that dbt 1.8 to 1.11 write."""


def read_manifest(path: Path, *, remedy: str) -> Mapping[str, Any]:
    """Return the manifest; raises `ProjectError` if it is missing, empty, truncated or of another version."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ProjectError(f"There is no manifest at {path}.", remedy=remedy) from None
    except OSError as error:
        raise ProjectError(f"The manifest {path} can't be read: {error}", remedy=remedy) from error
    if not content.strip():
        raise ProjectError(f"The manifest {path} is empty.", remedy=remedy)
    try:
        manifest: Any = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ProjectError(f"The manifest {path} is truncated or not JSON: {error}", remedy=remedy) from None
    metadata = manifest.get("metadata") if isinstance(manifest, dict) else None
    if not isinstance(metadata, dict) or "nodes" not in manifest:
        raise ProjectError(f"{path} is JSON, but not a dbt manifest.", remedy=remedy)
    version = metadata.get("dbt_schema_version")
    if version != SUPPORTED_SCHEMA:
        raise ProjectError(
            f"The manifest {path} has version {version} (dbt {metadata.get('dbt_version')}); "
            f"this location reads {SUPPORTED_SCHEMA}.",
            remedy=remedy,
        )
    return dict(manifest)


class LazyManifest(Mapping[str, Any]):
    """A manifest that is read at the first lookup; raises `ProjectError` only then."""

    def __init__(self, path: Path, *, remedy: str) -> None:
        self._path = path
        self._remedy = remedy

    def __getitem__(self, key: str) -> Any:
        """Return one part of the manifest."""
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the parts."""
        return iter(self._content)

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self._content)

    @cached_property
    def _content(self) -> Mapping[str, Any]:
        return read_manifest(self._path, remedy=self._remedy)
