"""Builds small manifests with the parts that a plan needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import OnOverlap, ScheduleGroup, ScheduleGroups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph

KEYS = ("exposures", "metrics", "semantic_models", "saved_queries", "disabled")


class Manifest:
    """Builds a manifest of the project `p`; each tag is the name of a group that selects it."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.functions: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.unit_tests: dict[str, dict[str, Any]] = {}
        self.others: dict[str, dict[str, Any]] = {key: {} for key in KEYS}
        self.tagged: dict[str, set[str]] = {}

    def model(
        self,
        name: str,
        *reads: str,
        tag: str | Iterable[str] = (),
        materialized: str = "table",
        relation: str | None = None,
    ) -> Manifest:
        """Add a model; ``tag`` names the groups that select it."""
        return self._node("model", name, reads, tag, materialized=materialized, relation=relation or name)

    def seed(self, name: str, *, tag: str | Iterable[str] = (), relation: str | None = None) -> Manifest:
        """Add a seed."""
        self._node("seed", name, (), tag, materialized="seed", relation=relation or name)
        # The dependencies of a seed are macros only.
        self.nodes[f"seed.p.{name}"]["depends_on"] = {"macros": []}
        return self

    def snapshot(self, name: str, *reads: str, tag: str | Iterable[str] = ()) -> Manifest:
        """Add a snapshot."""
        return self._node("snapshot", name, reads, tag, materialized="snapshot", relation=name)

    def function(self, name: str, *reads: str, tag: str | Iterable[str] = ()) -> Manifest:
        """Add a SQL function, which dbt stores separately from nodes."""
        self._node("function", name, reads, tag, materialized="function", relation=name)
        unique_id = f"function.p.{name}"
        self.functions[unique_id] = self.nodes.pop(unique_id)
        return self

    def source(self, name: str, *, relation: str | None = None) -> Manifest:
        """Add a table of the source `s`."""
        unique_id = f"source.p.s.{name}"
        self.sources[unique_id] = {"unique_id": unique_id, "relation_name": _relation(relation or f"s_{name}")}
        return self

    def test(self, name: str, *reads: str, beside: str | None = None, tag: str | Iterable[str] = ()) -> Manifest:
        """Add a data test: attached to a node, or singular."""
        self._node("test", name, reads, tag, severity="error")
        self.nodes[f"test.p.{name}"]["attached_node"] = beside
        return self

    def unit_test(self, name: str, model: str) -> Manifest:
        """Add a unit test of a model."""
        self.unit_tests[f"unit_test.p.{name}"] = {"depends_on": {"nodes": [model]}}
        return self

    def other(self, kind: str, *unique_ids: str) -> Manifest:
        """Add other parts: one of `KEYS`, or an analysis or hook."""
        if kind in self.others:
            self.others[kind].update({unique_id: {} for unique_id in unique_ids})
        for unique_id in () if kind in self.others else unique_ids:
            self.nodes[unique_id] = {
                "resource_type": kind,
                "config": {"materialized": "view"},
                "depends_on": {"nodes": []},
            }
        return self

    @property
    def content(self) -> Mapping[str, Any]:
        """The manifest."""
        own = {key: getattr(self, key) for key in ("nodes", "functions", "sources", "unit_tests")}
        return {**own, **self.others}

    @property
    def graph(self) -> Graph:
        """The manifest's graph."""
        return Graph(self.content)

    def plan(
        self,
        *groups: ScheduleGroup,
        on_overlap: OnOverlap = OnOverlap.ERROR,
        changed: Collection[str] = (),
    ) -> Plan:
        """Return the plan for groups that select by their names; ``changed`` are the nodes that groups' vars change."""
        selected = {one.selection: frozenset(self.tagged.get(one.name, ())) for one in groups if one.selection}
        selected |= {group.changes: frozenset(changed) for group in groups if group.changes}
        return make_plan(ScheduleGroups(groups=groups, on_overlap=on_overlap), self.content, selected)

    def _node(
        self,
        kind: str,
        name: str,
        reads: Sequence[str],
        tag: str | Iterable[str],
        *,
        relation: str | None = None,
        **config: Any,
    ) -> Manifest:
        unique_id = f"{kind}.p.{name}"
        self.nodes[unique_id] = {
            "unique_id": unique_id,
            "resource_type": kind,
            "config": config,
            "relation_name": None if config.get("materialized") == "ephemeral" else _relation(relation),
            "depends_on": {"nodes": list(reads), "macros": []},
        }
        for one in [tag] if isinstance(tag, str) else tag:
            self.tagged.setdefault(one, set()).add(unique_id)
        return self


def group(name: str, **others: Any) -> ScheduleGroup:
    """Return a group that selects the tag of its name."""
    return ScheduleGroup(name=name, select=f"tag:{name}", **others)


def _relation(name: str | None) -> str | None:
    return None if name is None else f'"warehouse"."main"."{name}"'
