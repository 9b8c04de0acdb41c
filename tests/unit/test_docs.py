"""What the pages of `docs` say is true: their tables are the classes, their examples valid, and their links lead on."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from analytics_dagster.transform.groups import OnOverlap, ScheduleGroup, ScheduleGroups
from analytics_dagster.transform.groups_file import json_schema

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "schedule_groups.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


def _default(value: Any) -> str:
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower()}`" if isinstance(value, int) else ""


def _between(name: str) -> list[str]:
    return TEXT.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0].strip().splitlines()


def test_its_table_of_keys_is_the_class() -> None:
    rows = [
        f"| `{field.alias or name}` | {_default(field.default)} | {field.description} |"
        for name, field in ScheduleGroup.model_fields.items()
    ]
    assert _between("keys") == ["| key | default | what it says |", "| --- | --- | --- |", *rows]


def test_every_way_to_mean_an_overlap_is_told() -> None:
    assert [line.split("`")[1] for line in _between("overlap")] == [way.value for way in OnOverlap]


@pytest.mark.parametrize("example", EXAMPLES)
def test_its_examples_are_valid_by_the_classes_and_by_the_schema(example: str) -> None:
    content = yaml.safe_load(example)
    ScheduleGroups.model_validate(content)
    jsonschema.validate(content, json_schema())


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


def test_every_problem_that_a_plan_may_have_is_told() -> None:
    transform = ROOT / "analytics_dagster" / "transform"
    codes = {
        code for path in transform.glob("*.py") for code in re.findall(r'code="([a-z-]+)"', path.read_text("utf-8"))
    }
    assert codes
    told = TEXT.partition("## What the plan proves")[2]
    assert codes == set(re.findall(r"^\| `([a-z-]+)`(?: \(a warning\))? \|", told, flags=re.MULTILINE))


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")))
def test_every_file_that_a_page_links_to_is_there(path: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"(docs/{path.name})" not in readme] == []
