"""What tests of several modules share: an environment without our variables, and other dbt projects to copy."""

from __future__ import annotations

import json
import os
import shutil
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
_LEFT_BY_DBT = ("target", "artifacts", "dbt_packages", "logs", "package-lock.yml", "*.duckdb")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of long tests first: handed out last, one would keep one worker busy and the others idle.

    What needs a project that dbt has prepared is slow.
    """
    for item in items:
        if "preparation" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("integration") is None)


@pytest.fixture(scope="session", autouse=True)
def _no_variables_of_ours() -> Iterator[None]:
    """Keep what the developer's shell has set from deciding what a test finds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith(_OURS)]:
            patch.delenv(name)
        yield


@dataclass(frozen=True)
class ProjectCopy:
    """A copy of one of the projects below `tests/projects`, with a Dagster home beside it.

    ``inside`` and ``profiles`` are where `dbt_project.yml` and `profiles.yml` lie, below the copy and below that;
    ``target_path`` is relative to the dbt project; ``variables`` are more of the environment.
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
        """The folder of what dbt writes."""
        return (self.project / self.target_path).resolve()

    @property
    def manifest(self) -> Path:
        """Its manifest, once it was prepared."""
        return self.artifacts / "manifest.json"

    @property
    def groups_file(self) -> Path | None:
        """Its schedule groups; None for the bundled ones."""
        path = self.root / "schedule_groups.yaml"
        return path if path.exists() else None

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that point the location at it."""
        return {
            "ANALYTICS_DBT_PROJECT_DIR": str(self.project),
            "ANALYTICS_DBT_PROFILES_DIR": str(self.project / self.profiles),
            **({"ANALYTICS_DBT_TARGET_PATH": self.target_path} if self.target_path != "target" else {}),
            **({"ANALYTICS_SCHEDULE_GROUPS_FILE": str(self.groups_file)} if self.groups_file else {}),
            "ANALYTICS_DATA_DIR": str(self.folder / "data"),
            # What a run did is read from what dbt left of it.
            "ANALYTICS_DBT_ARTIFACTS": "all",
            "DAGSTER_HOME": str(self.folder / "home"),
            **self.variables,
        }

    def settings(self, **others: Any) -> Settings:
        """Return the same as settings, with others beside them."""
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
        """Start our command line on it, with more variables if wanted."""
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
        """Run our command line on it to its end."""
        with self.start(*arguments, **others) as process:
            stdout, stderr = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


def copy_project(copy: ProjectCopy) -> ProjectCopy:
    """Make the copy, of nothing that dbt may have left in the original."""
    shutil.copytree(PROJECTS / copy.name, copy.root, ignore=shutil.ignore_patterns(*_LEFT_BY_DBT))
    return copy


@dataclass(frozen=True)
class Library(ProjectCopy):
    """A copy of the lending library: a dbt project that shares no name, folder or group with the bundled one."""

    name: str = "lending_library"
    profiles: str = "profiles"

    @property
    def warehouse(self) -> Path:
        """Its DuckDB file, once it was built."""
        return self.project / "library.duckdb"


def copy_library(folder: Path) -> Library:
    """Copy the lending library, and nothing that dbt may have left in it, below a folder."""
    library = Library(folder)
    copy_project(library)
    return library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Give a fresh copy, never prepared."""
    return copy_library(tmp_path)


@dataclass(frozen=True)
class Preparation:
    """The lending library, prepared by two processes that were started at once; what each of them said."""

    library: Library
    said: tuple[str, ...]


@pytest.fixture(scope="session")
def preparation(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Preparation:
    """Made once for all of pytest's workers: dbt takes seconds to start. Nobody may change it; see `prepared`."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "prepared"
    with FileLock(folder.with_suffix(".lock")):
        said = folder / "said.json"
        if not said.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed to
            said.parent.mkdir()
            said.write_text(json.dumps(_prepare_twice(copy_library(folder))))
        return Preparation(Library(folder), tuple(json.loads(said.read_text())))


def _prepare_twice(library: Library) -> list[str]:
    processes = [library.start("prepare"), library.start("prepare")]
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    return [out for out, _ in said]


@pytest.fixture
def prepared(preparation: Preparation, tmp_path: Path) -> Library:
    """Give a prepared copy of one's own, to change at will."""
    return _moved(preparation.library, tmp_path)


@pytest.fixture(scope="session")
def moved() -> Callable[[Library, Path], Library]:
    """Copy a library as it stands below another folder, where it is as ready as it was."""
    return _moved


def _moved(old: Library, folder: Path) -> Library:
    new = Library(folder)
    # The times of the files, which `copytree` keeps, and their paths are what the record knows them by.
    shutil.copytree(old.project, new.project, symlinks=True)
    packages = new.project / "dbt_packages"
    for link in [path for path in packages.iterdir() if path.is_symlink()]:
        link.unlink()
        link.symlink_to(new.project / "packages" / link.name)
    record = new.artifacts / "analytics_dagster.json"
    record.write_text(record.read_text().replace(str(old.folder), str(new.folder)))
    return new
