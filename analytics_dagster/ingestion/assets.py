"""The assets of landed tables: a dbt source, materialized by loading its new files.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from analytics_dagster.errors import AnalyticsError
from analytics_dagster.ingestion.known_files import KnownFiles, KnownFilesStore, file_ids
from analytics_dagster.ingestion.landing import REJECTED, Landing
from analytics_dagster.ingestion.tables import LandedTable
from analytics_dagster.redaction import redacted_step
from analytics_dagster.text import pluralize
from analytics_dagster.warehouse import POOL, Warehouse

if TYPE_CHECKING:
    from analytics_dagster.ingestion.load_report import LoadReport

GROUP = "ingestion"
"""The asset group of all landed tables."""

CHECK = "files_are_readable"
"""The check of each landed table; it warns while malformed files need a correction, and of remarks on the last load."""

ROWS_LOADED = "rows_loaded"
"""The metadata of a materialization with the number of rows written."""

EXTRA = "pip install 'analytics-dagster[ingestion]'"

_MAX_LISTED = 50  # files in the metadata


def build_ingestion_assets(
    tables: Sequence[LandedTable], specs: Mapping[str, dg.AssetSpec]
) -> list[dg.AssetsDefinition]:
    """Return an asset for each table, in a step of its own, so that a failure of one does not affect the others.

    ``specs`` has the spec of each dbt source by unique id: key, description, owners, tags and metadata are kept. The
    assets need the resources `warehouse` and `landing`.
    """
    return [_build_asset(table, specs[table.unique_id]) for table in tables]


def _build_asset(table: LandedTable, spec: dg.AssetSpec) -> dg.AssetsDefinition:
    spec = spec.replace_attributes(group_name=GROUP, kinds={*spec.kinds, "dlt", table.format})

    @dg.multi_asset(
        name=f"load__{table.source_name}__{table.name}",
        specs=[spec],
        check_specs=[dg.AssetCheckSpec(CHECK, asset=spec.key, description="No malformed file needs a correction.")],
        pool=POOL,
    )
    def load(
        context: dg.AssetExecutionContext, warehouse: Warehouse, landing: dg.ResourceParam[Landing]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        try:
            from analytics_dagster.ingestion.loading import load_table  # imports pyarrow and duckdb

            # Locked from reading the ledger to writing it, so that no other run loads the same files.
            with redacted_step(context.log), warehouse.locked():
                report = load_table(table, landing, warehouse, context.log)
        except AnalyticsError as error:
            raise dg.Failure(description=str(error)) from None
        except ModuleNotFoundError as error:
            if error.name not in {"dlt", "pyarrow"}:
                raise
            raise dg.Failure(
                f"Loading files needs {error.name}, which is not installed here.\n  -> Install the extra: {EXTRA}",
                allow_retries=False,
            ) from error
        yield dg.MaterializeResult(
            asset_key=spec.key, metadata=_metadata(report), check_results=[_check(spec.key, report)]
        )
        # After the results are stored: the landing sensor requests this table again if the process is killed before.
        known = KnownFiles(frozenset(file_ids(report.known)), frozenset(file_ids(report.left)))
        KnownFilesStore(context.instance.daemon_cursor_storage, landing.url, warehouse.target).write(table, known)

    return load


def _metadata(report: "LoadReport") -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "files_loaded": report.files,
        "files_rejected": len(report.rejected),
        ROWS_LOADED: report.rows,
        "rows_superseded": report.superseded,
        "rows_deleted": report.removed,
        "files_renamed": report.renamed,
        "bytes_loaded": report.size,
        "new_columns": dg.MetadataValue.json(list(report.new_columns)),
        "load_ids": dg.MetadataValue.json(list(report.load_ids)),
    }
    if report.row_count is not None:
        metadata["dagster/row_count"] = report.row_count
    if report.newest_cursor is not None:
        newest = report.newest_cursor
        metadata["newest_cursor"] = dg.MetadataValue.timestamp(newest) if isinstance(newest, datetime) else str(newest)
    return metadata


def _check(key: dg.AssetKey, report: "LoadReport") -> dg.AssetCheckResult:
    bad = [f"{path}: {reason}" for path, reason in (*report.malformed, *report.unreadable)]
    said = [f"{path}: {reason}" for path, reason in report.remarks]
    problems = []
    if bad:
        problems.append(
            f"{pluralize(len(bad), 'malformed file')}: correct each and put it back, "
            f"or delete it and its .reason.txt from {REJECTED}."
        )
    if said:
        problems.append(f"{pluralize(len(said), 'file')} loaded with a remark.")
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key=key,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(problems) or None,
        metadata={"files": _listed(bad), "remarks": _listed(said)},
    )


def _listed(lines: list[str]) -> dg.MetadataValue[Any]:
    shown = lines[:_MAX_LISTED] + ([f"and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else [])
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in shown) or "none")
