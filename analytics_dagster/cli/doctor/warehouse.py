"""Checks a DuckDB file and its extensions, and any other warehouse that has no check of its own by means of dbt."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from analytics_dagster.cli.doctor.result import Check, CheckResult, Clocks
from analytics_dagster.errors import WarehouseError
from analytics_dagster.execution.dbt_resource import dbt_executable
from analytics_dagster.project.extensions import DIRECTORY
from analytics_dagster.project.profile import Target
from analytics_dagster.redaction import useful_lines
from analytics_dagster.warehouse import open_duckdb

CHECK = Check("warehouse")
EXTENSIONS = Check("DuckDB extensions")

_LOCK_TIMEOUT = 2.0  # seconds, for a DuckDB file that another process holds
_DBT_TIMEOUT = 120.0  # seconds
_OUTPUT = re.compile(r"^analytics_dagster_probe (\S+)$", re.MULTILINE)
_SCHEMES = {
    "ducklake": "ducklake",
    "postgres": "postgres_scanner",
    "s3": "httpfs",
    "https": "httpfs",
    "md": "motherduck",
}
_SECRETS = {"s3": "httpfs", "gcs": "httpfs", "r2": "httpfs", "azure": "azure", "postgres": "postgres_scanner"}


def check_file(path: Path) -> Iterator[CheckResult]:
    """Yield whether a DuckDB file can be written, with a table that is rolled back."""
    if not path.exists():
        folder = next(parent for parent in path.parents if parent.exists())
        if os.access(folder, os.W_OK):
            yield CHECK.ok(f"The first build creates {path}.")
        else:
            yield CHECK.error(
                f"{path} does not exist, and {folder} can't be written.",
                "Give this user write access to the folder.",
            )
        return
    if not os.access(path, os.W_OK):
        yield CHECK.error(f"This user can't write {path}.", "Give this user write access to it and its folder.")
        return
    try:
        connection = open_duckdb(path, timeout=_LOCK_TIMEOUT, read_only=False)
    except WarehouseError as error:
        held = "is held by" in error.problem
        make = CHECK.warning if held else CHECK.error
        yield make(error.problem, "A run may be in progress; try again later." if held else error.remedy)
        return
    with connection:
        connection.execute("begin")
        connection.execute("create schema analytics_dagster_probe")
        connection.execute("create table analytics_dagster_probe.probe as select 1 as id")
        connection.execute("rollback")
    yield CHECK.ok(f"{path} ({path.stat().st_size / 1e6:,.1f} MB) can be read and written.")


def check_with_dbt(target: Target, project_dir: Path, clocks: Clocks) -> CheckResult:
    """Let dbt create and drop a table in the target's schema, and read the warehouse's clock; takes seconds."""
    where = f"The target {target.name} ({target.adapter})"
    with tempfile.TemporaryDirectory() as folder:
        _write_probe(Path(folder), target.profile)
        command = [dbt_executable(), "--quiet", "run-operation", "analytics_dagster_probe", "--project-dir", folder]
        command += ["--profiles-dir", str(target.profiles_dir), "--profile", target.profile, "--target", target.name]
        command += ["--target-path", f"{folder}/target", "--log-path", folder, "--no-use-colors"]
        command += ["--vars", json.dumps(dict(target.variables))]
        try:
            done = subprocess.run(  # noqa: S603 - the dbt of our own environment
                [*command, "--no-send-anonymous-usage-stats"],
                cwd=project_dir,  # relative paths in the profile start there
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                check=False,
                timeout=_DBT_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return CHECK.error(f"{where} did not answer within {_DBT_TIMEOUT:g} s.", "Check the network.")
    output = _OUTPUT.search(done.stdout)
    if done.returncode or output is None:
        message = useful_lines(target.redact(done.stdout + done.stderr), most=4)
        remedy = f"Correct the profile in {target.profiles_dir}, the network or the rights; `dbt debug` shows details."
        return CHECK.error(f"{where} can't be written: {message}", remedy)
    with suppress(ValueError):
        moment = datetime.fromisoformat(output[1])
        if moment.tzinfo:
            clocks["the warehouse"] = moment
    return CHECK.ok(f"{where} can be reached; tables can be created and dropped in its schema.")


def _write_probe(folder: Path, profile: str) -> None:
    project = {"name": "analytics_dagster_probe", "version": "1.0", "profile": profile}
    (folder / "dbt_project.yml").write_text(json.dumps(project), encoding="utf-8")
    (folder / "macros").mkdir()
    shutil.copy(Path(__file__).with_name("probe.sql"), folder / "macros")


def check_extensions(credentials: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Yield the extensions that a DuckDB target needs and that are not installed, and how to install them."""
    needed = needed_extensions(credentials)
    if not needed:
        return
    options: Mapping[str, Any] = credentials.get("config_options") or {}
    directory = str(options.get("extension_directory") or DIRECTORY)
    downloads = str(options.get("autoinstall_known_extensions", "true")).lower() != "false"
    installed = _installed(directory)
    for name in [name for name in needed if name not in installed]:
        package = f"duckdb-extension-{name.replace('_', '-')}"
        if _is_packaged(name):
            message = f"{name} is not in {directory} yet; an installed package contains it."
            yield EXTENSIONS.warning(message, "analytics-dagster prepare")
        elif downloads:
            remedy = f"Without internet access, install it from the package registry: pip install {package}"
            yield EXTENSIONS.warning(f"{name} is not in {directory}; DuckDB downloads it in the first build.", remedy)
        else:
            message = f"{name} is not in {directory}, and the target forbids downloads."
            yield EXTENSIONS.error(message, f"pip install duckdb-extensions {package}, then analytics-dagster prepare")
    if installed >= set(needed):
        yield EXTENSIONS.ok(f"{', '.join(needed)}: installed in {directory}.")


def needed_extensions(credentials: Mapping[str, Any]) -> list[str]:
    """Return the extensions that a DuckDB target names, or needs for its secrets and attached databases. Pure."""
    named = [entry.get("name") if isinstance(entry, dict) else entry for entry in credentials.get("extensions") or []]
    secrets = credentials.get("secrets") or []
    kinds = [str(secret.get("type", "")).lower() for secret in secrets if isinstance(secret, dict)]
    named += [_SECRETS[kind] for kind in kinds if kind in _SECRETS]
    attached = [entry for entry in credentials.get("attach") or [] if isinstance(entry, dict)]
    for entry in [credentials, *attached]:
        schemes = [part.partition("//")[0] for part in str(entry.get("path", "")).split(":")[:-1]]
        named += [_SCHEMES.get(scheme, "") for scheme in schemes]
        named += ["ducklake"] * bool(entry.get("is_ducklake"))
        named += [_SCHEMES.get(str(entry.get("type", "")).lower(), "")] * (entry is not credentials)
    aliases = {"postgres": "postgres_scanner"}
    return list(dict.fromkeys(aliases.get(str(name), str(name)) for name in named if name))


def _installed(directory: str) -> frozenset[str]:
    import duckdb  # 60 MB, for targets that need extensions

    with duckdb.connect(":memory:", config={"extension_directory": directory}) as connection:
        rows = connection.execute("select extension_name from duckdb_extensions() where installed").fetchall()
    return frozenset(str(name) for (name,) in rows)


def _is_packaged(name: str) -> bool:
    return importlib.util.find_spec(f"duckdb_extension_{name}") is not None
