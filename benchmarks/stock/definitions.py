"""The code from the tutorials of Dagster and dagster-dbt: one `@dbt_assets`, job and schedule per tag."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

project = DbtProject(project_dir=Path(__file__).parent / "project")
project.prepare_if_dev()


@dbt_assets(manifest=project.manifest_path, project=project, select="tag:hourly")
def hourly_assets(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:  # noqa: D103 - as in the tutorials
    yield from dbt.cli(["build"], context=context).stream()


@dbt_assets(manifest=project.manifest_path, project=project, select="tag:nightly")
def nightly_assets(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:  # noqa: D103 - as in the tutorials
    yield from dbt.cli(["build"], context=context).stream()


hourly = dg.define_asset_job("hourly", selection=[hourly_assets])
nightly = dg.define_asset_job("nightly", selection=[nightly_assets])

defs = dg.Definitions(
    assets=[hourly_assets, nightly_assets],
    jobs=[hourly, nightly],
    schedules=[
        dg.ScheduleDefinition(job=hourly, cron_schedule="0 * * * *"),
        dg.ScheduleDefinition(job=nightly, cron_schedule="0 6 * * *"),
    ],
    resources={"dbt": DbtCliResource(project_dir=project)},
)
