"""The record beside the manifest: the files, target and selections that it was made of, to detect a stale manifest.

Of the profile it records what dbt writes into a manifest: the target's name, its adapter, and the database and schema
of relations. It records neither the profile's file nor the variables that only this file reads, so the manifest of an
image is up to date in a pod with another host, user and password. One case is not covered: Jinja that reads another
property of `target` at parse time, such as `enabled: "{{ target.host == 'db' }}"`. If such a property changes, a run's
dbt parses again but the location still uses the manifest. Prepare such a project with the profile that it runs with.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from analytics_dagster.project.files import PROJECT, DbtProjectFiles
from analytics_dagster.project.manifest import MANIFEST
from analytics_dagster.project.parse import Selection
from analytics_dagster.project.profile import Target
from analytics_dagster.secret_values import is_secret_name
from analytics_dagster.settings import environment_variables

RECORD = "analytics_dagster.json"
_VERSION = 7
_READ_BY_DBT = (".sql", ".yml", ".yaml", ".py", ".md", ".csv")
_TOP_LEVEL = (
    PROJECT,
    "packages.yml",
    "dependencies.yml",
    "package-lock.yml",
    "selectors.yml",
    ".dbtignore",
)
_FOLDERS: Mapping[str, Sequence[str]] = {
    "model-paths": ["models"],
    "seed-paths": ["seeds"],
    "snapshot-paths": ["snapshots"],
    "macro-paths": ["macros"],
    "test-paths": ["tests"],
    "analysis-paths": ["analyses"],
    "function-paths": ["functions"],
    "docs-paths": [],
    # Deprecated, but still read by dbt.
    "source-paths": [],
    "data-paths": [],
}
"""The keys of `dbt_project.yml` with folders that dbt reads, and dbt's defaults."""
_COMPARED_WITH = ("manifest.json", "run_results.json", "sources.json")
_CHUNK = 1 << 20
_VARIABLE = re.compile(rb"env_var\(\s*['\"]([^'\"]+)")


@dataclass(frozen=True)
class ParseInputs:
    """What a manifest is made of: facts that must be equal, and files with [size in bytes, mtime in ns].

    ``packages`` are those of the files that dbt itself installs.
    """

    facts: Mapping[str, str]
    files: Mapping[str, Sequence[int]]
    packages: frozenset[str] = frozenset()

    def without_changes_since(self, before: ParseInputs) -> ParseInputs:
        """Return the inputs without files that changed or were added since: nobody knows which content dbt parsed."""
        unchanged = {
            path: stat for path, stat in self.files.items() if path in self.packages or before.files.get(path) == stat
        }
        return replace(self, files=unchanged)


@dataclass(frozen=True)
class ParseRecord:
    """What a manifest was made of; ``selected`` has the unique ids by the key of each selection.

    ``digests`` are those of the files, ``variables`` the environment variables that the files name, ``environment``
    the digest of their values, and ``manifest`` the digest of the manifest.
    """

    inputs: ParseInputs
    digests: Mapping[str, str]
    variables: Sequence[str]
    environment: str
    selected: Mapping[str, Sequence[str]]
    manifest: str

    def is_of(self, manifest: Path) -> bool:
        """Return whether this is, to the byte, the manifest of this record."""
        return digest_of(manifest) == self.manifest

    def selected_by(self, selection: Selection) -> frozenset[str]:
        """Return the unique ids of a selection that was recorded."""
        return frozenset(self.selected[_key(selection)])

    def difference(self, now: ParseInputs, selections: Sequence[Selection]) -> str | None:
        """Return the first reason why the manifest is stale, or None if it is up to date."""
        for fact, value in now.facts.items():
            if self.inputs.facts.get(fact) != value:
                return f"{fact} changed"
        if _environment(self.variables) != self.environment:
            return f"one of the environment variables {', '.join(self.variables)} changed"
        for path in sorted(now.files.keys() ^ self.inputs.files.keys()):
            return f"{path} was {'added' if path in now.files else 'removed'}"
        for path, stat in now.files.items():
            if stat != self.inputs.files[path] and _digest(Path(path).read_bytes()) != self.digests[path]:
                return f"{path} changed"
        if any(_key(selection) not in self.selected for selection in selections):
            return "a schedule group's selection changed"
        return None


def read_inputs(files: DbtProjectFiles, target: Target) -> ParseInputs:
    """Return the inputs of a manifest that would be made now: stats every file that dbt reads, opens few of them."""
    stats = {path: _stat(path) for path in _paths(files, target)}
    facts = {
        "the target": f"{target.profile}.{target.name}",
        "the target's adapter": target.adapter,
        # As a digest: a database may be a path that holds a password.
        "the target's database": _digest(target.database.encode()),
        "the target's schema": _digest(target.schema.encode()),
        "the dbt vars": _digest(files.variables.encode()),
        "the state to compare with": _state(files.directory),
        "dbt": ", ".join(f"{name} {_version(name)}" for name in ("dbt-core", f"dbt-{target.adapter}")),
    }
    installed = f"{files.packages_dir(target.properties).resolve()}{os.sep}"
    lock = str(files.directory / "package-lock.yml")
    return ParseInputs(facts, stats, frozenset(path for path in stats if path.startswith(installed) or path == lock))


def read_record(artifacts: Path) -> ParseRecord | None:
    """Return the record beside the manifest, or None if there is none that this version can read."""
    try:
        stored = orjson.loads((artifacts / RECORD).read_bytes())
        if stored.pop("version") != _VERSION:
            return None
        stored["inputs"] = ParseInputs(**stored["inputs"])
        return ParseRecord(**stored)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # A record that can't be read is treated like a missing one: the manifest is made again.
        return None


def write_record(
    artifacts: Path, inputs: ParseInputs, selections: Sequence[Selection], selected: Sequence[frozenset[str]]
) -> None:
    """Write the record: call it last, so that an interrupted preparation leaves no matching record."""
    contents = {path: Path(path).read_bytes() for path in inputs.files}
    variables = _variables(contents.values())
    record = ParseRecord(
        inputs=replace(inputs, packages=frozenset()),
        digests={path: _digest(content) for path, content in contents.items()},
        variables=variables,
        environment=_environment(variables),
        selected={_key(one): sorted(unique_ids) for one, unique_ids in zip(selections, selected, strict=True)},
        manifest=digest_of(artifacts / MANIFEST),
    )
    temporary = artifacts / f".{RECORD}.{os.getpid()}"
    temporary.write_bytes(orjson.dumps({"version": _VERSION, **vars(record)}, default=sorted))
    temporary.replace(artifacts / RECORD)


def _paths(files: DbtProjectFiles, target: Target) -> Iterator[str]:
    """Yield the files that dbt reads: as `str`, since thousands of `Path` objects take as long as a parse."""
    yield from (str(path) for path in (files.directory / name for name in _TOP_LEVEL) if path.is_file())
    properties = target.properties
    named = [path for key, folders in _FOLDERS.items() for path in _as_list(files.rendered(key, properties) or folders)]
    named.append(files.packages_dir(properties))
    artifacts = str(files.artifacts)
    for root in sorted({(files.directory / path).resolve() for path in named}):
        for folder, folders, names in os.walk(root, followlinks=True):
            folders[:] = [
                name for name in folders if not name.startswith(".") and f"{folder}{os.sep}{name}" != artifacts
            ]
            yield from (f"{folder}{os.sep}{name}" for name in names if name.endswith(_READ_BY_DBT))


def _key(selection: Selection) -> str:
    """Return the key of a selection in the record; of its vars, which may be secret, it has only a digest."""
    variables = _digest(selection.variables.encode()) if selection.variables else ""
    return " ".join([*selection.arguments, variables, *(["changed"] if selection.changed else [])])


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _state(project_dir: Path) -> str:
    """Identify the artifacts that dbt's `state:` and `result:` compare with; empty if there are none."""
    folder = environment_variables().get("DBT_STATE")
    artifacts = [project_dir / folder / name for name in _COMPARED_WITH] if folder else []
    return ", ".join(f"{path} {_stat(path)}" for path in artifacts if path.is_file())


def _stat(path: str | Path) -> Sequence[int]:
    status = os.stat(path)  # noqa: PTH116 - thousands of paths, as `str`
    return [status.st_size, status.st_mtime_ns]


def digest_of(path: Path) -> str:
    """Return the digest of a file's content; empty if there is no file."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    except FileNotFoundError:
        return ""
    return found.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _variables(contents: Iterable[bytes]) -> list[str]:
    """Return the environment variables that files name, without secret ones: a digest allows guessing the value."""
    names = {name.decode() for content in contents for name in _VARIABLE.findall(content)}
    return sorted(name for name in names if not is_secret_name(name))


def _environment(variables: Iterable[str]) -> str:
    values = environment_variables()
    return _digest(json.dumps({name: values.get(name) for name in variables}).encode())
