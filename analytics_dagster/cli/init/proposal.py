"""Proposes schedule groups from the tags and meta of a project, such that their plan has no problem. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from analytics_dagster.ingestion.tables import landing_sources
from analytics_dagster.project.graph import Graph


@dataclass(frozen=True, order=True)
class Cadence:
    """How often something runs: the interval in hours, the name of its schedule group, and the cron expression."""

    hours: float
    name: str
    cron: str


_DAY, _WEEK, _MONTH = 24.0, 168.0, 730.0  # hours
# All cadences of a day or more tick at the same minute, so that a downstream group waits for the upstream one.
_CADENCES = {
    word: Cadence(hours, words.split()[0], cron)
    for words, hours, cron in (
        ("intraday", 0.25, "*/15 * * * *"),
        ("hourly", 1.0, "0 * * * *"),
        ("daily", _DAY, "0 6 * * *"),
        ("nightly overnight", _DAY, "0 6 * * *"),
        ("weekdays weekday workdays workday", _DAY * 1.4, "0 6 * * 1-5"),
        ("weekly", _WEEK, "0 6 * * 1"),
        ("monthly", _MONTH, "0 6 1 * *"),
        ("quarterly", _MONTH * 3, "0 6 1 1,4,7,10 *"),
        ("yearly annually annual", _MONTH * 12, "0 6 1 1 *"),
    )
    for word in words.split()
}
"""The cadence of each word; the first word is the name of its group."""

_DAILY = _CADENCES["daily"]
_INTERVAL = re.compile(r"(\d{1,2})(m|min|mins|minute|minutes|h|hr|hrs|hour|hours)")
_FILLER = re.compile("schedule|scheduled|runs?|refresh|refreshed|updated?|frequency|freq|cadence|every|job|build|group")
_META_KEYS = ("schedule", "cadence", "frequency", "refresh", "refresh_frequency", "update_frequency")
_DEFAULT_GROUPS = ("nightly", "daily", "weekdays")
"""The first of these that exists is the default group."""


@dataclass(frozen=True)
class ProposedGroup:
    """A schedule group; ``notes`` explain its selection."""

    cadence: Cadence
    select: str
    default: bool = False
    after_ingestion: bool = False
    reads_previous: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the group and of its job."""
        return self.cadence.name


@dataclass(frozen=True)
class Proposal:
    """The groups, most frequent first; ``first_wins`` says that selections overlap and the first group takes a node."""

    groups: tuple[ProposedGroup, ...]
    first_wins: bool


def cadence_of(word: str) -> Cadence | None:
    """Return the cadence that a tag or a value of meta names, or None.

    `hourly`, `schedule:daily`, `refresh-weekly`, `every_15_minutes` and `2h` name one; `daily_active_users` does not.
    """
    parts = [part for part in re.split(r"[^a-z0-9]+", word.lower()) if part and not _FILLER.fullmatch(part)]
    text = "".join(parts)
    interval = _INTERVAL.fullmatch(text)
    if interval is not None:
        return _every(int(interval[1]), is_minutes=interval[2].startswith("m"))
    return _CADENCES.get(text) if len(parts) == 1 else None


def _every(number: int, *, is_minutes: bool) -> Cadence | None:
    """Return the cadence of an interval that divides an hour or a day, else None."""
    unit, whole = ("minutes", 60) if is_minutes else ("hours", 24)
    if number == 0 or whole % number:
        return None
    hours = number / 60 if is_minutes else float(number)
    cron = f"*/{number} * * * *" if is_minutes else f"0 */{number} * * *"
    known = {1.0: _CADENCES["hourly"], _DAY: _DAILY}
    return known.get(hours, Cadence(hours, f"every_{number}_{unit}", cron))


def propose(manifest: Mapping[str, Any]) -> Proposal:
    """Return a group for each cadence that nodes name, and a default group for the other nodes.

    A group whose nodes read nodes without a cadence also builds those (`+`): otherwise they would be older than what
    reads them. A group that reads nodes of a slower cadence uses the results of their last run. So no group waits for a
    slower one, and there is no cycle.
    """
    graph = Graph(manifest)
    drafts = _drafts(graph)
    if not drafts:
        only = ProposedGroup(_DAILY, "*", default=True, notes=("no tag says when a node runs",))
        return Proposal((_with_ingestion(only, manifest),), first_wins=False)
    cadences = {draft.cadence.name: draft.cadence for draft in drafts}
    default = next((cadences[name] for name in _DEFAULT_GROUPS if name in cadences), drafts[-1].cadence)
    groups: list[ProposedGroup] = []
    selected: list[set[str]] = []
    group_of: dict[str, str] = {}
    untagged = graph.built - set().union(*(draft.tagged for draft in drafts))
    for draft in drafts:
        is_default = draft.cadence == default
        upstream = graph.upstream(frozenset(draft.tagged))
        needed = upstream - group_of.keys()
        with_upstream = bool(needed & untagged) and not is_default
        selected.append(draft.tagged | upstream if with_upstream else draft.tagged)
        group_of = {
            **dict.fromkeys(draft.tagged | (needed if with_upstream else set()), draft.cadence.name),
            **group_of,
        }
        methods = sorted(draft.methods) or [f"tag:{draft.cadence.name}"]
        select = " ".join(f"+{method}" if with_upstream else method for method in methods)
        notes = (f"also builds {len(needed)} nodes without this tag that it reads",) if with_upstream else ()
        groups.append(ProposedGroup(draft.cadence, select, default=is_default, notes=notes))
    group_of = {node: group_of.get(node, default.name) for node in graph.built}
    names = [group.name for group in groups]
    read: dict[str, set[str]] = defaultdict(set)
    for node, name in group_of.items():
        read[name].update(group_of[parent] for parent in graph.parents(node))
    slower = {
        name: tuple(other for other in names[place + 1 :] if other in read[name]) for place, name in enumerate(names)
    }
    # A group whose nodes are all built by a more frequent one has nothing to run.
    used = {default.name, *group_of.values()}
    groups = [replace(one, reads_previous=slower[one.name]) for one in groups if one.name in used]
    overlaps = sum(map(len, selected)) > len(set().union(*selected))
    return Proposal((_with_ingestion(groups[0], manifest), *groups[1:]), first_wins=overlaps)


@dataclass
class _Draft:
    """A cadence, the dbt selection methods that name it, and the nodes that do."""

    cadence: Cadence
    methods: set[str] = field(default_factory=set)
    tagged: set[str] = field(default_factory=set)


def _drafts(graph: Graph) -> list[_Draft]:
    """Return the cadences that nodes name, most frequent first, and one for the default group if nodes are left."""
    drafts: dict[Cadence, _Draft] = {}
    for node in sorted(graph.built):
        for method, cadence in _cadences(graph.nodes[node]):
            draft = drafts.setdefault(cadence, _Draft(cadence))
            draft.methods.add(method)
            draft.tagged.add(node)
    untagged = graph.built - set().union(*(draft.tagged for draft in drafts.values()))
    if drafts and untagged and not any(cadence.name in _DEFAULT_GROUPS for cadence in drafts):
        drafts[_DAILY] = _Draft(_DAILY)
    return [drafts[cadence] for cadence in sorted(drafts)]


def _cadences(node: Mapping[str, Any]) -> Iterator[tuple[str, Cadence]]:
    """Yield each cadence that a node names, after the dbt selection method for it."""
    config = node.get("config") or {}
    named = [(f"tag:{tag}", str(tag)) for tag in node.get("tags") or config.get("tags") or []]
    meta = config.get("meta") or node.get("meta") or {}
    named += [
        (f"config.meta.{key}:{meta[key]}", str(meta[key])) for key in _META_KEYS if isinstance(meta.get(key), str)
    ]
    for method, word in named:
        cadence = cadence_of(word)
        # These characters have a meaning in dbt's selection syntax.
        if cadence is not None and not set(" ,*?[]+@") & set(method):
            yield method, cadence


def _with_ingestion(group: ProposedGroup, manifest: Mapping[str, Any]) -> ProposedGroup:
    """Return the most frequent group; new files also start it if sources declare how files land."""
    return replace(group, after_ingestion=bool(landing_sources(manifest["sources"])))
