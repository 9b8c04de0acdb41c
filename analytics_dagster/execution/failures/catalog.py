"""The catalog of assets, known before anything fails: who owns it, where its file lies, who is shown what it makes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

EXPOSURES = "exposures"
"""The asset group of exposures; a test holds it against `transform.keys`."""


@dataclass(frozen=True)
class Entry:
    """One asset: its owners, schedule group, dbt's tags, and the path of its file below the dbt project."""

    asset: str
    owners: tuple[str, ...] = ()
    group: str = ""
    tags: tuple[str, ...] = ()
    path: str = ""
    reads: tuple[str, ...] = ()
    maturity: str = ""


class Catalog:
    """The assets of a location by their names (`marts/orders`)."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.asset: entry for entry in entries}

    @classmethod
    def of(cls, graph: Any, paths: Mapping[dg.AssetKey, str]) -> Catalog:
        """Return the catalog of an asset graph; ``paths`` are those of dbt's files."""
        nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
        return cls(
            Entry(
                asset=node.key.to_user_string(),
                owners=tuple(node.owners),
                group=node.group_name or "",
                tags=tuple(sorted(tag for tag in node.tags if not tag.startswith("dagster/"))),
                path=paths.get(node.key, ""),
                reads=tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
                maturity=str(node.metadata.get("maturity") or ""),
            )
            for node in nodes
        )

    def __getitem__(self, asset: str) -> Entry:
        """Return what is known of an asset; of one that is not there any more, its name."""
        return self._entries.get(asset, Entry(asset))

    def __contains__(self, asset: str) -> bool:
        """Return whether there is such an asset."""
        return asset in self._entries

    @cached_property
    def _readers(self) -> Mapping[str, list[str]]:
        readers: dict[str, list[str]] = {}
        for entry in self._entries.values():
            for parent in entry.reads:
                readers.setdefault(parent, []).append(entry.asset)
        return readers

    def below(self, *assets: str) -> set[str]:
        """Return all assets that read any of these, directly or through others, without themselves."""
        seen, pending = set(assets), list(assets)
        while pending:
            new = [reader for reader in self._readers.get(pending.pop(), ()) if reader not in seen]
            seen.update(new)
            pending.extend(new)
        return seen - set(assets)

    def exposures(self, assets: Collection[str]) -> tuple[Entry, ...]:
        """Return the exposures that read any of these assets, directly or through others, by name."""
        return tuple(self._entries[asset] for asset in sorted(self.below(*assets)) if self[asset].group == EXPOSURES)

    def owners(self, assets: Iterable[str]) -> tuple[str, ...]:
        """Return who owns any of these assets, each once."""
        return tuple(dict.fromkeys(owner for asset in assets for owner in self[asset].owners))
