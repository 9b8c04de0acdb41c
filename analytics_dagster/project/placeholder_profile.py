"""A placeholder for a dbt profile that can't be used: dbt can parse the project with it, but never builds with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analytics_dagster.errors import ProfileError
from analytics_dagster.project.files import DbtProjectFiles
from analytics_dagster.project.jinja import YamlRenderer
from analytics_dagster.project.profile import PROFILES, Target, find_profiles_dir, read_profiles

FOLDER = "placeholder_profile"
"""The folder, below the project's artifacts, of the placeholder and of what dbt writes with it."""


def write_placeholder(files: DbtProjectFiles) -> tuple[DbtProjectFiles, Target]:
    """Write a profile whose target is a DuckDB in memory; return this target, and the files with a folder of their own.

    The profile, the target and, if it can be read, the schema keep their real names, since a project's configuration
    may depend on them.
    """
    folder = files.artifacts / FOLDER
    target, schema = _real_names(files)
    credentials = {"type": "duckdb", "path": ":memory:", "schema": schema}
    content = json.dumps({files.profile: {"target": target, "outputs": {target: credentials}}}, indent=2)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PROFILES
    if not path.is_file() or path.read_text(encoding="utf-8") != content:
        # Replaced atomically, since another process may read it. JSON is valid YAML.
        temporary = folder / f".{PROFILES}.{os.getpid()}"
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    return replace(files, artifacts=folder), Target(files.profile, target, "duckdb", folder, credentials)


def _real_names(files: DbtProjectFiles) -> tuple[str, str]:
    """Return the names of the chosen target and of its schema, as far as the profile can be read."""
    fallback = files.target or files.environment.value
    try:
        path = find_profiles_dir(files) / PROFILES
        profile = _mapping(read_profiles(path).get(files.profile))
    except ProfileError:
        return fallback, "main"
    renderer = YamlRenderer(path, files.vars)
    target = files.target or _rendered(renderer, profile.get("target")) or fallback
    output = _mapping(_mapping(profile.get("outputs")).get(target))
    return target, _rendered(renderer, output.get("schema", output.get("dataset"))) or "main"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _rendered(renderer: YamlRenderer, value: Any) -> str:
    try:
        rendered = renderer.render(value)
    except ProfileError:
        return ""
    return rendered if isinstance(rendered, str) else ""
