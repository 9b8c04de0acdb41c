"""`docs/production.md` describes the chart correctly."""

from __future__ import annotations

import re
from collections import defaultdict

import yaml

from scripts.chart_files import CHART
from scripts.chart_model import Values
from tests.cluster.permissions import granted_permissions
from tests.unit.chart.rendered import render, rendered

PAGE = CHART.parent.parent / "docs" / "production.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_table_of_permissions_matches_the_roles() -> None:
    header, _, *rows = [line for line in TEXT.partition("### Who may do what")[2].splitlines() if line.startswith("|")]
    resources = [cell.strip() for cell in header.strip("|").split("|")[1:]]
    documented = {
        (row.strip("|").split("|")[0].strip().replace(" ", ""), resource): set(filter(None, cell.strip().split(", ")))
        for row in rows
        for resource, cell in zip(resources, row.strip("|").split("|")[1:], strict=True)
    }
    given: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for permission in granted_permissions(rendered("default")):
        if permission.resource != "secrets":
            given[permission.account.rpartition("-")[2], permission.resource].add(permission.verb)

    assert {key: verbs for key, verbs in documented.items() if verbs} == given


def test_every_value_in_the_table_exists() -> None:
    values = Values().model_dump(by_alias=True)
    table = TEXT.partition("| what | values |")[2].partition("\n\n")[0]
    named = re.findall(r"`((?:postgresql|s3|warehouse|serviceAccounts)\.[A-Za-z.]+)", table)

    assert len(named) > 8
    for path in named:
        part = values
        for key in path.split("."):
            assert key in part, path
            part = part[key]


def test_the_example_values_render() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)

    render(yaml.safe_load(example))
