"""A process of its own that asks dbt to parse a project and to say what selections name.

dbt's programmatic runner keeps adapters, loggers and a current folder for the whole process, so it stays out of
Dagster's. Run as ``python -m analytics_dagster.project.parse REQUEST RESULT``, two JSON files; see `Request`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analytics_dagster.settings import environment_variables

DBT_FOLDER_VARIABLES = frozenset({"DBT_TARGET_PATH", "DBT_LOG_PATH"})
"""The variables that name the folders of a run's artifacts; they differ from run to run."""

_OVERRULING_SELECTIONS = {"DBT_RESOURCE_TYPES", "DBT_EXCLUDE_RESOURCE_TYPES"}


@dataclass(frozen=True)
class Selection:
    """What is asked of dbt: its selection syntax, or the name of one of the project's YAML selectors.

    ``variables`` are dbt vars as a JSON object, all of them; empty for those of the location. With ``changed`` the
    question is which nodes these vars change: those that are there only with them or only without, and those that
    read or are another table.
    """

    select: str | None = None
    selector: str | None = None
    variables: str = ""
    changed: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options of dbt's command line that mean the same."""
        if self.selector is not None:
            return ("--selector", self.selector)
        # Named, since a project may have a YAML selector that is the default where nothing is.
        return ("--select", "*" if self.select is None else self.select)


def artifacts_of(target_path: Path, variables: str) -> Path:
    """Return the folder of what dbt writes when it parses with these vars: each set of vars has one of its own.

    So a run finds the parse of its own vars, and the manifest of the location stays the one that was made without.
    """
    if not variables:
        return target_path
    return target_path / "vars" / hashlib.sha256(variables.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Request:
    """One parse: where the project is, which target and vars (a JSON object), and the selections to resolve with it."""

    project_dir: str
    profiles_dir: str
    profile: str
    target: str
    target_path: str
    install_packages: bool
    variables: str
    selections: tuple[Selection, ...]


class DbtFailedError(Exception):
    """What was asked of dbt failed: the command, and what dbt said."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(command)
        self.command = command
        self.output = output

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if "no comparison" in self.output.lower():
            return (
                "`state:` and `result:` compare with the artifacts of another build: name the folder of its "
                "manifest.json by DBT_STATE, absolute or relative to the dbt project."
            )
        if self.command.startswith("dbt ls"):
            return "Correct the selection in the schedule groups; dbt's documentation of node selection has its syntax."
        return "Correct what dbt names, then try again."


def parse(request: Request) -> tuple[frozenset[str], ...]:
    """Parse the project, which writes its manifest; return the unique ids that each selection names.

    Raises `DbtFailedError` with what dbt said.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "request.json"), Path(folder, "result.json")
        asked.write_text(json.dumps(asdict(request)), encoding="utf-8")
        # These would overrule what a selection names, and so lose nodes.
        environment = {
            name: value for name, value in environment_variables().items() if name not in _OVERRULING_SELECTIONS
        }
        process = subprocess.run(  # noqa: S603 - our own module, with two files of ours
            [sys.executable, "-m", __name__, str(asked), str(answered)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            check=False,
        )
        if not answered.exists():
            raise DbtFailedError("dbt", process.stdout)
        result = json.loads(answered.read_text(encoding="utf-8"))
    if "failed" in result:
        raise DbtFailedError(result["failed"], result["message"] or process.stdout)
    return tuple(frozenset(ids) for ids in result["selected"])


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    from dbt.cli.main import dbtRunner  # only this process imports dbt

    where = [
        *("--project-dir", request["project_dir"], "--profiles-dir", request["profiles_dir"]),
        *("--profile", request["profile"], "--target", request["target"]),
        *("--no-use-colors", "--no-send-anonymous-usage-stats"),
    ]
    if request["install_packages"]:
        result = dbtRunner().invoke(
            ["deps", "--quiet", *where, "--vars", request["variables"] or "{}", "--log-path", request["target_path"]]
        )
        if not result.success:
            return _failed("dbt deps", result.exception)
    selections = [Selection(**item) for item in request["selections"]]
    found: dict[Selection, list[str]] = {}
    # The location's own vars first: theirs is the manifest that everything else reads.
    for variables in dict.fromkeys(["", *(selection.variables for selection in selections)]):
        folder = artifacts_of(Path(request["target_path"]), variables)
        folder.mkdir(parents=True, exist_ok=True)
        options = [*where, "--vars", variables or request["variables"] or "{}", "--write-json"]
        options += ["--target-path", str(folder), "--log-path", request["target_path"]]
        result = dbtRunner().invoke(["parse", "--quiet", *options])
        if not result.success:
            return _failed("dbt parse", result.exception)
        runner = dbtRunner(manifest=result.result)  # type: ignore[arg-type] # `parse` returns a Manifest
        for selection in [selection for selection in selections if selection.variables == variables]:
            if selection.changed:
                found[selection] = changed_nodes(
                    *(_read_manifest(path) for path in (Path(request["target_path"]), folder))
                )
                continue
            result = runner.invoke(["ls", "--quiet", *options, *selection.arguments, *_AS_JSON])
            if not result.success:
                return _failed(f"dbt ls {' '.join(selection.arguments)}", result.exception)
            lines: Sequence[str] = result.result or []  # type: ignore[assignment] # `ls` returns its lines
            found[selection] = [json.loads(line)["unique_id"] for line in lines]
    return {"selected": [found[selection] for selection in selections]}


_AS_JSON = ("--output", "json", "--output-keys", "unique_id")


def changed_nodes(manifest: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return what is built or tested in only one of two manifests, or reads or is another table there."""
    here, there = _tables(manifest), _tables(other)
    return sorted(unique_id for unique_id in here.keys() | there.keys() if here.get(unique_id) != there.get(unique_id))


def _tables(manifest: Mapping[str, Any]) -> Mapping[str, tuple[object, ...]]:
    nodes = {**manifest["nodes"], **(manifest.get("functions") or {})}
    return {
        unique_id: (
            sorted(node["depends_on"].get("nodes") or []),
            node.get("relation_name"),
            node["config"].get("materialized") == "ephemeral",
        )
        for unique_id, node in nodes.items()
        if node["resource_type"] in {"model", "seed", "snapshot", "function", "test"}
        # A full parse leaves disabled tests among the nodes, a partial one does not.
        and node["config"].get("enabled") is not False
    }


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def _failed(command: str, exception: BaseException | None) -> dict[str, Any]:
    return {"failed": command, "message": str(exception) if exception else ""}


if __name__ == "__main__":
    answer = _answer(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")
