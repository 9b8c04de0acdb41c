"""Asset keys and names that Dagster accepts for the parts of a dbt project, without collisions."""

from __future__ import annotations

import itertools
import keyword
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from analytics_dagster.planning.plan import Plan, Problem
from analytics_dagster.project.graph import Graph

if TYPE_CHECKING:
    from analytics_dagster.dagster_internals.lazy_dagster_dbt import DagsterDbtTranslator

EXPOSURES = "exposures"
"""The asset group of dbt's exposures, and the first part of their keys."""

PROJECT = "project"
"""The asset group of assets that belong to the whole dbt project."""

DOCS = "dbt_docs"
"""The first part of the key of dbt's documentation, and its folder in the reports."""

RESERVED = frozenset(
    {
        *keyword.kwlist,
        *("context", "conf", "config", "meta", "arg_dict", "dict", "input_arg_dict", "output_arg_dict"),
        *("int", "str", "float", "bool", "input", "output", "type"),
    }
)
"""Names that Dagster accepts for no input or output; a test compares them with Dagster's list."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")
_EMAIL = re.compile(r"^[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}$")

Thing = TypeVar("Thing")


def asset_key(resource: Mapping[str, Any]) -> dg.AssetKey:
    """Return the asset key of a node, function, source or exposure, as dagster-dbt does.

    dagster-dbt has no assets for exposures: their key is `exposures` and the name. For each of them
    `meta: {dagster: {asset_key: [...]}}` sets another key.
    """
    if resource["resource_type"] == "exposure" and not dagster_meta(resource).get("asset_key"):
        return dg.AssetKey([EXPOSURES, resource["name"]])
    return _stock_translator().get_asset_key(with_valid_meta(resource))


def dagster_meta(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `meta.dagster` of a resource says; what has a wrong type is left out, see `wrong_meta`."""
    meta = (resource.get("config") or {}).get("meta") or resource.get("meta") or {}
    return _valid(meta.get("dagster"))


def with_valid_meta(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a resource whose `meta.dagster` dagster-dbt can read: it raises bare exceptions for wrong types."""
    config = resource.get("config") or {}
    metas = [meta for meta in (resource.get("meta"), config.get("meta")) if meta and "dagster" in meta]
    if all(_valid(meta["dagster"]) == meta["dagster"] for meta in metas):
        return resource
    return {
        **resource,
        "meta": _with_valid_dagster(resource.get("meta")),
        "config": {**config, "meta": _with_valid_dagster(config.get("meta"))},
    }


def wrong_meta(resource: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with `meta.dagster` of a resource. Empty values say nothing and are not wrong."""
    meta = (resource.get("config") or {}).get("meta") or resource.get("meta") or {}
    found = meta.get("dagster")
    if not found:
        return []
    if not isinstance(found, dict):
        return [f"`dagster` is {found!r}, and not a mapping"]
    wrong = {key: value for key, value in found.items() if key not in _valid(found) and value not in (None, [], {}, "")}
    return [f"`{key}` is {value!r}, and not {_META[key][1]}" for key, value in wrong.items()]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_names(value: Any) -> bool:
    return _is_name(value) or (isinstance(value, list) and bool(value) and all(map(_is_name, value)))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


_META: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "asset_key": (_are_names, "a name or a list of names"),
    "owners": (_are_names, "a name or a list of names"),
    "group": (_is_name, "a name"),
    "auto_materialize_policy": (_is_mapping, "a mapping"),
    "freshness_policy": (_is_mapping, "a mapping"),
}
"""The values of `meta.dagster` that have a type: whether a value has it, and its description."""


def _valid(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if key not in _META or _META[key][0](value)}


def _with_valid_dagster(meta: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {**(meta or {}), "dagster": _valid((meta or {}).get("dagster"))}


def asset_keys(manifest: Mapping[str, Any], graph: Graph) -> Mapping[str, dg.AssetKey]:
    """Return the asset keys of built nodes, sources and exposures by unique id."""
    return {resource["unique_id"]: asset_key(resource) for resource in _resources(manifest, graph)}


def _resources(manifest: Mapping[str, Any], graph: Graph) -> list[Mapping[str, Any]]:
    return [
        *(graph.nodes[node] for node in sorted(graph.built)),
        *(manifest["sources"][source] for source in sorted(manifest["sources"])),
        *exposures(manifest),
    ]


def exposures(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the enabled exposures; the manifest may contain disabled ones."""
    found = [manifest["exposures"][unique_id] for unique_id in sorted(manifest["exposures"])]
    return [exposure for exposure in found if (exposure.get("config") or {}).get("enabled", True)]


def project_key(manifest: Mapping[str, Any]) -> dg.AssetKey:
    """Return the key of the project's own asset, for the checks of tests that read nothing."""
    return dg.AssetKey(manifest["metadata"]["project_name"])


def docs_key(project: str) -> dg.AssetKey:
    """Return the key of dbt's documentation; it has the project's name, since an instance may have several projects."""
    return dg.AssetKey([DOCS, project])


def same_assets(keys: Mapping[str, dg.AssetKey], graph: Graph) -> frozenset[str]:
    """Return the sources that are the same asset as the node that builds their relation: they have the same key."""
    return frozenset(source for source, node in graph.built_as.items() if keys[source] == keys[node])


def check_asset_keys(plan: Plan, manifest: Mapping[str, Any]) -> Plan:
    """Return the plan, with problems if `meta.dagster` can't be used, or if two assets have the same key."""
    graph = Graph(manifest)
    keys = asset_keys(manifest, graph)
    wrong = [
        f"{resource['unique_id']} ({resource['original_file_path']}): {problem}"
        for resource in _resources(manifest, graph)
        for problem in wrong_meta(resource)
    ]
    if wrong:
        problem = Problem(
            code="invalid-meta",
            message="`meta.dagster` of these nodes, sources or exposures can't be used:",
            nodes=tuple(wrong),
            remedy="Correct these values in the properties of each, or remove them.",
        )
        plan = replace(plan, problems=(*plan.problems, problem))
    merged = same_assets(keys, graph)
    sharing: dict[dg.AssetKey, list[str]] = defaultdict(list)
    for unique_id, key in keys.items():
        if unique_id not in merged:
            sharing[key].append(unique_id)
    if any(test.node is None for test in plan.tests.values()):
        sharing[project_key(manifest)].append("the project itself")
    if any(part.group.docs for part in plan.groups):
        sharing[docs_key(manifest["metadata"]["project_name"])].append("dbt's documentation")
    colliding = [(key, unique_ids) for key, unique_ids in sorted(sharing.items()) if len(unique_ids) > 1]
    if not colliding:
        return plan
    problem = Problem(
        code="asset-key-collision",
        message="Several nodes, sources or exposures have the same asset key:",
        nodes=tuple(
            f"{unique_id} (asset {key.to_user_string()})" for key, unique_ids in colliding for unique_id in unique_ids
        ),
        remedy="Set another key for all but one of them: in the properties of each, "
        "`config: {meta: {dagster: {asset_key: [any, other, name]}}}`; for a node of a package in dbt_project.yml, "
        "`models: {the_package: {the_model: {+meta: {dagster: {asset_key: [any, other, name]}}}}}`.",
    )
    return replace(plan, problems=(*plan.problems, problem))


def dagster_names(wanted: Iterable[tuple[Thing, str]]) -> dict[str, Thing]:
    """Return things by unique names that Dagster accepts for inputs and outputs, given the wanted names.

    A character that no name may have becomes `_`. A name that an earlier thing has gets a number: the order must be the
    same in every process.
    """
    named: dict[str, Thing] = {}
    for thing, name in wanted:
        plain = _NOT_IN_A_NAME.sub("_", name)
        first = f"{plain}_" if plain in RESERVED else plain
        candidates = itertools.chain([first], (f"{plain}_{number}" for number in itertools.count(2)))
        named[next(candidate for candidate in candidates if candidate not in named)] = thing
    return named


def dagster_owners(named: Any) -> list[str]:
    """Return one owner or several in a form that Dagster accepts; an empty or invalid owner is left out."""
    names = [named] if isinstance(named, str) else named if isinstance(named, list | tuple) else []
    return [dagster_owner(name) for name in names if isinstance(name, str) and name.strip()]


def dagster_owner(name: str) -> str:
    """Return an owner in a form that Dagster accepts: an e-mail address, or `team:` and a slug."""
    if _EMAIL.match(name) or name.startswith("team:"):
        return name
    return "team:" + (re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "unknown")


@cache
def _stock_translator() -> DagsterDbtTranslator:
    # A load from the cache does not import dagster-dbt.
    from analytics_dagster.dagster_internals.lazy_dagster_dbt import DagsterDbtTranslator

    return DagsterDbtTranslator()
