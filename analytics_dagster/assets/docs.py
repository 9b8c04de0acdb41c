"""dbt's own documentation of the project, one page that needs no server, as an asset; and links to what is on it.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import orjson

from analytics_dagster.assets.dbt_definitions import DbtDefinitions
from analytics_dagster.assets.keys import DOCS, PROJECT, docs_key
from analytics_dagster.execution.arguments import docs_arguments
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_resource import DbtResource
from analytics_dagster.execution.dbt_supervision import stop_dbt
from analytics_dagster.project.files import read_configuration
from analytics_dagster.redaction import redact, secret_values
from analytics_dagster.settings import environment_variables
from analytics_dagster.warehouse import POOL, Warehouse
from analytics_dagster.warehouse.folder import Folder

PAGE = "index.html"
"""The name of the page, in the folder `dbt_docs` of the reports."""

LINK = "dbt docs"
"""The metadata of an asset that leads to its part of the page."""

_STEP = "generate_dbt_docs"
_FOLDER = "docs"
_STATIC = "static_index.html"
_CATALOG = "catalog.json"
_UNIQUE_ID = "dagster_dbt/unique_id"
_LAST_OF_ALL = "-1000"
_REASON = "CatalogGenerationError"
"""dbt's event that says why it can't describe tables; its error then is only that it can't."""


@dataclass(frozen=True)
class Docs:
    """dbt's documentation of one project: where it goes, and the schedule groups whose runs end with it."""

    project: str
    folder: Folder
    groups: tuple[str, ...]

    @property
    def key(self) -> dg.AssetKey:
        """The key of its asset."""
        return docs_key(self.project)

    @property
    def address(self) -> str:
        """The URL of the page."""
        return self.folder.link(PAGE)

    @property
    def place(self) -> Mapping[str, dg.MetadataValue]:
        """The metadata that says where it is: always its path, and a link where a browser can follow it."""
        link = {} if self.folder.web_url is None else {"link": dg.MetadataValue.url(self.address)}
        return {"path": dg.MetadataValue.path(self.folder.path(PAGE)), **link}

    def link(self, unique_id: str) -> str:
        """Return the address of a node, source or exposure on the page, which a browser can follow."""
        return f"{self.address}#!/{unique_id.partition('.')[0]}/{quote(unique_id)}"


def find_docs(project: str, reports: Folder, dbt_definitions: DbtDefinitions) -> Docs | None:
    """Return the documentation that the schedule groups ask for; None where none does."""
    groups = tuple(part.group.name for part in dbt_definitions.plan.groups if part.group.docs)
    return Docs(project, reports / DOCS, groups) if groups else None


def with_links(dbt_definitions: DbtDefinitions, docs: Docs | None) -> DbtDefinitions:
    """Return the definitions with a link to the documentation on each node, source and exposure.

    Without a web URL of the reports they stay as they are. The links depend on a setting, so they are not cached.
    """
    if docs is None or docs.folder.web_url is None:
        return dbt_definitions
    return replace(
        dbt_definitions,
        sources={unique_id: _linked(spec, docs) for unique_id, spec in dbt_definitions.sources.items()},
        nodes={unique_id: _linked(spec, docs) for unique_id, spec in dbt_definitions.nodes.items()},
        others=tuple(_linked(spec, docs) for spec in dbt_definitions.others),
    )


def _linked(spec: dg.AssetSpec, docs: Docs) -> dg.AssetSpec:
    unique_id = spec.metadata.get(_UNIQUE_ID)
    if not isinstance(unique_id, str):
        return spec
    return spec.merge_attributes(metadata={LINK: dg.MetadataValue.url(docs.link(unique_id))})


def build_docs_asset(docs: Docs, assets: Callable[[], BuildContext]) -> dg.AssetsDefinition:
    """Return the asset of the documentation; ``assets`` is called when it is made.

    It is made after all else of a run, and only if nothing failed in it. Where it can't be made, the log of the run
    says why, in a warning, and the page stays as it was: a build is good without. A run of this asset alone fails.
    """

    # Not by `@asset`, whose step has the name of the asset: those that begin with `dbt_` are builds.
    @dg.multi_asset(
        name=_STEP,
        specs=[
            dg.AssetSpec(
                docs.key,
                description="dbt's own documentation: every node with its columns, tests, code and lineage, on one "
                "page that needs no server.",
                group_name=PROJECT,
                kinds={"dbt", "html"},
                metadata={"comes with": ", ".join(docs.groups), **docs.place},
                skippable=True,
            )
        ],
        pool=POOL,
        op_tags={"dagster/priority": _LAST_OF_ALL},
    )
    def generate(
        context: dg.AssetExecutionContext, dbt: DbtResource, warehouse: Warehouse
    ) -> Iterator[dg.MaterializeResult[None]]:
        if context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
            context.log.info("dbt's documentation stays as it was: something has failed in this run.")
            return
        try:
            metadata = _generate(context, docs, assets(), dbt, warehouse)
        except Exception as error:
            # dbt, the warehouse and each storage have exceptions of their own, and no build fails over its description.
            if context.run.asset_selection == {docs.key}:
                raise
            reason = redact(str(error), secret_values(environment_variables()))
            context.log.warning(f"dbt's documentation was not made, and stays as it was: {reason}")
            return
        context.log.info(f"dbt's documentation is at {docs.address}")
        yield dg.MaterializeResult(asset_key=docs.key, metadata=metadata)

    return generate


def _generate(
    context: dg.AssetExecutionContext, docs: Docs, assets: BuildContext, dbt: DbtResource, warehouse: Warehouse
) -> Mapping[str, Any]:
    """Let dbt make the page, and put it in its place; return what is to be known of it."""
    started = time.monotonic()
    folders = dbt.run_folders(assets, context.run.run_id, _FOLDER)
    made = folders.make(1)
    _call_dbt(context, made, assets, dbt, warehouse)
    catalog = orjson.loads((made / _CATALOG).read_bytes())
    page = (made / _STATIC).read_bytes()
    configuration = read_configuration(assets.project.directory / "dbt_project.yml")
    # The page last: it shows the pictures.
    for name, path in pictures(made, configuration.get("asset-paths") or ()):
        docs.folder.write(name, path.read_bytes())
    docs.folder.write(PAGE, page)
    folders.delete(1)
    return {
        **docs.place,
        "nodes": len(assets.group_of),
        "tables": len(catalog["nodes"]) + len(catalog["sources"]),
        "bytes": len(page),
        "seconds": round(time.monotonic() - started, 2),
    }


def _call_dbt(
    context: dg.AssetExecutionContext, folder: Path, assets: BuildContext, dbt: DbtResource, warehouse: Warehouse
) -> None:
    with warehouse.exclusively() as hold:
        invocation = dbt.invoke(
            docs_arguments(assets.variables),
            target_path=folder,
            location=assets,
            variables=assets.variables,
            warehouse=warehouse,
        )
        hold.note_child(invocation.process.pid)
        try:
            for message in invocation.stream_raw_events():
                if message.raw_event["info"]["name"] == _REASON:
                    context.log.warning(message.raw_event["info"]["msg"].strip())
        finally:
            # Also where the run was canceled.
            stop_dbt(invocation.process)


def pictures(folder: Path, configured: Iterable[str]) -> Sequence[tuple[str, Path]]:
    """Return the files of the project's `asset-paths`, which dbt has copied beside the page, with their names there.

    What dbt has copied to another place than below the folder no page can show.
    """
    found = [path for name in configured for path in sorted((folder / name).resolve().rglob("*")) if path.is_file()]
    return [(path.relative_to(folder).as_posix(), path) for path in found if path.is_relative_to(folder)]
