"""The page on schedule groups documents every key, value and problem."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from analytics_dagster.planning.groups import IngestionRuns, OnOverlap, ScheduleGroup
from analytics_dagster.yaml_file import field_descriptions

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "schedule_groups.md"
TEXT = PAGE.read_text(encoding="utf-8")


def _default(value: Any) -> str:
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower()}`" if isinstance(value, int) else ""


def _between(name: str) -> list[str]:
    return TEXT.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0].strip().splitlines()


@pytest.mark.parametrize(("table", "model"), [("keys", ScheduleGroup), ("ingestion", IngestionRuns)])
def test_the_tables_of_keys_match_the_classes(table: str, model: type[BaseModel]) -> None:
    descriptions = field_descriptions(model)
    rows = [
        f"| `{field.alias or name}` | {_default(field.default)} | {descriptions[name]} |"
        for name, field in model.model_fields.items()
    ]
    assert _between(table) == ["| key | default | what it says |", "| --- | --- | --- |", *rows]


def test_every_value_of_on_overlap_is_documented() -> None:
    assert [line.split("`")[1] for line in _between("overlap")] == [way.value for way in OnOverlap]


def test_every_problem_of_a_plan_is_documented() -> None:
    sources = (ROOT / "analytics_dagster").rglob("*.py")
    codes = {code for path in sources for code in re.findall(r'code="([a-z-]+)"', path.read_text("utf-8"))}
    assert codes
    told = TEXT.partition("## What the plan proves")[2]
    assert codes == set(re.findall(r"^\| `([a-z-]+)`(?: \(a warning\))? \|", told, flags=re.MULTILINE))
