"""The record beside the manifest: of which files, target and selections it was made, so that a stale one is seen.

Of the profile it holds what dbt writes into a manifest: the target's name, its adapter, and the database and schema in
the names of relations. Neither the profile's file nor the variables that it alone reads are part of it, so that the
manifest that an image was built with is good in a pod, whose host, user and password are others. What remains is Jinja
that reads another property of `target` while dbt parses, such as `enabled: "{{ target.host == 'db' }}"`: a run's dbt
parses anew where such a property changed, but the location goes by the manifest. A project that does so is to be
prepared with the profile that it runs with.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import yaml

from analytics_dagster.project.manifest import MANIFEST
from analytics_dagster.project.parse import Selection
from analytics_dagster.project.profile import SECRET_NAME, Target
from analytics_dagster.settings import environment_variables

RECORD = "analytics_dagster.json"
_VERSION = 5
_READ_BY_DBT = (".sql", ".yml", ".yaml", ".py", ".md", ".csv")
_TOP_LEVEL = (
    "dbt_project.yml",
    "packages.yml",
    "dependencies.yml",
    "package-lock.yml",
    "selectors.yml",
    ".dbtignore",
)
_FOLDERS = {
    "model": "models",
    "seed": "seeds",
    "snapshot": "snapshots",
    "macro": "macros",
    "test": "tests",
    "analysis": "analyses",
    "function": "functions",
}
_COMPARED_WITH = ("manifest.json", "run_results.json", "sources.json")
_CHUNK = 1 << 20
_VARIABLE = re.compile(rb"env_var\(\s*['\"]([^'\"]+)")


@dataclass(frozen=True)
class Inputs:
    """What a manifest is made of: facts that must be equal, and files by (size in bytes, mtime in ns)."""

    facts: Mapping[str, str]
    files: Mapping[str, tuple[int, int]]
    packages: frozenset[str] = frozenset()

    def known_since(self, before: Inputs) -> Inputs:
        """Return these inputs without the files that were changed or added since: what dbt read of them is not known.

        Packages are not meant: dbt itself installs them.
        """
        unchanged = {
            path: stat for path, stat in self.files.items() if path in self.packages or before.files.get(path) == stat
        }
        return replace(self, files=unchanged)


@dataclass(frozen=True)
class Record:
    """What was true when the manifest was made; ``selected`` holds the unique ids of each selection, in order.

    ``manifest`` is the digest of the manifest itself.
    """

    inputs: Inputs
    digests: Mapping[str, str]
    variables: tuple[str, ...]
    environment: str
    selections: tuple[Selection, ...]
    selected: tuple[frozenset[str], ...]
    manifest: str

    def is_of(self, manifest: Path) -> bool:
        """Return whether this is, to the byte, the manifest that was made then."""
        return digest_of(manifest) == self.manifest

    def difference(self, now: Inputs, selections: Sequence[Selection]) -> str | None:
        """Say in which way the manifest no longer fits, or return None where it does."""
        for fact, value in now.facts.items():
            if self.inputs.facts.get(fact) != value:
                return f"{fact} changed"
        if _environment(self.variables) != self.environment:
            return f"one of the variables {', '.join(self.variables)} changed"
        for path in sorted(now.files.keys() ^ self.inputs.files.keys()):
            return f"{path} was {'added' if path in now.files else 'removed'}"
        for path, stat in now.files.items():
            if stat != self.inputs.files[path] and _digest(Path(path).read_bytes()) != self.digests[path]:
                return f"{path} changed"
        if any(selection not in self.selections for selection in selections):
            return "a schedule group's selection changed"
        return None


def read_inputs(
    project_dir: Path, configuration: Mapping[str, Any], target: Target, target_path: Path, variables: str
) -> Inputs:
    """Return what a manifest made now would be made of: looks at every file that dbt reads, opens few.

    ``variables`` are the dbt vars of the location, as a JSON object.
    """
    files = {path: _stat(path) for path in _files(project_dir, configuration, target_path)}
    facts = {
        "the target": f"{target.profile}.{target.name}",
        "the target's adapter": target.adapter,
        # A database may be named by a path, and that hold a password.
        "the target's database": _digest(target.database.encode()),
        "the target's schema": _digest(target.schema.encode()),
        "the dbt vars": _digest(variables.encode()),
        "the state to compare with": _state(project_dir),
        "dbt": ", ".join(f"{name} {_version(name)}" for name in ("dbt-core", f"dbt-{target.adapter}")),
    }
    installed = f"{(project_dir / _packages_dir(configuration)).resolve()}{os.sep}"
    lock = str(project_dir / "package-lock.yml")
    packages = frozenset(path for path in files if path.startswith(installed) or path == lock)
    return Inputs(facts, files, packages)


def read_record(target_path: Path) -> Record | None:
    """Return the record beside the manifest, or None where there is none that this version can read."""
    try:
        stored = orjson.loads((target_path / RECORD).read_bytes())
        if stored["version"] != _VERSION:
            return None
        files = {path: (size, mtime) for path, (size, mtime, _) in stored["files"].items()}
        return Record(
            inputs=Inputs(stored["facts"], files),
            digests={path: digest for path, (_, _, digest) in stored["files"].items()},
            variables=tuple(stored["variables"]),
            environment=stored["environment"],
            selections=tuple(Selection(**item["selection"]) for item in stored["selections"]),
            selected=tuple(frozenset(item["unique_ids"]) for item in stored["selections"]),
            manifest=stored["manifest"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        # Whatever is wrong with a record, what follows is the same: the manifest is made anew, or asked for.
        return None


def write_record(
    target_path: Path, inputs: Inputs, selections: Sequence[Selection], selected: Sequence[frozenset[str]]
) -> None:
    """Write the record, last of all, so that a preparation that was cut off leaves none that fits."""
    contents = {path: Path(path).read_bytes() for path in inputs.files}
    variables = _variables(contents.values())
    content = {
        "version": _VERSION,
        "facts": dict(inputs.facts),
        "files": {path: (*stat, _digest(contents[path])) for path, stat in inputs.files.items()},
        "manifest": digest_of(target_path / MANIFEST),
        "variables": variables,
        "environment": _environment(variables),
        "selections": [
            {"selection": asdict(selection), "unique_ids": sorted(unique_ids)}
            for selection, unique_ids in zip(selections, selected, strict=True)
        ],
    }
    temporary = target_path / f".{RECORD}.{os.getpid()}"
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(target_path / RECORD)


def _files(project_dir: Path, configuration: Mapping[str, Any], target_path: Path) -> Iterator[str]:
    """Yield the files that dbt reads: as text, since thousands of paths as objects take as long as a parse."""
    yield from (str(path) for path in (project_dir / name for name in _TOP_LEVEL) if path.is_file())
    folders_of = {f"{kind}-paths": [folder] for kind, folder in _FOLDERS.items()}
    named = [path for key, default in folders_of.items() for path in configuration.get(key) or default]
    named += [*(configuration.get("docs-paths") or []), _packages_dir(configuration)]
    artifacts = str(target_path)
    for root in sorted({(project_dir / path).resolve() for path in named if "{" not in str(path)}):
        for folder, folders, names in os.walk(root, followlinks=True):
            folders[:] = [
                name for name in folders if not name.startswith(".") and f"{folder}{os.sep}{name}" != artifacts
            ]
            yield from (f"{folder}{os.sep}{name}" for name in names if name.endswith(_READ_BY_DBT))


def _state(project_dir: Path) -> str:
    """Return what tells the artifacts apart that dbt's `state:` and `result:` compare with; empty without any."""
    folder = environment_variables().get("DBT_STATE")
    artifacts = [project_dir / folder / name for name in _COMPARED_WITH] if folder else []
    return ", ".join(f"{path} {_stat(path)}" for path in artifacts if path.is_file())


def _packages_dir(configuration: Mapping[str, Any]) -> str:
    return str(configuration.get("packages-install-path") or "dbt_packages")


def _stat(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - of thousands of files, whose paths are text
    return status.st_size, status.st_mtime_ns


def digest_of(path: Path) -> str:
    """Return the digest of a file's content; empty where there is none."""
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
    """Return the environment variables that files name, without those that sound secret: digests can be guessed at."""
    names = {name.decode() for content in contents for name in _VARIABLE.findall(content)}
    return sorted(name for name in names if not SECRET_NAME.search(name))


def _environment(variables: Iterable[str]) -> str:
    values = environment_variables()
    return _digest(json.dumps({name: values.get(name) for name in variables}).encode())


def read_configuration(path: Path) -> Mapping[str, Any]:
    """Return what `dbt_project.yml` holds; raises OSError or yaml.YAMLError."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}
