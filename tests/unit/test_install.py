"""The set-up script reports an unusable Python in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            'case "$*" in --version) echo Python 3.9.2 ;; *version_info*) exit 1 ;; esac',
            "Python 3.9.2 is not supported",
        ),
        (
            'case "$*" in --version) echo Python 3.14.0 ;; *version_info*) exit 1 ;; esac',
            "Python 3.14.0 is not supported",
        ),
        ('case "$*" in --version) echo Python 3.12.1 ;; *ensurepip*) exit 1 ;; esac', "Python 3.12.1 has no venv"),
        (None, "is not installed"),
    ],
    ids=["too old", "too new", "without venv", "absent"],
)
def test_an_unusable_python_is_one_line_with_the_remedy(script: str | None, message: str, tmp_path: Path) -> None:
    python = tmp_path / "python3"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "scripts/install.sh", str(python), str(tmp_path / "venv"), "shop"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert message in line
    assert "install" in line
    assert not (tmp_path / "venv").exists()
