"""dbt's manifest.json as a mapping, read once, with a clear error if it can't be used."""

from __future__ import annotations

from collections.abc import Mapping
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
