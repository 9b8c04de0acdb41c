"""dbt's documentation as an asset: the runs that build it, links to it, and errors.

`tests/integration/test_dbt_docs.py` uses the real dbt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from analytics_dagster.assets.definitions_cache import CACHE_FILE
from analytics_dagster.assets.docs import LINK, Docs, build_docs_asset, pictures
from analytics_dagster.errors import WarehouseError
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_resource import DbtResource
from analytics_dagster.location import Location, build_location, prepare_location
from analytics_dagster.warehouse import Warehouse
from analytics_dagster.warehouse.folder import Folder

if TYPE_CHECKING:
    from tests.conftest import Library

WEB = "https://reports.example.com"
KEY = dg.AssetKey(["dbt_docs", "lending_library"])
SHELF = "shelf"


def ask(library: Library, *groups: str) -> None:
    """Set `docs: true` for these groups."""
    assert library.groups_file is not None
    text = library.groups_file.read_text()
    for group in groups:
        name = f"- name: {group}\n"
        assert name in text
        text = text.replace(name, f"{name}    docs: true\n")
    library.groups_file.write_text(text)


def locate(library: Library, **others: Any) -> Location:
    settings = library.settings(**others)
    prepare_location(settings, print)
    return build_location(settings)


def links(location: Location) -> Mapping[str, str]:
    """Return the links to the documentation by asset."""
    graph = location.definitions.resolve_asset_graph()
    found = {key.to_user_string(): graph.get(key).metadata.get(LINK) for key in graph.get_all_asset_keys()}
    return {key: str(link.value) for key, link in found.items() if link is not None}


# --- in which runs ------------------------------------------------------------------------------------------


def test_only_runs_of_groups_with_docs_build_the_documentation(prepared: Library) -> None:
    ask(prepared, "opening_time")
    location = locate(prepared)
    built = {
        name: KEY in location.definitions.resolve_job_def(name).asset_layer.selected_asset_keys
        for name in ("opening_time", "closing_time")
    }
    assert built == {"opening_time": True, "closing_time": False}
    spec = location.definitions.resolve_asset_graph().get(KEY)
    assert spec.group_name == "project"
    assert spec.metadata["comes with"] == "opening_time"
    assert not spec.parent_keys, "it belongs to the whole project"


def test_several_groups_may_build_the_documentation(prepared: Library) -> None:
    ask(prepared, "opening_time", "closing_time")
    location = locate(prepared)
    for name in ("opening_time", "closing_time"):
        assert KEY in location.definitions.resolve_job_def(name).asset_layer.selected_asset_keys
    policy = location.policies.of(dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=frozenset({KEY})))
    assert policy is not None, "it is retried like other runs"


def test_without_a_group_with_docs_there_is_no_asset_and_no_link(prepared: Library) -> None:
    location = locate(prepared, reports_web_url=WEB)
    assert location.dbt_assets.docs is None
    assert KEY not in location.definitions.resolve_asset_graph().get_all_asset_keys()
    assert links(location) == {}


# --- links --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unique_id", "part"),
    [
        ("model.shop.orders", "#!/model/model.shop.orders"),
        ("model.bank.customers.v2", "#!/model/model.bank.customers.v2"),
        ("source.shop.raw.orders", "#!/source/source.shop.raw.orders"),
        ("exposure.shop.board", "#!/exposure/exposure.shop.board"),
        ("model.shop.größe", "#!/model/model.shop.gr%C3%B6%C3%9Fe"),
    ],
)
def test_a_link_has_the_fragment_that_dbt_gives_the_node(unique_id: str, part: str) -> None:
    docs = Docs("shop", Folder("s3://bucket/dbt_docs", web_url=f"{WEB}/dbt_docs"), ("nightly",))
    assert docs.link(unique_id) == f"{WEB}/dbt_docs/index.html{part}"


def test_every_node_source_and_exposure_links_to_the_page_if_it_has_a_web_url(prepared: Library) -> None:
    ask(prepared, "opening_time")
    found = links(locate(prepared, reports_web_url=WEB))
    page = f"{WEB}/dbt_docs/index.html#!"
    assert found["circulation/members"] == f"{page}/model/model.lending_library.members"
    assert found["seeded/loans"] == f"{page}/source/source.lending_library.seeded.loans"
    assert found["exposures/front_desk_screen"] == f"{page}/exposure/exposure.lending_library.front_desk_screen"
    assert found["books"] == f"{page}/seed/seed.lending_library.books"
    assert len(found) == 8


def test_without_a_web_url_the_asset_has_only_a_path(prepared: Library) -> None:
    ask(prepared, "opening_time")
    location = locate(prepared)
    assert links(location) == {}
    metadata = location.definitions.resolve_asset_graph().get(KEY).metadata
    assert metadata["path"] == dg.MetadataValue.path(str(prepared.folder / "data/reports/dbt_docs/index.html"))
    assert "link" not in metadata
    found = locate(prepared, reports_web_url=WEB).definitions.resolve_asset_graph().get(KEY).metadata
    assert found["link"] == dg.MetadataValue.url(f"{WEB}/dbt_docs/index.html")
    assert found["path"] == metadata["path"]


def test_links_follow_the_current_settings_and_are_not_cached(prepared: Library) -> None:
    ask(prepared, "opening_time")
    first = links(locate(prepared, reports_web_url="https://old.example.com"))
    kept = (prepared.artifacts / CACHE_FILE).read_bytes()
    assert b"old.example.com" not in kept
    second = links(locate(prepared, reports_web_url=WEB))
    assert (prepared.artifacts / CACHE_FILE).read_bytes() == kept
    assert first.keys() == second.keys()
    assert {link.partition("/dbt_docs")[0] for link in second.values()} == {WEB}


def test_a_picture_is_written_with_the_name_that_the_page_uses(tmp_path: Path) -> None:
    for name in ("made/assets/flow/one.png", "made/assets/two.png", "made/compiled/orders.sql", "beside/three.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    made = tmp_path / "made"
    assert pictures(made, ["assets", "../beside", "absent"]) == [
        ("assets/flow/one.png", made / "assets/flow/one.png"),
        ("assets/two.png", made / "assets/two.png"),
    ]
    assert pictures(made, []) == []


# --- errors -----------------------------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@dg.asset
def zebra() -> None:
    """Be the last asset by name."""


@dg.asset(name="aardvark")
def fails() -> None:
    """Be the first asset by name."""
    raise dg.Failure("on purpose")


def run(
    instance: dg.DagsterInstance, folder: Path, *others: dg.AssetsDefinition, asked: list[str]
) -> tuple[dg.ExecuteInProcessResult, str]:
    """Run the documentation, which fails, with other assets; return the result and the log."""

    def assets() -> BuildContext:
        asked.append("for the assets")
        raise WarehouseError("The token=hush3000 is no good.", remedy="Get another.")

    docs = Docs("lending_library", Folder(str(folder)), ("nightly",))
    everything = [*others, build_docs_asset(docs, assets)]
    dbt = DbtResource(
        project_dir="", profiles_dir="", profile="", target="", runner="warm", artifacts="all", artifacts_days=7.0
    )
    resources = {"dbt": dbt, "warehouse": Warehouse(adapter="duckdb", path="", lock_timeout=1.0)}
    definitions = dg.Definitions(assets=everything, resources=resources, jobs=[dg.define_asset_job("everything", "*")])
    done = definitions.resolve_job_def("everything").execute_in_process(
        instance=instance,
        raise_on_error=False,
        asset_selection=None if others else [KEY],
    )
    return done, "\n".join(entry.user_message for entry in instance.all_logs(done.run_id))


def test_a_run_succeeds_without_the_documentation_and_logs_the_reason(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    asked: list[str] = []
    done, log = run(instance, tmp_path, zebra, asked=asked)
    assert done.success
    assert asked == ["for the assets"]
    assert "dbt's documentation was not updated: The token=*** is no good." in log
    assert "Get another." in log
    assert done.get_asset_materialization_events()[0].asset_key == zebra.key
    assert len(done.get_asset_materialization_events()) == 1


def test_a_run_of_the_documentation_alone_fails(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    done, _ = run(instance, tmp_path, asked=[])
    assert not done.success
    [failure] = done.filter_events(lambda event: event.is_step_failure)
    assert "is no good" in str(failure.step_failure_data.error)


def test_it_is_the_last_step_and_skipped_after_a_failed_step(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    asked: list[str] = []
    done, log = run(instance, tmp_path, zebra, fails, asked=asked)
    assert not done.success
    assert asked == [], "dbt was not to be called"
    assert "dbt's documentation was not updated: a step of this run failed." in log
    started = [event.step_key for event in done.filter_events(lambda event: event.is_step_start)]
    assert started[-1] == "generate_dbt_docs"
    assert [event.step_key for event in done.filter_events(lambda event: event.is_step_failure)] == ["aardvark"]
