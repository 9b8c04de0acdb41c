"""Schedule groups proposed from a project's tags and meta, so that their plan has no problem. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analytics_dagster.cli.init.cadence import DAILY, Cadence, cadence_of
from analytics_dagster.ingestion.tables import landing_sources
from analytics_dagster.project.graph import Graph

_META = ("schedule", "cadence", "frequency", "refresh", "refresh_frequency", "update_frequency")
_DEFAULTS = ("nightly", "daily", "weekdays")
"""Which group takes what no tag speaks of, if there is one of them: the first."""


@dataclass(frozen=True)
class ProposedGroup:
    """A schedule group, and in ``notes`` why it is as it is."""

    cadence: Cadence
    select: str
    default: bool = False
    after_ingestion: bool = False
    reads_previous: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The group's name, and its job's."""
        return self.cadence.name


@dataclass(frozen=True)
class Proposal:
    """The groups, the most frequent first; ``first_wins`` says that selections overlap, and what that is to mean."""

    groups: tuple[ProposedGroup, ...]
    first_wins: bool


@dataclass
class _Draft:
    cadence: Cadence
    methods: set[str] = field(default_factory=set)
    tagged: set[str] = field(default_factory=set)


def propose(manifest: Mapping[str, Any]) -> Proposal:
    """Return a group for each cadence that nodes name, and a default one for all others.

    A group whose nodes read some that name no cadence takes these along (`+`), since they would be older than what
    reads them. One that reads nodes of a slower cadence reads them as the last run left them. So no group waits for
    a slower one, and there is no circle.
    """
    graph = Graph(manifest)
    drafts = _drafts(graph)
    if not drafts:
        only = ProposedGroup(DAILY, "*", default=True, notes=("no tag says when a node runs",))
        return Proposal((_with_ingestion(only, manifest),), first_wins=False)
    default = _default(drafts)
    groups: list[ProposedGroup] = []
    selected: list[set[str]] = []
    taken: dict[str, str] = {}
    untagged = graph.built - set().union(*(draft.tagged for draft in drafts))
    for draft in drafts:
        is_default = draft.cadence == default
        needed = graph.upstream(frozenset(draft.tagged)) - taken.keys()
        with_all = bool(needed & untagged) and not is_default
        chosen = draft.tagged | (needed if with_all else set())
        selected.append(draft.tagged | graph.upstream(frozenset(draft.tagged)) if with_all else draft.tagged)
        for node in chosen - taken.keys():
            taken[node] = draft.cadence.name
        methods = sorted(draft.methods) or [f"tag:{draft.cadence.name}"]
        select = " ".join(f"+{method}" if with_all else method for method in methods)
        notes = (f"{len(needed)} nodes that it reads are not tagged so, and run with it",) * with_all
        groups.append(ProposedGroup(draft.cadence, select, default=is_default, notes=notes))
    group_of = {node: taken.get(node, default.name) for node in graph.built}
    place = {group.name: number for number, group in enumerate(groups)}
    slower = _slower(graph, group_of, place)
    # One whose nodes all run with a more frequent one has nothing to run.
    used = {default.name, *group_of.values()}
    groups = [replace(one, reads_previous=tuple(slower.get(one.name, ()))) for one in groups if one.name in used]
    return Proposal((_with_ingestion(groups[0], manifest), *groups[1:]), first_wins=_overlap(selected))


def _drafts(graph: Graph) -> list[_Draft]:
    """Return what each cadence is called and which nodes name it, the most frequent first."""
    drafts: dict[Cadence, _Draft] = {}
    for node in sorted(graph.built):
        for method, cadence in _cadences(graph.nodes[node]):
            draft = drafts.setdefault(cadence, _Draft(cadence))
            draft.methods.add(method)
            draft.tagged.add(node)
    found = sorted(drafts.values(), key=lambda draft: draft.cadence)
    left = graph.built - set().union(*(draft.tagged for draft in found))
    if found and left and not any(draft.cadence.name in _DEFAULTS for draft in found):
        found = sorted([*found, _Draft(DAILY)], key=lambda draft: draft.cadence)
    return found


def _cadences(node: Mapping[str, Any]) -> Iterator[tuple[str, Cadence]]:
    """Yield how dbt selects what names a cadence as this node does, and the cadence."""
    config = node.get("config") or {}
    named = [(f"tag:{tag}", str(tag)) for tag in node.get("tags") or config.get("tags") or []]
    meta = config.get("meta") or node.get("meta") or {}
    named += [(f"config.meta.{key}:{meta[key]}", str(meta[key])) for key in _META if isinstance(meta.get(key), str)]
    for method, word in named:
        cadence = cadence_of(word)
        # In dbt's selection syntax a space means "or", a comma "and", and these are patterns.
        if cadence is not None and not set(" ,*?[]+@") & set(method):
            yield method, cadence


def _default(drafts: Sequence[_Draft]) -> Cadence:
    cadences = {draft.cadence.name: draft.cadence for draft in drafts}
    known = [cadences[name] for name in _DEFAULTS if name in cadences]
    return known[0] if known else drafts[-1].cadence


def _slower(graph: Graph, group_of: Mapping[str, str], place: Mapping[str, int]) -> Mapping[str, list[str]]:
    """Return, for each group, the slower ones whose nodes it reads."""
    found: dict[str, set[str]] = defaultdict(set)
    for node, group in group_of.items():
        for parent in graph.parents(node):
            if place[group_of[parent]] > place[group]:
                found[group].add(group_of[parent])
    return {group: sorted(others, key=place.__getitem__) for group, others in found.items()}


def _overlap(selected: Sequence[set[str]]) -> bool:
    return sum(map(len, selected)) > len(set().union(*selected))


def _with_ingestion(group: ProposedGroup, manifest: Mapping[str, Any]) -> ProposedGroup:
    """Return the most frequent group, started by new files too where sources say how files land."""
    return replace(group, after_ingestion=bool(landing_sources(manifest["sources"])))
