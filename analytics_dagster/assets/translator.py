"""Turns a dbt node into an asset specification: group, owners, tags, kinds, description, metadata."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from analytics_dagster.assets.keys import dagster_meta, dagster_owners, with_valid_meta
from analytics_dagster.dagster_internals.lazy_dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtProject,
)
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph

SOURCES = "sources"
"""The asset group of dbt sources that this location does not load."""


class Translator(DagsterDbtTranslator):
    """Takes the groups from the plan, the dependencies from the graph, and the rest from the manifest.

    ``keys`` are the asset keys of nodes and sources by unique id.
    """

    def __init__(self, plan: Plan, graph: Graph, keys: Mapping[str, dg.AssetKey]) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_code_references=True, enable_source_metadata=False))
        self._plan = plan
        self._graph = graph
        self._keys = keys
        self._specs: dict[str, dg.AssetSpec] = {}

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Return the specification of a node, function or source, as dagster-dbt does with three differences.

        Dependencies come from the graph: dagster-dbt skips functions, and ignores that a node builds a source. The
        materialization is one of the kinds. Manifest and translator are not in the metadata, so that a load of the
        location needs neither. dagster-dbt copies each specification three times, which takes seconds for a large
        project; here it is made once.
        """
        if unique_id not in self._specs:
            properties = with_valid_meta(self.get_resource_props(manifest, unique_id))
            adapter = manifest["metadata"].get("adapter_type") or "dbt"
            self._specs[unique_id] = dg.AssetSpec(
                key=self._keys[unique_id],
                deps=sorted({self._keys[read] for read in self._reads(unique_id)} - {self._keys[unique_id]}),
                description=self.get_description(properties),
                metadata={
                    **self.get_metadata(properties),
                    "dagster_dbt/unique_id": unique_id,
                    **_code_reference(manifest, properties, project),
                    "dagster/storage_kind": adapter,
                },
                skippable=True,
                group_name=self.get_group_name(properties),
                code_version=self.get_code_version(properties),
                automation_condition=self.get_automation_condition(properties),
                owners=self.get_owners({**properties, "group": _group(manifest, properties)}),
                tags=self.get_tags(properties),
                kinds={"dbt", adapter, *_kinds(self._graph.nodes.get(unique_id))},
            )
        return self._specs[unique_id]

    def _reads(self, unique_id: str) -> Iterable[str]:
        if unique_id in self._graph.nodes:
            return self._graph.reads(unique_id)
        # A source is downstream of the node that builds it.
        return [self._graph.built_as[unique_id]] if unique_id in self._graph.built_as else []

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Return the schedule group of a node."""
        return self._plan.group_of.get(dbt_resource_props["unique_id"], SOURCES)

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the description without the SQL, which the code reference links to."""
        return dbt_resource_props.get("description") or ""

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        """Return the owners of a node: `meta.dagster.owners`, the owner of its dbt group, or `meta.owner`.

        Dagster accepts e-mail addresses and `team:` names; any other name becomes a team.
        """
        meta = (dbt_resource_props.get("config") or {}).get("meta") or dbt_resource_props.get("meta") or {}
        of_dagster = dagster_meta(dbt_resource_props)
        group = dbt_resource_props.get("group")
        owner = group.get("owner") or {} if isinstance(group, dict) else {}
        named = of_dagster.get("owners") or owner.get("email") or owner.get("name") or meta.get("owner")
        return dagster_owners(named)

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        """Return dbt's tags, without those that Dagster rejects."""
        return {tag: "" for tag in dbt_resource_props.get("tags", []) if _VALID_TAG.match(tag)}


_VALID_TAG = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,61}[A-Za-z0-9_]?$")


def _group(manifest: Mapping[str, Any], properties: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the dbt group of a node, or None; it may have an owner."""
    name = properties.get("group")
    groups = manifest.get("groups") or {}
    return next((group for group in groups.values() if group["name"] == name), None) if name else None


def _code_reference(
    manifest: Mapping[str, Any], properties: Mapping[str, Any], project: DbtProject | None
) -> Mapping[str, object]:
    """Return a link to a node's file, unless it is in a package: the manifest does not have its folder."""
    if project is None or properties["package_name"] != manifest["metadata"]["project_name"]:
        return {}
    path = str((project.project_dir / properties["original_file_path"]).resolve())
    # Code references are marked beta; one warning for each node would hide all others.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*CodeReference", category=dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=path)
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def _kinds(node: Mapping[str, Any] | None) -> set[str]:
    if node is None:
        return set()
    materialized = node["config"].get("materialized") or node["resource_type"]
    return {str(materialized), *(["python"] if node.get("language") == "python" else [])}
