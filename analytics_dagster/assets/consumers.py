"""Consumers: Python assets downstream of dbt, declared as values and built into Dagster assets.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from analytics_dagster.assets.build import DbtAssets
from analytics_dagster.assets.marts import Mart, find_marts, require_usable
from analytics_dagster.errors import AnalyticsError
from analytics_dagster.redaction import redacted_step
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse import POOL, Table, Warehouse
from analytics_dagster.warehouse.folder import Folder, reports_folder

GROUP = "consumers"
"""The asset group of the consumers, the first part of their keys, and the schema of the tables that they write."""


@dataclass(frozen=True)
class ConsumerInputs:
    """What a consumer works with: the tables of its marts by model name, and the folders for its results."""

    warehouse: Warehouse
    tables: Mapping[str, Table]
    reports: Folder
    outbound: Folder


@dataclass(frozen=True)
class Extra:
    """Optional libraries: what `pip install` takes, and the top-level modules that it installs."""

    requirement: str
    modules: frozenset[str]


@dataclass(frozen=True)
class Consumer:
    """One Python asset: the models that it reads by dbt name, and the function that makes it.

    ``checks`` are the descriptions of the checks that ``materialize`` reports, by name.
    """

    name: str
    description: str
    reads: tuple[str, ...]
    materialize: Callable[[ConsumerInputs], "dg.MaterializeResult[None]"]
    owners: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    extra: Extra | None = None

    @property
    def key(self) -> dg.AssetKey:
        """The asset key; its first part avoids a clash with a model or an exposure of the same name."""
        return dg.AssetKey([GROUP, self.name])


@dataclass(frozen=True)
class Consumers:
    """The assets of the consumers whose marts exist.

    ``started_with`` has the asset keys by the schedule group whose job includes them; ``skipped`` has the missing
    marts by consumer.
    """

    assets: tuple[dg.AssetsDefinition, ...]
    started_with: Mapping[str, list[dg.AssetKey]]
    skipped: Mapping[str, tuple[str, ...]]


def models_read(consumers: Sequence[Consumer], nodes: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the part of a manifest's nodes that `connect_consumers` reads."""
    names = {name for consumer in consumers for name in consumer.reads}
    return {
        unique_id: {key: node[key] for key in ("name", "schema", "alias")}
        for unique_id, node in nodes.items()
        if unique_id.startswith("model.") and node["name"] in names
    }


def connect_consumers(consumers: Sequence[Consumer], settings: Settings, dbt_assets: DbtAssets) -> Consumers:
    """Return the consumers as assets downstream of a dbt project's models, guarded by its blocking checks."""
    blocking_checks: dict[dg.AssetKey, list[dg.AssetCheckKey]] = defaultdict(list)
    dbt_definitions = dbt_assets.dbt_definitions
    for check in dbt_definitions.checks.values():
        if check.blocking:
            blocking_checks[check.asset_key].append(check.key)
    return build_consumers(
        consumers,
        find_marts(dbt_definitions.manifest_subset, dbt_assets.nodes, dbt_definitions.plan.group_of),
        group_order=[part.group.name for part in dbt_definitions.plan.groups],
        blocking_checks=blocking_checks,
        reports=reports_folder(settings),
        outbound=Folder(settings.outbound, settings.landing_storage_options, "outbound_url"),
    )


def build_consumers(
    consumers: Sequence[Consumer],
    marts: Mapping[str, Mart],
    *,
    group_order: Sequence[str],
    blocking_checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]],
    reports: Folder,
    outbound: Folder,
) -> Consumers:
    """Return the assets of the consumers whose marts exist; log one line for each of the others.

    A consumer runs in the job of the schedule group that builds the last of its marts. ``marts`` are by model name;
    ``group_order`` has the schedule groups, upstream first; ``blocking_checks`` are by the checked asset. The assets
    need a resource named ``warehouse``.
    """
    assets: list[dg.AssetsDefinition] = []
    started_with: dict[str, list[dg.AssetKey]] = defaultdict(list)
    skipped: dict[str, tuple[str, ...]] = {}
    for consumer in consumers:
        missing = tuple(name for name in consumer.reads if name not in marts)
        if missing:
            skipped[consumer.name] = missing
            dg.get_dagster_logger().info(
                f"consumers: {consumer.name} skipped: no model {', '.join(missing)} in this dbt project"
            )
            continue
        read = [marts[name] for name in consumer.reads]
        group = max((mart.group for mart in read), key=group_order.index)
        started_with[group].append(consumer.key)
        assets.append(_build_asset(consumer, read, group, blocking_checks, (reports, outbound)))
    return Consumers(assets=tuple(assets), started_with=started_with, skipped=skipped)


def _build_asset(
    consumer: Consumer,
    marts: Sequence[Mart],
    group: str,
    blocking_checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]],
    folders: tuple[Folder, Folder],
) -> dg.AssetsDefinition:
    @dg.asset(
        key=consumer.key,
        deps=[mart.key for mart in marts],
        group_name=GROUP,
        description=consumer.description,
        owners=list(consumer.owners),
        kinds=set(consumer.kinds),
        metadata={"starts with": group, "reads": ", ".join(consumer.reads)},
        check_specs=[
            dg.AssetCheckSpec(name, asset=consumer.key, description=description)
            for name, description in consumer.checks.items()
        ],
        pool=POOL,
    )
    def consume(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[dg.MaterializeResult[None]]:
        require_usable(context.instance, context.run.run_id, marts, blocking_checks)
        inputs = ConsumerInputs(warehouse, {mart.name: mart.table for mart in marts}, *folders)
        # One lock for all reads, so that no build changes a mart between two of them.
        with redacted_step(context.log), _errors_as_failures(consumer), warehouse.locked():
            result = consumer.materialize(inputs)
        yield result

    return consume


@contextmanager
def _errors_as_failures(consumer: Consumer) -> Iterator[None]:
    """Raise an error that a user can fix as `dagster.Failure`, without a traceback."""
    try:
        yield
    except AnalyticsError as error:
        raise dg.Failure(description=str(error)) from None
    except ModuleNotFoundError as error:
        if consumer.extra is None or (error.name or "").partition(".")[0] not in consumer.extra.modules:
            raise
        raise dg.Failure(
            f"{consumer.name} needs {error.name}, which is not installed here.\n"
            f"  -> Install the extra: pip install '{consumer.extra.requirement}'",
            allow_retries=False,
        ) from error
