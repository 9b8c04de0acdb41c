"""A stand-in for a dbt profile that can't be used here: enough to parse a project with; nothing is ever built by it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analytics_dagster.errors import ProfileError
from analytics_dagster.project.profile import PROFILES, Target, find_profiles_dir, read_profiles, render
from analytics_dagster.settings import Settings

FOLDER = "stand_in"
"""The folder, below the project's artifacts, of the stand-in and of what dbt writes with it."""


def make_stand_in(settings: Settings, profile_name: str, folder: Path) -> Target:
    """Write a profile that dbt can parse the project with into a folder, and return its target, a DuckDB in memory.

    The profile, the target and, where it can be read, the schema have the names that they really have, since a
    project's configuration may depend on them. ``profile_name`` is what `dbt_project.yml` names.
    """
    name = settings.dbt_profile or profile_name
    target, schema = _names(settings, name)
    credentials = {"type": "duckdb", "path": ":memory:", "schema": schema}
    content = json.dumps({name: {"target": target, "outputs": {target: credentials}}}, indent=2)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PROFILES
    if not path.is_file() or path.read_text(encoding="utf-8") != content:
        # At once, since another process may be reading it; JSON is YAML too.
        temporary = folder / f".{PROFILES}.{os.getpid()}"
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    return Target(profile=name, name=target, adapter="duckdb", profiles_dir=folder, credentials=credentials)


def _names(settings: Settings, profile: str) -> tuple[str, str]:
    """Return the target that is asked for and its schema, as far as the profile's file says so."""
    fallback = settings.target_name or settings.environment.value
    try:
        path = find_profiles_dir(settings) / PROFILES
        declared = _mapping(read_profiles(path).get(profile))
    except ProfileError:
        return fallback, "main"
    target = settings.target_name or _rendered(path, declared.get("target")) or fallback
    output = _mapping(_mapping(declared.get("outputs")).get(target))
    return target, _rendered(path, output.get("schema", output.get("dataset"))) or "main"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _rendered(path: Path, value: Any) -> str:
    try:
        rendered = render(path, value)
    except ProfileError:
        return ""
    return rendered if isinstance(rendered, str) else ""
