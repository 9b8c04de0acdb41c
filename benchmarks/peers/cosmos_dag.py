"""The DAG of Cosmos' documentation: a task group from the dbt manifest, one task per model and its tests."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from cosmos import (  # type: ignore[import-not-found] # installed in a separate environment
    DbtDag,
    ExecutionConfig,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
)

project = Path(os.environ["BENCHMARK_PROJECT"])

nightly = DbtDag(
    dag_id="nightly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    schedule=None,
    project_config=ProjectConfig(dbt_project_path=project, manifest_path=project / "target" / "manifest.json"),
    profile_config=ProfileConfig(
        profile_name="large", target_name="local", profiles_yml_filepath=project / "profiles.yml"
    ),
    execution_config=ExecutionConfig(dbt_executable_path=os.environ["BENCHMARK_DBT"]),
    render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, select=[os.environ["BENCHMARK_SELECTION"]]),
)
