"""How a failure is noted on its own asset, where the UI shows it and the failure report finds it.

Dagster's open-source storage drops the events that say that an asset failed, so it is an observation: of the asset that
dbt could not build, or whose test could not be evaluated, with dbt's message.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import dagster as dg

from analytics_dagster.redaction import redact, shortened

MESSAGE = "analytics_dagster/failure"
"""The metadata of an observation that says why dbt failed."""

CHECK = "analytics_dagster/failed_check"
"""The metadata that names the check, where it is a test that failed so."""

COMPILED = "analytics_dagster/compiled_path"
"""The metadata that says where the SQL lies that failed."""

_LONGEST = 8_000


@dataclass(frozen=True)
class Failure:
    """Why a node, or a test of it (``check`` names it), could not be run; ``compiled`` is the path of its SQL."""

    asset: dg.AssetKey
    message: str
    check: str = ""
    compiled: str = ""


def to_observation(failure: Failure, secrets: Collection[str] = ()) -> dg.AssetObservation:
    """Return the event that notes a failure on its asset, without secrets."""
    message = shortened(redact(failure.message, secrets).strip(), _LONGEST)
    return dg.AssetObservation(
        asset_key=failure.asset,
        description=message.splitlines()[0] if message else "failed",
        metadata={
            MESSAGE: dg.MetadataValue.text(message),
            **({CHECK: failure.check} if failure.check else {}),
            **({COMPILED: dg.MetadataValue.path(failure.compiled)} if failure.compiled else {}),
        },
    )


def from_observation(observation: dg.AssetObservation) -> Failure | None:
    """Return the failure that an observation notes, if it notes one."""
    told = {name: str(value.value) for name, value in observation.metadata.items()}
    if MESSAGE not in told:
        return None
    return Failure(observation.asset_key, told[MESSAGE], told.get(CHECK, ""), told.get(COMPILED, ""))
