"""Runs `dbt parse` and `dbt ls` in a process of its own, and returns the nodes that selections name.

dbt's programmatic runner keeps adapters, loggers and a working directory for the whole process, so it stays out of
Dagster's. Run as ``python -m analytics_dagster.project.parse REQUEST RESULT``, two JSON files: see `ParseRequest` and
`ParseResult`.
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
from typing import TYPE_CHECKING, Any

from analytics_dagster.project.graph import BUILT, Graph
from analytics_dagster.project.manifest import MANIFEST, read_manifest
from analytics_dagster.settings import environment_variables

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunner

    from analytics_dagster.project.files import DbtProjectFiles
    from analytics_dagster.project.profile import Target

DBT_FOLDER_VARIABLES = frozenset({"DBT_TARGET_PATH", "DBT_LOG_PATH"})
"""Environment variables with the folders of a run's artifacts; they differ from run to run."""

_SELECTION_VARIABLES = {"DBT_RESOURCE_TYPES", "DBT_EXCLUDE_RESOURCE_TYPES"}


@dataclass(frozen=True)
class Selection:
    """Nodes in dbt's selection syntax, or by the name of one of the project's YAML selectors.

    ``variables`` are all dbt vars as a JSON object; empty for those of the location. With ``changed``, the selection
    names the nodes that these vars change: see `changed_nodes`.
    """

    select: str | None = None
    selector: str | None = None
    variables: str = ""
    changed: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """The selection as options of dbt's command line."""
        if self.selector is not None:
            return ("--selector", self.selector)
        # Explicit, since a project may have a YAML selector that is the default.
        return ("--select", "*" if self.select is None else self.select)


def artifacts_of(target_path: Path, variables: str) -> Path:
    """Return the folder of what dbt writes when it parses with these vars; each set of vars has its own folder.

    A run finds the parse of its own vars, and the location's manifest stays the one without them.
    """
    if not variables:
        return target_path
    return target_path / "vars" / hashlib.sha256(variables.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ParseRequest:
    """One parse: dbt's options for the project and the target, the vars (a JSON object), the selections to resolve."""

    options: Sequence[str]
    target_path: str
    install_packages: bool
    variables: str
    selections: tuple[Selection, ...]

    @classmethod
    def of(
        cls,
        files: DbtProjectFiles,
        target: Target,
        selections: Sequence[Selection],
        *,
        install_packages: bool = False,
    ) -> ParseRequest:
        """Return the request to parse a project, which writes into its folder for artifacts."""
        options = (
            *("--project-dir", str(files.directory), "--profiles-dir", str(target.profiles_dir)),
            *("--profile", target.profile, "--target", target.name, "--log-path", str(files.artifacts)),
            *("--no-use-colors", "--no-send-anonymous-usage-stats"),
        )
        return cls(options, str(files.artifacts), install_packages, files.variables or "{}", tuple(selections))


@dataclass(frozen=True)
class ParseResult:
    """The unique ids of each selection, in order; or the command that failed and dbt's message."""

    selected: tuple[Sequence[str], ...] = ()
    failed: str = ""
    message: str = ""


class DbtFailedError(Exception):
    """A dbt command failed; ``output`` is dbt's message."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(command)
        self.command = command
        self.output = output

    @property
    def remedy(self) -> str:
        """What the user can do."""
        if "no comparison" in self.output.lower():
            return (
                "`state:` and `result:` compare with the artifacts of another build: set DBT_STATE to the folder of "
                "its manifest.json, absolute or relative to the dbt project."
            )
        if self.command.startswith("dbt ls"):
            return "Correct the selection in the schedule groups; dbt's documentation of node selection has its syntax."
        return "Correct what dbt reports, then try again."


def parse(request: ParseRequest) -> tuple[frozenset[str], ...]:
    """Parse the project, which writes its manifest; return the unique ids that each selection names.

    Raises `DbtFailedError` with dbt's message.
    """
    with tempfile.TemporaryDirectory() as folder:
        request_file, result_file = Path(folder, "request.json"), Path(folder, "result.json")
        request_file.write_text(json.dumps(asdict(request)), encoding="utf-8")
        # These variables would override selections, so that nodes would be lost.
        environment = {
            name: value for name, value in environment_variables().items() if name not in _SELECTION_VARIABLES
        }
        process = subprocess.run(  # noqa: S603 - our own module, with two files of ours
            [sys.executable, "-m", __name__, str(request_file), str(result_file)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            check=False,
        )
        if not result_file.exists():
            raise DbtFailedError("dbt", process.stdout)
        result = ParseResult(**json.loads(result_file.read_text(encoding="utf-8")))
    if result.failed:
        raise DbtFailedError(result.failed, result.message or process.stdout)
    return tuple(frozenset(unique_ids) for unique_ids in result.selected)


def _main(request_file: Path, result_file: Path) -> None:
    content = json.loads(request_file.read_text(encoding="utf-8"))
    selections = tuple(Selection(**item) for item in content.pop("selections"))
    try:
        result = ParseResult(selected=_select(ParseRequest(**content, selections=selections)))
    except DbtFailedError as failure:
        result = ParseResult(failed=failure.command, message=failure.output)
    result_file.write_text(json.dumps(asdict(result)), encoding="utf-8")


def _select(request: ParseRequest) -> tuple[Sequence[str], ...]:
    from dbt.cli.main import dbtRunner  # only this process imports dbt

    if request.install_packages:
        _invoke(dbtRunner(), "dbt deps", ["deps", "--quiet", *request.options, "--vars", request.variables])
    found: dict[Selection, Sequence[str]] = {}
    # The location's own vars come first: everything else reads the manifest that they result in.
    for variables in dict.fromkeys(["", *(selection.variables for selection in request.selections)]):
        folder = artifacts_of(Path(request.target_path), variables)
        folder.mkdir(parents=True, exist_ok=True)
        options = [*request.options, "--vars", variables or request.variables, "--write-json"]
        options += ["--target-path", str(folder)]
        manifest = _invoke(dbtRunner(), "dbt parse", ["parse", "--quiet", *options])
        for selection in request.selections:
            if selection.variables != variables:
                continue
            if selection.changed:
                manifests = [read_manifest(path / MANIFEST, remedy="") for path in (Path(request.target_path), folder)]
                found[selection] = changed_nodes(*manifests)
                continue
            command = f"dbt ls {' '.join(selection.arguments)}"
            arguments = ["ls", "--quiet", *options, *selection.arguments]
            lines = _invoke(
                dbtRunner(manifest=manifest), command, [*arguments, "--output", "json", "--output-keys", "unique_id"]
            )
            found[selection] = [json.loads(line)["unique_id"] for line in lines or []]
    return tuple(found[selection] for selection in request.selections)


def _invoke(runner: dbtRunner, command: str, arguments: list[str]) -> Any:
    result = runner.invoke(arguments)
    if not result.success:
        raise DbtFailedError(command, str(result.exception) if result.exception else "")
    return result.result


def changed_nodes(manifest: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the nodes and tests that only one of two manifests has, or that read or are another table there."""
    one, two = _tables(manifest), _tables(other)
    return sorted(unique_id for unique_id in one.keys() | two.keys() if one.get(unique_id) != two.get(unique_id))


def _tables(manifest: Mapping[str, Any]) -> Mapping[str, tuple[object, ...]]:
    return {
        unique_id: (
            sorted(node["depends_on"].get("nodes") or []),
            node.get("relation_name"),
            node["config"].get("materialized") == "ephemeral",
        )
        for unique_id, node in Graph(manifest).nodes.items()
        if node["resource_type"] in {*BUILT, "test"}
    }


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
