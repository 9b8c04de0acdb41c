"""A code location that fails to load: the UI shows the error, and the other locations still load."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_dagster.settings import CHECKOUT
from tests.integration.shop import BIN
from tests.integration.ui import Ui, free_port
from tests.processes import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

_ENTRIES = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
  __typename
  ... on RepositoryLocation { repositories { assetNodes { assetKey { path } } } }
  ... on PythonError { errorChain { error { message } } } } } } } }
"""
NEIGHBOUR = """
import dagster as dg

@dg.asset
def counted() -> int:
    return 1

defs = dg.Definitions([counted])
"""


def test_missing_variables_are_shown_in_the_ui_and_other_locations_load(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text(NEIGHBOUR)
    ours = {"module_name": "analytics_dagster.definitions", "location_name": "ours"}
    beside = {"relative_path": "neighbour.py", "location_name": "neighbour"}
    workspace = {"load_from": [{"python_module": ours}, {"python_file": beside}]}
    (tmp_path / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    environment = {
        **os.environ,
        "ANALYTICS_ENVIRONMENT": "prod",
        "ANALYTICS_DBT_PROJECT_DIR": str(CHECKOUT / "dbt_project"),
        "ANALYTICS_POSTGRES_USER": "analytics",
        "DAGSTER_HOME": str(tmp_path),
    }
    port, log = free_port(), tmp_path / "webserver.log"
    command = [str(BIN / "dagster-webserver"), "--port", str(port), "--workspace", "workspace.yaml"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        ui = Ui(port, process, log)

        def entries() -> list[dict[str, Any]]:
            assert process.poll() is None, log.read_text()
            try:
                found: list[dict[str, Any]] = ui.ask(_ENTRIES)["workspaceOrError"]["locationEntries"]
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return []
            return found if all(entry["locationOrLoadError"] for entry in found) else []

        try:
            found = {entry["name"]: entry["locationOrLoadError"] for entry in wait_for("both are tried", entries, 120)}
        finally:
            process.send_signal(signal.SIGINT)
    assert found["neighbour"]["repositories"][0]["assetNodes"] == [{"assetKey": {"path": ["counted"]}}]
    assert found["ours"]["__typename"] == "PythonError"
    told = " ".join(one["error"]["message"] for one in found["ours"]["errorChain"])
    assert "ANALYTICS_POSTGRES_HOST, ANALYTICS_POSTGRES_PASSWORD, ANALYTICS_POSTGRES_DBNAME" in told
    assert "-> Set them in the environment" in told
