"""dbt's documentation, made by the real dbt: after a build, which is good without, and by itself; and in a real S3."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dagster as dg
import pytest
from fsspec.core import url_to_fs

from analytics_dagster.location import build_location, prepare_location
from analytics_dagster.warehouse.folder import Folder
from scripts.servers import run_s3
from tests.conftest import ProjectCopy, copy_project

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

WEB = "https://reports.example.com"
KEY = dg.AssetKey(["dbt_docs", "bare"])

NO_CATALOG = """
{% macro duckdb__get_catalog(information_schema, schemas) %}
  {{ exceptions.raise_compiler_error("there is no catalog today") }}
{% endmacro %}
{% macro duckdb__get_catalog_relations(information_schema, relations) %}
  {{ exceptions.raise_compiler_error("there is no catalog today") }}
{% endmacro %}
"""
"""Macros with which dbt builds as ever, and can't describe what it has built."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> ProjectCopy:
    return copy_project(ProjectCopy(tmp_path_factory.mktemp("bare"), "bare"))


@pytest.fixture(scope="module")
def build(bare: ProjectCopy) -> subprocess.CompletedProcess[str]:
    """Build it, by the bundled groups, where dbt can't make its documentation."""
    (bare.project / "macros").mkdir()
    (bare.project / "macros" / "no_catalog.sql").write_text(NO_CATALOG)
    return bare.run("build")


def page_of(copy: ProjectCopy) -> Path:
    return copy.folder / "data" / "reports" / "dbt_docs" / "index.html"


def test_a_build_is_good_where_dbt_fails_to_describe_it_and_its_log_says_why(
    bare: ProjectCopy, build: subprocess.CompletedProcess[str]
) -> None:
    assert build.returncode == 0, build.stdout + build.stderr
    assert "dbt_docs/bare (not built)" in build.stdout
    with dg.DagsterInstance.from_config(str(bare.folder / "home")) as instance:
        [run] = instance.get_runs()
        warnings = [entry.user_message for entry in instance.all_logs(run.run_id) if entry.level == 30]
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert any("there is no catalog today" in message for message in warnings)
    assert any("dbt's documentation was not updated" in message for message in warnings)
    assert not page_of(bare).exists()


@pytest.mark.usefixtures("build")
def test_it_is_made_by_itself_and_has_every_node_with_the_types_of_its_columns(bare: ProjectCopy) -> None:
    (bare.project / "macros" / "no_catalog.sql").unlink()
    settings = bare.settings(reports_web_url=WEB)
    prepare_location(settings, print)
    definitions = build_location(settings).definitions
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={KEY})
    with dg.DagsterInstance.from_config(str(bare.folder / "home")) as instance:
        done = job.execute_in_process(instance=instance)
        [materialization] = done.asset_materializations_for_node("generate_dbt_docs")
    page = page_of(bare).read_text()
    # Once in the manifest, once in the catalog at least.
    assert all(page.count(f'"seed.bare.{name}"') > 1 for name in ("planets", "moons"))
    assert '"type": "INTEGER"' in page or '"type": "BIGINT"' in page, "what the warehouse alone knows"
    assert "INLINE DATA" not in page
    told = {name: value.value for name, value in materialization.metadata.items()}
    assert told["path"] == str(page_of(bare))
    assert told["link"] == f"{WEB}/dbt_docs/index.html"
    assert told["bytes"] == page_of(bare).stat().st_size
    assert (told["nodes"], told["tables"]) == (2, 2)


def test_what_is_written_to_a_bucket_is_shown_by_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_s3(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        folder = Folder(f"s3://{server.bucket}") / "dbt_docs"
        assert folder.write("index.html", b"<p>")
        assert not folder.write("index.html", b"<p>")
        filesystem, path = url_to_fs(folder.path("index.html"), use_listings_cache=False)
        assert filesystem.info(path)["ContentType"] == "text/html"
        assert filesystem.cat_file(path) == b"<p>"
