"""The benchmark prints its smallest table, for a project that dbt parsed and both code locations loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_quick_mode_prints_a_table_and_the_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--quick", "--tables", "load"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows] == [
        "",
        "stock Dagster",
        "this location",
        "import dagster",
    ]
    assert all(row.count("|") == 8 for row in rows)
    assert "dagster 1." in done.stdout
