"""Every name that the package takes from `dagster` exists: mypy accepts any name, because the module imports lazily."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "analytics_dagster"
_NAME = re.compile(r"(?<!tool\.)\bdg\.(\w+)")
NAMES = sorted({name for path in PACKAGE.rglob("*.py") for name in _NAME.findall(path.read_text())})


@pytest.mark.parametrize("name", NAMES)
def test_each_name_that_is_taken_from_dagster_is_public(name: str) -> None:
    assert hasattr(dg, name)
