"""How a dbt node looks in Dagster: group, owners, tags, kinds, description, metadata."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.lazy_dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtProject,
)
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph

SOURCES = "sources"
"""The asset group of the dbt sources that this location does not load itself."""


class Translator(DagsterDbtTranslator):
    """Takes the group and what is read from the plan and its graph, and the rest from the manifest.

    ``keys`` are the asset keys of nodes and sources by unique id.
    """

    def __init__(self, plan: Plan, graph: Graph, keys: Mapping[str, dg.AssetKey]) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_code_references=True, enable_source_metadata=False))
        self._plan = plan
        self._graph = graph
        self._keys = keys
        self._specs: dict[str, dg.AssetSpec] = {}

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Return the specification of a node, function or source, as dagster-dbt makes it but for what is said here.

        It depends on what the graph says that it reads: dagster-dbt looks through functions, and does not know that
        a source is the relation of a node. Its materialization is one of its kinds. It is made at once, where
        dagster-dbt makes one, and three copies with more metadata each: in a large project that takes seconds. The
        manifest and this translator are not in its metadata: then nothing that loads the location has to have them.
        """
        if unique_id not in self._specs:
            properties = self.get_resource_props(manifest, unique_id)
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
        # A source that a node builds comes after it.
        return [self._graph.built_as[unique_id]] if unique_id in self._graph.built_as else []

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Return the schedule group of a node."""
        return self._plan.group_of.get(dbt_resource_props["unique_id"], SOURCES)

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Return the description alone: the SQL is one click away by its code reference."""
        return dbt_resource_props.get("description") or ""

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        """Return who owns a node: `meta.dagster.owners`, its dbt group's owner, or `meta.owner`.

        Dagster takes e-mail addresses and `team:` names; another name becomes a team's.
        """
        meta = (dbt_resource_props.get("config") or {}).get("meta") or dbt_resource_props.get("meta") or {}
        group = dbt_resource_props.get("group")
        owner = group.get("owner") or {} if isinstance(group, dict) else {}
        named = (
            (meta.get("dagster") or {}).get("owners") or owner.get("email") or owner.get("name") or meta.get("owner")
        )
        names = [named] if isinstance(named, str) else named or []
        return [dagster_owner(name) for name in names if isinstance(name, str) and name.strip()]

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        """Return dbt's tags, without those that Dagster's rules for tags forbid."""
        return {tag: "" for tag in dbt_resource_props.get("tags", []) if _VALID_TAG.match(tag)}


_VALID_TAG = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,61}[A-Za-z0-9_]?$")


_EMAIL = re.compile(r"^[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}$")


def dagster_owner(name: str) -> str:
    """Return an owner's name in a form that Dagster takes: an e-mail address, or `team:` and a slug."""
    if _EMAIL.match(name) or name.startswith("team:"):
        return name
    return "team:" + (re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "unknown")


def _group(manifest: Mapping[str, Any], properties: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the dbt group of a node, which has an owner."""
    name = properties.get("group")
    groups = manifest.get("groups") or {}
    return next((group for group in groups.values() if group["name"] == name), None) if name else None


def _code_reference(
    manifest: Mapping[str, Any], properties: Mapping[str, Any], project: DbtProject | None
) -> Mapping[str, object]:
    """Return a link to a node's file, unless it is a package's: dbt does not tell where that lies."""
    if project is None or properties["package_name"] != manifest["metadata"]["project_name"]:
        return {}
    path = str((project.project_dir / properties["original_file_path"]).resolve())
    # Beta in Dagster's words, though years old; the message for each node would bury all others.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*CodeReference", category=dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=path)
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def _kinds(node: Mapping[str, Any] | None) -> set[str]:
    if node is None:
        return set()
    materialized = node["config"].get("materialized") or node["resource_type"]
    return {str(materialized), *(["python"] if node.get("language") == "python" else [])}
