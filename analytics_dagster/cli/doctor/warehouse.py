"""Whether the warehouse can be reached and written: a DuckDB file by DuckDB, what has no check of its own by dbt."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, well
from analytics_dagster.errors import WarehouseError
from analytics_dagster.execution.dbt_resource import dbt_executable
from analytics_dagster.project.extensions import DIRECTORY
from analytics_dagster.project.profile import Target
from analytics_dagster.redaction import useful_lines
from analytics_dagster.warehouse import open_duckdb

CHECK = "warehouse"
EXTENSIONS = "DuckDB extensions"

_PATIENCE = 2.0  # seconds, for a DuckDB file that another process holds
_LONGEST = 120.0  # seconds, for dbt to connect
_ANSWER = re.compile(r"^analytics_dagster_probe (\S+)$", re.MULTILINE)
_SCHEMES = {
    "ducklake": "ducklake",
    "postgres": "postgres_scanner",
    "s3": "httpfs",
    "https": "httpfs",
    "md": "motherduck",
}
_SECRETS = {"s3": "httpfs", "gcs": "httpfs", "r2": "httpfs", "azure": "azure", "postgres": "postgres_scanner"}


def check_file(path: Path) -> Iterator[Finding]:
    """Yield whether a DuckDB file can be written: by a table that is made and never committed."""
    if not path.exists():
        folder = next(parent for parent in path.parents if parent.exists())
        if os.access(folder, os.W_OK):
            yield well(CHECK, f"{path} is made by the first build.")
        else:
            yield ill(CHECK, f"{path} is not there, and {folder} can't be written.", "Let this user write the folder.")
        return
    if not os.access(path, os.W_OK):
        yield ill(CHECK, f"{path} can't be written by this user.", "Let this user write it and its folder.")
        return
    try:
        connection = open_duckdb(path, timeout=_PATIENCE, read_only=False)
    except WarehouseError as error:
        held = "is held by" in error.problem
        say = doubt if held else ill
        yield say(CHECK, error.problem, "A run may be at work; look again later." if held else error.remedy)
        return
    with connection:
        connection.execute("begin")
        connection.execute("create schema analytics_dagster_probe")
        connection.execute("create table analytics_dagster_probe.probe as select 1 as id")
        connection.execute("rollback")
    yield well(CHECK, f"{path} ({path.stat().st_size / 1e6:,.1f} MB) can be read and written.")


@dataclass(frozen=True)
class Probed:
    """What dbt's adapter found; ``now`` is the warehouse's clock, where it tells its time zone."""

    findings: tuple[Finding, ...]
    now: datetime | None = None


def probe(target: Target, project_dir: Path) -> Probed:
    """Have dbt make a table in the target's schema and take it away again, as any build does; takes seconds."""
    where = f"The target {target.name} ({target.adapter})"
    with tempfile.TemporaryDirectory() as folder:
        _write_probe(Path(folder), target.profile)
        command = [dbt_executable(), "--quiet", "run-operation", "analytics_dagster_probe", "--project-dir", folder]
        command += ["--profiles-dir", str(target.profiles_dir), "--profile", target.profile, "--target", target.name]
        command += ["--target-path", f"{folder}/target", "--log-path", folder, "--no-use-colors"]
        try:
            done = subprocess.run(  # noqa: S603 - the dbt of our own environment
                # A relative path in the profile is relative to the project.
                [*command, "--no-send-anonymous-usage-stats"],
                cwd=project_dir,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                check=False,
                timeout=_LONGEST,
            )
        except subprocess.TimeoutExpired:
            late = ill(CHECK, f"{where} did not answer within {_LONGEST:g} s.", "See that this machine may reach it.")
            return Probed((late,))
    answer = _ANSWER.search(done.stdout)
    if done.returncode or answer is None:
        said = useful_lines(target.redact(done.stdout), most=4)
        remedy = f"Correct the profile in {target.profiles_dir}, the network or the rights; then `dbt debug` says more."
        return Probed((ill(CHECK, f"{where} can't be written: {said}", remedy),))
    moment = _moment(answer[1])
    reached = well(CHECK, f"{where} can be reached, and tables be made and dropped in its schema.")
    return Probed((reached,), moment)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _write_probe(folder: Path, profile: str) -> None:
    project = {"name": "analytics_dagster_probe", "version": "1.0", "profile": profile}
    (folder / "dbt_project.yml").write_text(json.dumps(project), encoding="utf-8")
    (folder / "macros").mkdir()
    macro = Path(__file__).with_name("probe.sql").read_text(encoding="utf-8")
    (folder / "macros" / "probe.sql").write_text(macro, encoding="utf-8")


def check_extensions(credentials: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield which of the extensions that a DuckDB target needs are not there yet, and how they come."""
    needed = needed_extensions(credentials)
    if not needed:
        return
    options: Mapping[str, Any] = credentials.get("config_options") or {}
    directory = str(options.get("extension_directory") or DIRECTORY)
    downloads = str(options.get("autoinstall_known_extensions", "true")).lower() != "false"
    there = _installed(directory)
    for name in [name for name in needed if name not in there]:
        package = f"duckdb-extension-{name.replace('_', '-')}"
        if _is_packaged(name):
            said = f"{name} is not in {directory} yet, and lies in a package."
            yield doubt(EXTENSIONS, said, "analytics-dagster prepare")
        elif downloads:
            remedy = f"On a closed network install it from the package registry: pip install {package}"
            yield doubt(EXTENSIONS, f"{name} is not in {directory}: DuckDB downloads it at the first build.", remedy)
        else:
            said = f"{name} is not in {directory}, and the target forbids to download it."
            yield ill(EXTENSIONS, said, f"pip install duckdb-extensions {package}, then analytics-dagster prepare")
    if there >= set(needed):
        yield well(EXTENSIONS, f"{', '.join(needed)}: in {directory}.")


def needed_extensions(credentials: Mapping[str, Any]) -> list[str]:
    """Return the extensions that a DuckDB target names, or needs for what it attaches; once each. Pure."""
    named = [entry.get("name") if isinstance(entry, dict) else entry for entry in credentials.get("extensions") or []]
    secrets = credentials.get("secrets") or []
    kinds = [str(secret.get("type", "")).lower() for secret in secrets if isinstance(secret, dict)]
    named += [_SECRETS[kind] for kind in kinds if kind in _SECRETS]
    attached = [entry for entry in credentials.get("attach") or [] if isinstance(entry, dict)]
    for entry in [credentials, *attached]:
        named += _of_path(str(entry.get("path", "")))
        named += ["ducklake"] * bool(entry.get("is_ducklake"))
        named += [_SCHEMES.get(str(entry.get("type", "")).lower(), "")] * (entry is not credentials)
    aliases = {"postgres": "postgres_scanner"}
    return list(dict.fromkeys(aliases.get(str(name), str(name)) for name in named if name))


def _of_path(path: str) -> list[str]:
    schemes = [part.partition("//")[0] for part in path.split(":")[:-1]]
    return [_SCHEMES[scheme] for scheme in schemes if scheme in _SCHEMES]


def _installed(directory: str) -> frozenset[str]:
    import duckdb  # 60 MB, for targets that need extensions

    with duckdb.connect(":memory:", config={"extension_directory": directory}) as connection:
        rows = connection.execute("select extension_name from duckdb_extensions() where installed").fetchall()
    return frozenset(str(name) for (name,) in rows)


def _is_packaged(name: str) -> bool:
    return importlib.util.find_spec(f"duckdb_extension_{name}") is not None
