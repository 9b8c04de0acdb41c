"""What a consumer is, and the Dagster asset that it becomes.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import dagster as dg

from analytics_dagster.assets.consumers.guard import ensure_healthy
from analytics_dagster.assets.consumers.mart import Mart
from analytics_dagster.errors import AnalyticsError
from analytics_dagster.warehouse import POOL, Table, Warehouse
from analytics_dagster.warehouse.folder import Folder

GROUP = "consumers"
"""The asset group of the consumers, the first part of their keys, and the schema of the tables that they write."""

EXTRA = "analytics-dagster[shop]"

_FROM_EXTRA = {"matplotlib", "numpy", "pandas", "pyarrow", "sklearn"}


@dataclass(frozen=True)
class Inputs:
    """What a consumer works with: the tables of its marts by model name, and where its results go."""

    warehouse: Warehouse
    tables: Mapping[str, Table]
    reports: Folder
    outbound: Folder


@dataclass(frozen=True)
class Consumer:
    """One Python asset: what it reads, what it is, and the function that makes it.

    ``checks`` are the descriptions of the checks that ``materialize`` reports, by name.
    """

    name: str
    description: str
    reads: tuple[str, ...]
    materialize: Callable[[Inputs], "dg.MaterializeResult[None]"]
    owners: tuple[str, ...]
    kinds: tuple[str, ...]
    checks: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> dg.AssetKey:
        """The asset key; its first part keeps it apart from a model or an exposure of the same name."""
        return dg.AssetKey([GROUP, self.name])


def build_asset(
    consumer: Consumer,
    marts: Sequence[Mart],
    *,
    starts_with: str,
    blocking_checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]],
    reports: Folder,
    outbound: Folder,
) -> dg.AssetsDefinition:
    """Return the asset of a consumer, downstream of its marts.

    Its run raises `dagster.Failure` when a mart is not fit to be read, a library is not installed, or the warehouse or
    the place of the results can't be used.
    """
    inputs = partial(Inputs, tables={mart.name: mart.table for mart in marts}, reports=reports, outbound=outbound)

    @dg.asset(
        key=consumer.key,
        deps=[mart.key for mart in marts],
        group_name=GROUP,
        description=consumer.description,
        owners=list(consumer.owners),
        kinds=set(consumer.kinds),
        metadata={"starts with": starts_with, "reads": ", ".join(consumer.reads)},
        check_specs=[
            dg.AssetCheckSpec(name, asset=consumer.key, description=description)
            for name, description in consumer.checks.items()
        ],
        pool=POOL,
    )
    def consume(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[dg.MaterializeResult[None]]:
        ensure_healthy(context.instance, context.run.run_id, marts, blocking_checks)
        # Held from the first mart that it reads to the last: all are of one build.
        with _told(consumer.name), warehouse.locked():
            result = consumer.materialize(inputs(warehouse))
        yield result

    return consume


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Raise what somebody can mend as a failure that says so, without a traceback."""
    try:
        yield
    except AnalyticsError as error:
        raise dg.Failure(description=str(error)) from None
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _FROM_EXTRA:
            raise
        raise dg.Failure(
            f"{name} needs {error.name}, which is not installed here.\n  -> Install the extra: pip install '{EXTRA}'",
            allow_retries=False,
        ) from error
