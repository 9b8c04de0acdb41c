"""The dbt profile's chosen target, read and rendered without importing dbt, which is slow."""

from __future__ import annotations

import importlib.util
import posixpath
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml

from analytics_dagster.errors import ProfileError
from analytics_dagster.project.files import DbtProjectFiles
from analytics_dagster.project.jinja import YamlRenderer
from analytics_dagster.redaction import redact
from analytics_dagster.secret_values import remember_secrets, secrets_in
from analytics_dagster.settings import missing_variables, variable_name

PROFILES = "profiles.yml"
"""The name of the file of dbt's profiles."""

_VAR = re.compile(r"\bvar(?:\.has_var)?\(\s*['\"](?P<name>[^'\"]+)")
_ENV_VAR = re.compile(r"env_var\(\s*['\"](?P<name>[^'\"]+)['\"]\s*(?P<has_default>,)?")


@dataclass(frozen=True)
class Target:
    """One output of a dbt profile, rendered.

    ``credentials`` have dbt's own keys (`path`, `host`, …) and may hold secrets: never print them. ``variables`` are
    the dbt vars that the profile reads.
    """

    profile: str
    name: str
    adapter: str
    profiles_dir: Path
    credentials: Mapping[str, Any] = field(repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def database(self) -> str:
        """The database of its relations; empty if only the adapter knows it."""
        database = self._first("database", "dbname", "project", "catalog")
        if database or self.adapter != "duckdb":
            return database
        return duckdb_database(str(self.credentials.get("path") or ":memory:"))

    @property
    def schema(self) -> str:
        """The schema of its relations, unless a model's configuration sets another."""
        return self._first("schema", "dataset") or ("main" if self.adapter == "duckdb" else "")

    @property
    def properties(self) -> Mapping[str, Any]:
        """What Jinja in `dbt_project.yml` knows as `target`."""
        names = {"name": self.name, "target_name": self.name, "profile_name": self.profile, "type": self.adapter}
        return {"database": self.database, "schema": self.schema, **self.credentials, **names}

    def _first(self, *keys: str) -> str:
        """Return the first value that is set: adapters name the same thing differently."""
        return next((str(self.credentials[key]) for key in keys if self.credentials.get(key)), "")

    def redact(self, text: str) -> str:
        """Return the text without secrets, with every secret of the credentials replaced by asterisks."""
        return redact(text, secrets_in(self.credentials))


def duckdb_database(path: str) -> str:
    """Return the name of the database that DuckDB opens at a path, by dbt-duckdb's own rule."""
    if path == ":memory:":
        return "memory"
    parsed = urlparse(path)
    file = posixpath.basename(parsed.path)
    if parsed.scheme in {"md", "motherduck"}:
        return posixpath.splitext(file)[0] or "my_db"
    if parsed.scheme.lower() == "ducklake":
        return urlparse(posixpath.splitext(file)[0]).path
    return file.lstrip(".").split(".")[0]


def load_target(files: DbtProjectFiles) -> Target:
    """Read the profile and return its chosen target, rendered.

    Raises `ProfileError` if the file, the profile or the target does not exist (it lists those that do), if variables
    that the target needs are not set (it lists all of them), or if the target's adapter is not installed.
    """
    profiles_dir = find_profiles_dir(files)
    path = profiles_dir / PROFILES
    default = _read_profile(path, files.profile).get("target", "default")
    target = files.target or YamlRenderer(path, files.vars).render(default)
    return _require_adapter(read_target(profiles_dir, files.profile, str(target), files.vars))


def read_target(profiles_dir: Path, profile: str, name: str, variables: Mapping[str, Any]) -> Target:
    """Return a target, rendered: also one that `load_target` chose before, for callers that keep no secrets.

    ``variables`` are the location's dbt vars; those that the target names are sufficient.

    Raises `ProfileError` if it does not exist, or if a variable that it needs is not set.
    """
    path = profiles_dir / PROFILES
    outputs = _read_profile(path, profile)["outputs"]
    output = outputs.get(name)
    if not isinstance(output, dict):
        raise ProfileError(
            f"The profile {profile!r} in {path} has no target {name!r}; it has: {_listed(outputs)}.",
            remedy=f"Choose one with {variable_name('dbt_target')}. Its default is the profile's own `target` in the "
            "environment `dev`, else the environment's name.",
        )
    missing = missing_variables(_required_variables(output))
    if missing:
        raise ProfileError(
            f"The target {name!r} of the profile {profile!r} in {path} needs variables that are not set: "
            + ", ".join(missing)
            + ".",
            remedy="Set them in the environment (in production from a Secret) and start again.",
        )
    rendered = YamlRenderer(path, variables).render(output)
    remember_secrets(rendered)
    named = {match["name"] for match in _VAR.finditer(str(output))}
    used = {key: value for key, value in variables.items() if key in named}
    return Target(profile, name, str(rendered.get("type", "")), profiles_dir, rendered, used)


def _read_profile(path: Path, name: str) -> Mapping[str, Any]:
    profiles = read_profiles(path)
    profile = profiles.get(name)
    if not isinstance(profile, dict) or not isinstance(profile.get("outputs"), dict):
        raise ProfileError(
            f"{path} has no profile {name!r} with outputs; it has: {_listed(profiles)}.",
            remedy=f"Add it, or choose one with {variable_name('dbt_profile')}.",
        )
    return profile


def find_profiles_dir(files: DbtProjectFiles) -> Path:
    """Return the folder of `profiles.yml`; raises `ProfileError` that lists where it was looked for."""
    for folder in files.profiles_dirs:
        if (folder.expanduser() / PROFILES).is_file():
            return folder.expanduser().resolve()
    raise ProfileError(
        f"No profiles.yml for the dbt project {files.directory}: looked in "
        + ", ".join(str(folder) for folder in files.profiles_dirs)
        + ".",
        remedy=f"Write one, or set {variable_name('dbt_profiles_dir')} to its folder.",
    )


def read_profiles(path: Path) -> Mapping[str, Any]:
    """Return the profiles of a file, not rendered; raises `ProfileError` if it can't be read."""
    try:
        profiles = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path} can't be read: {error}", remedy="Correct the file.") from error
    except yaml.YAMLError as error:
        # The error's message quotes the line, which may hold a secret.
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" at line {mark.line + 1}"
        raise ProfileError(f"{path} can't be read: it is not valid YAML{where}.", remedy="Correct the file.") from None
    if not isinstance(profiles, dict):
        raise ProfileError(f"{path} has no profiles.", remedy="Add a profile.")
    return profiles


def _require_adapter(target: Target) -> Target:
    if not target.adapter:
        raise ProfileError(
            f"The target {target.name!r} of the profile {target.profile!r} in {target.profiles_dir} has no type.",
            remedy="Add one: `type: duckdb`, or the type of its warehouse.",
        )
    if not _is_installed(target.adapter):
        raise ProfileError(
            f"The target {target.name!r} of the profile {target.profile!r} is of type {target.adapter!r}, "
            "whose dbt adapter is not installed.",
            remedy=f"Install it: pip install dbt-{target.adapter}",
        )
    return target


def _is_installed(adapter: str) -> bool:
    # `find_spec` imports the parents of `dbt.adapters.…`, and with them dbt; so the folders are checked first.
    folders = (Path(folder, "dbt", "adapters", adapter) for folder in sys.path)
    return any(folder.is_dir() for folder in folders) or importlib.util.find_spec(f"dbt.adapters.{adapter}") is not None


def _required_variables(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [name for item in value.values() for name in _required_variables(item)]
    if isinstance(value, list):
        return [name for item in value for name in _required_variables(item)]
    if isinstance(value, str):
        return [match["name"] for match in _ENV_VAR.finditer(value) if not match["has_default"]]
    return []


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(str(name) for name in names if name != "config")) or "none"
