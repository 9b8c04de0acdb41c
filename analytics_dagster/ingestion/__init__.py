"""Loads files of the landing zone into the raw tables that dbt's sources declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.ingestion.assets import build_ingestion_assets
from analytics_dagster.ingestion.known_files import KnownFilesStore
from analytics_dagster.ingestion.landing import Landing
from analytics_dagster.ingestion.tables import LandedTable, landed_tables
from analytics_dagster.settings import Settings


@dataclass(frozen=True)
class Ingestion:
    """The ingestion part of the code location; ``keys`` are by the unique id of the loaded sources."""

    definitions: dg.Definitions
    tables: tuple[LandedTable, ...]
    landing: Landing
    keys: Mapping[str, dg.AssetKey]
    checks: tuple[dg.AssetCheckKey, ...]
    target: str = ""

    def known_files(self, instance: dg.DagsterInstance) -> KnownFilesStore:
        """Return what the loads of this landing zone into this target know, in the storage of an instance."""
        return KnownFilesStore(instance.daemon_cursor_storage, self.landing.url, self.target)


def build_ingestion(
    settings: Settings, manifest: Mapping[str, Any], sources: Mapping[str, dg.AssetSpec], target: str
) -> Ingestion:
    """Return an asset for each source: loaded if it declares `meta.landing`, else external.

    ``sources`` are the asset specifications by dbt unique id, ``target`` is the name of the dbt target.
    """
    tables = landed_tables(manifest["sources"])
    keys = {table.unique_id: sources[table.unique_id].key for table in tables}
    landing = Landing(
        settings.landing,
        settle_seconds=settings.landing_settle_seconds,
        options=settings.landing_storage_options,
    )
    external = [spec for unique_id, spec in sources.items() if unique_id not in keys]
    assets = build_ingestion_assets(tables, sources)
    return Ingestion(
        definitions=dg.Definitions(
            assets=[*assets, *external],
            resources={"landing": landing} if tables else {},
        ),
        tables=tables,
        landing=landing,
        keys=keys,
        checks=tuple(check for asset in assets for check in asset.check_keys),
        target=target,
    )
