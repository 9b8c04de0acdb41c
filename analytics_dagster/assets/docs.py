"""dbt's documentation as an asset: one HTML page that works without a server, and links to it from the other assets.

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
from analytics_dagster.redaction import Redactor, redacted_step
from analytics_dagster.warehouse import POOL, Warehouse
from analytics_dagster.warehouse.folder import Folder

PAGE = "index.html"
"""The name of the page, in the folder `dbt_docs` of the reports."""

LINK = "dbt docs"
"""The metadata of an asset that links to its part of the page."""

_STEP = "generate_dbt_docs"
_FOLDER = "docs"
_STATIC = "static_index.html"
_CATALOG = "catalog.json"
_UNIQUE_ID = "dagster_dbt/unique_id"
_LAST_OF_ALL = "-1000"
_REASON = "CatalogGenerationError"
"""dbt's event with the reason why it can't describe tables; its error message has no reason."""


@dataclass(frozen=True)
class Docs:
    """dbt's documentation of one project: its folder, and the schedule groups whose runs end with it."""

    project: str
    folder: Folder
    groups: tuple[str, ...]

    @property
    def key(self) -> dg.AssetKey:
        """The asset key."""
        return docs_key(self.project)

    @property
    def address(self) -> str:
        """The URL of the page."""
        return self.folder.link(PAGE)

    @property
    def location(self) -> Mapping[str, dg.MetadataValue]:
        """Metadata with the path of the page, and a link if a browser can open it."""
        link = {} if self.folder.web_url is None else {"link": dg.MetadataValue.url(self.address)}
        return {"path": dg.MetadataValue.path(self.folder.path(PAGE)), **link}

    def link(self, unique_id: str) -> str:
        """Return the URL of a node, source or exposure on the page."""
        return f"{self.address}#!/{unique_id.partition('.')[0]}/{quote(unique_id)}"


def find_docs(project: str, reports: Folder, definitions: DbtDefinitions) -> Docs | None:
    """Return the documentation if a schedule group asks for it, else None."""
    groups = tuple(part.group.name for part in definitions.plan.groups if part.group.docs)
    return Docs(project, reports / DOCS, groups) if groups else None


def with_links(definitions: DbtDefinitions, docs: Docs | None) -> DbtDefinitions:
    """Return the definitions with a link to the documentation on each node, source and exposure.

    Without a web URL of the reports they stay as they are. The links depend on a setting, so they are not cached.
    """
    if docs is None or docs.folder.web_url is None:
        return definitions
    return replace(
        definitions,
        sources={unique_id: _linked(spec, docs) for unique_id, spec in definitions.sources.items()},
        nodes={unique_id: _linked(spec, docs) for unique_id, spec in definitions.nodes.items()},
        others=tuple(_linked(spec, docs) for spec in definitions.others),
    )


def _linked(spec: dg.AssetSpec, docs: Docs) -> dg.AssetSpec:
    unique_id = spec.metadata.get(_UNIQUE_ID)
    if not isinstance(unique_id, str):
        return spec
    return spec.merge_attributes(metadata={LINK: dg.MetadataValue.url(docs.link(unique_id))})


def build_docs_asset(docs: Docs, build_context: Callable[[], BuildContext]) -> dg.AssetsDefinition:
    """Return the asset of the documentation; ``build_context`` is called when it is built.

    It is the last step of a run, and skipped if a step failed. An error is logged as a warning and the page is not
    changed, since a build is complete without it. In a run of this asset alone an error fails the run.
    """

    # Not `@asset`: it names the step after the asset, and steps whose names begin with `dbt_` are builds.
    @dg.multi_asset(
        name=_STEP,
        specs=[
            dg.AssetSpec(
                docs.key,
                description="dbt's documentation: every node with its columns, tests, code and lineage, on one page "
                "that works without a server.",
                group_name=PROJECT,
                kinds={"dbt", "html"},
                metadata={"comes with": ", ".join(docs.groups), **docs.location},
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
            context.log.info("dbt's documentation was not updated: a step of this run failed.")
            return
        with redacted_step(context.log, dg.get_dagster_logger()) as redactor:
            try:
                metadata = _generate(context, docs, build_context(), dbt, warehouse)
            except Exception as error:
                # dbt, the warehouse and each storage raise their own exceptions; none of them may fail a build.
                if context.run.asset_selection == {docs.key}:
                    raise
                context.log.warning(f"dbt's documentation was not updated: {redactor.text(str(error))}")
                return
        context.log.info(f"dbt's documentation is at {docs.address}")
        yield dg.MaterializeResult(asset_key=docs.key, metadata=metadata)

    return generate


def _generate(
    context: dg.AssetExecutionContext, docs: Docs, build: BuildContext, dbt: DbtResource, warehouse: Warehouse
) -> Mapping[str, Any]:
    """Generate the page with dbt and write it to its folder; return the metadata."""
    started = time.monotonic()
    folders = dbt.run_folders(build, context.run.run_id, _FOLDER)
    folder = folders.make(1)
    _call_dbt(context, folder, build, dbt, warehouse)
    catalog = orjson.loads((folder / _CATALOG).read_bytes())
    # It contains each node's compiled SQL.
    page = Redactor.of().values((folder / _STATIC).read_text(encoding="utf-8")).encode()
    asset_paths = build.project.files.rendered("asset-paths", build.project.target.properties)
    # The page is last, since it refers to the pictures.
    for name, path in pictures(folder, asset_paths or ()):
        docs.folder.write(name, path.read_bytes())
    docs.folder.write(PAGE, page)
    folders.delete(1)
    return {
        **docs.location,
        "nodes": len(build.group_of),
        "tables": len(catalog["nodes"]) + len(catalog["sources"]),
        "bytes": len(page),
        "seconds": round(time.monotonic() - started, 2),
    }


def _call_dbt(
    context: dg.AssetExecutionContext, folder: Path, build: BuildContext, dbt: DbtResource, warehouse: Warehouse
) -> None:
    with warehouse.exclusively() as hold:
        invocation = dbt.invoke(
            docs_arguments(build.variables),
            target_path=folder,
            location=build,
            variables=build.variables,
            warehouse=warehouse,
        )
        hold.record_child(invocation.process.pid)
        try:
            for message in invocation.stream_raw_events():
                if message.raw_event["info"]["name"] == _REASON:
                    context.log.warning(message.raw_event["info"]["msg"].strip())
        finally:
            # Also if the run is canceled.
            stop_dbt(invocation.process)


def pictures(folder: Path, configured: Iterable[str]) -> Sequence[tuple[str, Path]]:
    """Return the files of the project's `asset-paths` that dbt copied into the folder, with their names there.

    The page can't refer to files outside of the folder.
    """
    found = [path for name in configured for path in sorted((folder / name).resolve().rglob("*")) if path.is_file()]
    return [(path.relative_to(folder).as_posix(), path) for path in found if path.is_relative_to(folder)]
