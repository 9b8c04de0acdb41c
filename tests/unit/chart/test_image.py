"""The entry point of the image, executed as a script, and the rules of the Dockerfile."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from scripts.chart_files import CHART
from scripts.chart_model import Values

ROOT = CHART.parent.parent
ENTRYPOINT = ROOT / "scripts" / "entrypoint.sh"


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """Create a folder with the manifest of the image, and programs that print their arguments."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dagster", "dagster-webserver", "analytics-dagster"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    (tmp_path / "baked").mkdir()
    (tmp_path / "baked" / "manifest.json").write_text("{}", encoding="utf-8")
    return tmp_path


def start(container: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{container / 'bin'}:{os.environ['PATH']}",
        "ANALYTICS_BAKED_TARGET": str(container / "baked"),
        "ANALYTICS_DBT_TARGET_PATH": str(container / "target"),
    }
    return subprocess.run(
        ["/bin/sh", str(ENTRYPOINT), *command], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize("what", ["grpc --port 3030", "execute_run {}", "resume_run {}"])
def test_processes_that_load_the_code_get_a_writable_copy_of_the_manifest(container: Path, what: str) -> None:
    done = start(container, "dagster", "api", *what.split())

    assert done.stdout.splitlines() == ["analytics-dagster prepare", f"dagster api {what}"]
    assert (container / "target" / "manifest.json").exists()


@pytest.mark.parametrize("command", ["dagster-webserver --port 3000", "dagster instance migrate"])
def test_other_processes_prepare_nothing(container: Path, command: str) -> None:
    done = start(container, *command.split())

    assert done.stdout.splitlines() == [command]
    assert not (container / "target").exists()


def test_an_existing_manifest_is_not_replaced(container: Path) -> None:
    (container / "target").mkdir()
    start(container, "dagster", "api", "grpc")

    assert list((container / "target").iterdir()) == []


def test_a_failed_prepare_ends_the_container(container: Path) -> None:
    (container / "bin" / "analytics-dagster").write_text("#!/bin/sh\nexit 2\n", encoding="utf-8")

    assert start(container, "dagster", "api", "grpc").returncode == 2


def test_the_command_replaces_the_entry_point_and_gets_signals(container: Path) -> None:
    (container / "bin" / "dagster").write_text("#!/bin/sh\nexec sh -c 'echo $PPID $$'\n", encoding="utf-8")
    parent, own = map(int, start(container, "dagster", "instance", "migrate").stdout.split())

    assert (parent, own) != (os.getpid(), 0)
    assert parent == os.getpid(), "a signal must reach the program itself"


def test_everything_that_the_image_copies_is_in_the_build_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line.lstrip("!").rstrip("/") for line in ignored if line.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", _dockerfile(), re.MULTILINE)

    sources = {source for line in lines for source in line.split()}
    assert sources, "nothing is copied"
    for source in sources:
        assert source in sent or str(Path(source).parent) in sent, source


def test_image_and_chart_use_the_same_user() -> None:
    context = Values().pod_security_context

    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in _dockerfile()


def test_every_installed_package_is_pinned_by_hash() -> None:
    for line in _commands():
        if re.search(r"pip\b.* install ", line) and "/wheels/" not in line:
            assert "--require-hashes" in line, line
            assert "--no-deps" in line, line


def test_the_last_stage_has_no_installer() -> None:
    last = _dockerfile().split("\nFROM ")[-1]

    assert "pip uninstall" in last
    assert not re.search(r"\b(pip install|apt-get|curl|wget)\b", last)
    assert "COPY --from=build /opt/venv" in last


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def _commands() -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", _dockerfile())
    return [part for line in joined.splitlines() if line.startswith("RUN ") for part in line[4:].split("&&")]
