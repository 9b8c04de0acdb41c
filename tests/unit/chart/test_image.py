"""The image's entry point, run as it is, and what the Dockerfile takes from the checkout."""

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
def box(tmp_path: Path) -> Path:
    """Make a folder with a baked manifest, and programs that say how they are called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dagster", "dagster-webserver", "analytics-dagster"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    (tmp_path / "baked").mkdir()
    (tmp_path / "baked" / "manifest.json").write_text("{}", encoding="utf-8")
    return tmp_path


def start(box: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{box / 'bin'}:{os.environ['PATH']}",
        "ANALYTICS_BAKED_TARGET": str(box / "baked"),
        "ANALYTICS_DBT_TARGET_PATH": str(box / "target"),
    }
    return subprocess.run(
        ["/bin/sh", str(ENTRYPOINT), *command], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize("what", ["grpc --port 3030", "execute_run {}", "resume_run {}"])
def test_what_loads_the_code_finds_the_baked_manifest_where_it_can_be_written(box: Path, what: str) -> None:
    done = start(box, "dagster", "api", *what.split())

    assert done.stdout.splitlines() == ["analytics-dagster prepare", f"dagster api {what}"]
    assert (box / "target" / "manifest.json").exists()


@pytest.mark.parametrize("command", ["dagster-webserver --port 3000", "dagster instance migrate"])
def test_what_does_not_load_the_code_prepares_nothing(box: Path, command: str) -> None:
    done = start(box, *command.split())

    assert done.stdout.splitlines() == [command]
    assert not (box / "target").exists()


def test_a_manifest_that_is_there_is_not_replaced(box: Path) -> None:
    (box / "target").mkdir()
    start(box, "dagster", "api", "grpc")

    assert list((box / "target").iterdir()) == []


def test_a_project_that_can_t_be_prepared_ends_the_container(box: Path) -> None:
    (box / "bin" / "analytics-dagster").write_text("#!/bin/sh\nexit 2\n", encoding="utf-8")

    assert start(box, "dagster", "api", "grpc").returncode == 2


def test_the_container_is_what_it_runs(box: Path) -> None:
    (box / "bin" / "dagster").write_text("#!/bin/sh\nexec sh -c 'echo $PPID $$'\n", encoding="utf-8")
    parent, own = map(int, start(box, "dagster", "instance", "migrate").stdout.split())

    assert (parent, own) != (os.getpid(), 0)
    assert parent == os.getpid(), "a signal must reach the program itself"


def test_everything_that_the_image_copies_is_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line.lstrip("!").rstrip("/") for line in ignored if line.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", _dockerfile(), re.MULTILINE)

    sources = {source for line in lines for source in line.split()}
    assert sources, "nothing is copied"
    for source in sources:
        assert source in sent or str(Path(source).parent) in sent, source


def test_the_image_s_user_is_the_chart_s() -> None:
    context = Values().pod_security_context

    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in _dockerfile()


def test_nothing_is_installed_but_what_a_hash_pins() -> None:
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
