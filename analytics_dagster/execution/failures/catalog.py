"""The assets of a location with what a failure report says about them: owners, files, readers, exposures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from analytics_dagster.project.graph import reachable

EXPOSURES = "exposures"
"""The asset group of exposures, as in `assets.keys`; a test compares the two."""


@dataclass(frozen=True)
class CatalogEntry:
    """One asset. ``path`` is that of its file in the dbt project, ``reads`` are the assets that it reads."""

    asset: str
    owners: tuple[str, ...] = ()
    group: str = ""
    tags: tuple[str, ...] = ()
    path: str = ""
    reads: tuple[str, ...] = ()
    maturity: str = ""


class AssetCatalog:
    """The assets of a location by name (`marts/orders`)."""

    def __init__(self, entries: Iterable[CatalogEntry]) -> None:
        self._entries = {entry.asset: entry for entry in entries}

    @classmethod
    def of(cls, graph: Any, paths: Mapping[dg.AssetKey, str]) -> AssetCatalog:
        """Return the catalog of an asset graph; ``paths`` are those of the dbt files."""
        nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
        return cls(
            CatalogEntry(
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

    def __getitem__(self, asset: str) -> CatalogEntry:
        """Return the entry of an asset; one with only the name if the asset no longer exists."""
        return self._entries.get(asset, CatalogEntry(asset))

    def __contains__(self, asset: str) -> bool:
        """Return whether the asset exists."""
        return asset in self._entries

    @cached_property
    def _readers(self) -> Mapping[str, list[str]]:
        readers: dict[str, list[str]] = {}
        for entry in self._entries.values():
            for parent in entry.reads:
                readers.setdefault(parent, []).append(entry.asset)
        return readers

    def below(self, *assets: str) -> set[str]:
        """Return all other assets that read any of these, directly or through others."""
        return reachable(assets, self._readers) - set(assets)

    def exposures(self, assets: Collection[str]) -> tuple[CatalogEntry, ...]:
        """Return the exposures that read any of these assets, directly or through others, by name."""
        return tuple(self._entries[asset] for asset in sorted(self.below(*assets)) if self[asset].group == EXPOSURES)

    def owners(self, assets: Iterable[str]) -> tuple[str, ...]:
        """Return the owners of these assets, without duplicates."""
        return tuple(dict.fromkeys(owner for asset in assets for owner in self[asset].owners))
