"""Fixtures that several test packages share: a clean environment, and copies of the dbt projects in tests/projects."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from analytics_dagster.settings import Settings

pytest.register_assert_rewrite("tests.integration.any_project")

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECTS = REPOSITORY / "tests" / "projects"
LENDING_LIBRARY = PROJECTS / "lending_library"
COMMAND = Path(sys.executable).with_name("analytics-dagster")

_OURS = ("ANALYTICS_", "DAGSTER_", "DBT_", "LIBRARY_", "BANK_", "SCATTERED_")
_WRITTEN_BY_DBT = ("target", "artifacts", "dbt_packages", "logs", "package-lock.yml", "*.duckdb")


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start: a shell starts background jobs with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with long tests first: started last, one file would keep one worker busy and the others idle.

    Tests that need a project which dbt has prepared get the mark `slow`.
    """
    for item in items:
        if "preparation" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("integration") is None)


@pytest.fixture(scope="session", autouse=True)
def _no_variables_of_ours() -> Iterator[None]:
    """Remove the project's variables that the developer's shell has set: tests must not depend on them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith(_OURS)]:
            patch.delenv(name)
        yield


@dataclass(frozen=True)
class ProjectCopy:
    """A copy of one of the projects in `tests/projects`, with its own Dagster home.

    ``inside`` is the folder of `dbt_project.yml` in the copy; ``profiles`` and ``target_path`` are relative to it;
    ``variables`` are additional environment variables.
    """

    folder: Path
    name: str
    inside: str = ""
    profiles: str = ""
    target_path: str = "target"
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The folder of the copy."""
        return self.folder / self.name

    @property
    def project(self) -> Path:
        """The folder of its `dbt_project.yml`."""
        return self.root / self.inside

    @property
    def artifacts(self) -> Path:
        """The folder that dbt writes to."""
        return (self.project / self.target_path).resolve()

    @property
    def manifest(self) -> Path:
        """The manifest; it exists after `prepare`."""
        return self.artifacts / "manifest.json"

    @property
    def groups_file(self) -> Path | None:
        """The file of its schedule groups; None if it uses the bundled ones."""
        path = self.root / "schedule_groups.yaml"
        return path if path.exists() else None

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that point the code location at this project."""
        return {
            "ANALYTICS_DBT_PROJECT_DIR": str(self.project),
            "ANALYTICS_DBT_PROFILES_DIR": str(self.project / self.profiles),
            **({"ANALYTICS_DBT_TARGET_PATH": self.target_path} if self.target_path != "target" else {}),
            **({"ANALYTICS_SCHEDULE_GROUPS_FILE": str(self.groups_file)} if self.groups_file else {}),
            "ANALYTICS_DATA_DIR": str(self.folder / "data"),
            # Tests read what a run did from its dbt artifacts.
            "ANALYTICS_DBT_ARTIFACTS": "all",
            "DAGSTER_HOME": str(self.folder / "home"),
            **self.variables,
        }

    def settings(self, **others: Any) -> Settings:
        """Return the same as `Settings`; ``others`` override or add fields."""
        return Settings(
            **{
                "dbt_project_dir": self.project,
                "dbt_profiles_dir": self.project / self.profiles,
                "dbt_target_path": Path(self.target_path),
                "schedule_groups_file": self.groups_file,
                "data_dir": self.folder / "data",
                "dbt_artifacts": "all",
                "dagster_home": self.folder / "home",
                **others,
            }
        )

    def start(self, *arguments: str, **others: str) -> subprocess.Popen[str]:
        """Start `analytics-dagster` on this project; ``others`` are additional environment variables."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            env={**os.environ, **self.environment, "COLUMNS": "200", **others},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *arguments: str, **others: str) -> subprocess.CompletedProcess[str]:
        """Run `analytics-dagster` on this project and wait for its end."""
        with self.start(*arguments, **others) as process:
            stdout, stderr = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


def copy_project(copy: ProjectCopy) -> ProjectCopy:
    """Create the copy, without files that dbt has written into the original."""
    shutil.copytree(PROJECTS / copy.name, copy.root, ignore=shutil.ignore_patterns(*_WRITTEN_BY_DBT))
    return copy


@dataclass(frozen=True)
class Library(ProjectCopy):
    """A copy of the project `lending_library`, which shares no name, folder or group with the bundled project."""

    name: str = "lending_library"
    profiles: str = "profiles"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file; it exists after a build."""
        return self.project / "library.duckdb"


def copy_library(folder: Path) -> Library:
    """Copy the project `lending_library` into a folder."""
    library = Library(folder)
    copy_project(library)
    return library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Return a new copy, not prepared."""
    return copy_library(tmp_path)


@dataclass(frozen=True)
class Preparation:
    """The project `lending_library`, prepared by two concurrent processes, and the output of each."""

    library: Library
    outputs: tuple[str, ...]


@pytest.fixture(scope="session")
def preparation(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Preparation:
    """Prepare the project once for all pytest workers: dbt takes seconds to start. Read-only; see `prepared`."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "prepared"
    with FileLock(folder.with_suffix(".lock")):
        outputs = folder / "outputs.json"
        if not outputs.exists():
            shutil.rmtree(folder, ignore_errors=True)  # a failed worker may have left it
            outputs.parent.mkdir()
            outputs.write_text(json.dumps(_prepare_twice(copy_library(folder))))
        return Preparation(Library(folder), tuple(json.loads(outputs.read_text())))


def _prepare_twice(library: Library) -> list[str]:
    processes = [library.start("prepare"), library.start("prepare")]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    return [out for out, _ in outputs]


@pytest.fixture
def prepared(preparation: Preparation, tmp_path: Path) -> Library:
    """Return a prepared copy that the test may change."""
    return copy_prepared_library(preparation.library, tmp_path)


@pytest.fixture(scope="session")
def copy_prepared() -> Callable[[Library, Path], Library]:
    """Return `copy_prepared_library`."""
    return copy_prepared_library


def copy_prepared_library(old: Library, folder: Path) -> Library:
    """Copy a prepared project into another folder; the copy is prepared, too."""
    new = Library(folder)
    # The record identifies files by path and modification time; `copytree` keeps the times.
    shutil.copytree(old.project, new.project, symlinks=True)
    packages = new.project / "dbt_packages"
    for link in [path for path in packages.iterdir() if path.is_symlink()]:
        link.unlink()
        link.symlink_to(new.project / "packages" / link.name)
    record = new.artifacts / "analytics_dagster.json"
    record.write_text(record.read_text().replace(str(old.folder), str(new.folder)))
    return new
