"""Compares the asset graph of the bundled shop, as the `dg` command lists it, with the golden file.

After an intended change: run UPDATE_GOLDEN=1 make test and review the git diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.shop import BIN, ROOT, Shop

pytestmark = pytest.mark.integration

GOLDEN = ROOT / "tests" / "golden" / "shop.json"


def _graph(listed: dict[str, Any]) -> dict[str, Any]:
    checks: dict[str, list[str]] = {}
    for check in listed["asset_checks"]:
        checks.setdefault(check["asset_key"], []).append(check["name"])
    return {
        "assets": {
            asset["asset_key"]: {
                "group": asset["group_name"],
                "kinds": sorted(asset["kinds"]),
                "owners": asset["owners"],
                "reads": sorted(asset["dependency_keys"]),
                "checks": sorted(checks.get(asset["asset_key"], [])),
                "is_executable": asset["is_executable"],
            }
            for asset in listed["assets"]
        },
        "jobs": sorted(job["name"] for job in listed["jobs"]),
        "schedules": {schedule["name"]: schedule["cron_schedule"] for schedule in listed["schedules"]},
        "sensors": sorted(sensor["name"] for sensor in listed["sensors"]),
    }


def test_the_asset_graph_of_the_shop_equals_the_golden_file(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.run(str(BIN / "analytics-dagster"), "prepare")
    graph = _graph(json.loads(shop.run(str(BIN / "dg"), "list", "defs", "--json").stdout))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(graph, indent=1, sort_keys=True) + "\n")
    assert graph == json.loads(GOLDEN.read_text())
