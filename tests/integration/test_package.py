"""The package as users install it: a wheel with all its files, in a separate environment and folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Preparation

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", *command, str(ROOT)], check=True, cwd=folder, timeout=300)
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel; it uses the dependencies of the test environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([python, "-m", *install], check=True, timeout=300)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # The editable install of the test environment is a `.pth` file, which is not read from there.
    Path(site, "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "analytics_dagster"
    expected = {str(path.relative_to(ROOT)) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert expected <= names
    assert {"analytics_dagster/py.typed", "analytics_dagster/cli/doctor/probe.sql"} <= names


def _run(program: Path, preparation: Preparation, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={**environment, **preparation.library.environment, "DAGSTER_HOME": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_installed_wheel_is_imported(python: Path, preparation: Preparation, tmp_path: Path) -> None:
    output = _run(python, preparation, tmp_path, "-c", "import analytics_dagster; print(analytics_dagster.__file__)")
    assert output.stdout.startswith(str(python.parents[1])), output.stdout + output.stderr


def test_the_wheel_works_in_an_empty_folder(python: Path, preparation: Preparation, tmp_path: Path) -> None:
    validate = ["-m", "dagster", "definitions", "validate", "-m", "analytics_dagster.definitions"]
    output = _run(python, preparation, tmp_path, *validate)
    assert output.returncode == 0, output.stdout + output.stderr
    assert "All code locations passed validation" in output.stdout + output.stderr
    plan = _run(python.with_name("analytics-dagster"), preparation, tmp_path, "plan")
    assert "6 nodes and 8 tests in 2 schedule groups" in plan.stdout, plan.stderr


def test_mypy_sees_the_types_of_the_wheel(python: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from analytics_dagster import Settings, build_dbt_definitions\n"
        'reveal_type(build_dbt_definitions("dbt", settings=Settings()))\n'
        'build_dbt_definitions(project="dbt")\n'
    )
    mypy = [sys.executable, "-m", "mypy", "--python-executable", str(python), "mine.py"]
    output = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600).stdout
    assert 'Revealed type is "dagster._core.definitions.definitions_class.Definitions"' in output
    assert 'Unexpected keyword argument "project"' in output
    assert "py.typed" not in output
