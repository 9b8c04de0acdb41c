"""What the README says is true: its table of settings, its make targets, its example of schedule groups."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import PydanticUndefined

from analytics_dagster.settings import Settings, variable_name
from analytics_dagster.transform.groups import ScheduleGroups

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def test_the_table_of_settings_is_the_class() -> None:
    table = README.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0].strip()
    rows = [
        f"| `{variable_name(name)}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    assert table.splitlines()[2:] == rows


def test_every_make_target_that_it_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"it"}
    assert named <= targets
    assert {"run", "test", "dev", "help", "check"} <= named


def test_every_file_that_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_schedule_groups_are_valid() -> None:
    [example] = [block for block in re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL) if "cron:" in block]
    assert [group.name for group in ScheduleGroups.model_validate(yaml.safe_load(example)).groups] == [
        "hourly",
        "nightly",
    ]
