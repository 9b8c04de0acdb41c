"""Records a failure on its asset as an observation, where the UI shows it, and reads it back for the failure report.

Dagster's open-source storage drops asset-failure events. The observation holds dbt's message, and belongs to the asset
that dbt could not build or whose test it could not evaluate.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import dagster as dg

from analytics_dagster.redaction import redact, shorten

MESSAGE = "analytics_dagster/failure"
"""The metadata that holds dbt's message."""

CHECK = "analytics_dagster/failed_check"
"""The metadata that names the check, if a test could not be evaluated."""

COMPILED = "analytics_dagster/compiled_path"
"""The metadata that holds the path of the compiled SQL."""

_MAX_LENGTH = 8_000


@dataclass(frozen=True)
class NodeFailure:
    """Why dbt could not run a node, or a test of it (``check``); ``compiled`` is the path of its SQL."""

    asset: dg.AssetKey
    message: str
    check: str = ""
    compiled: str = ""


def to_observation(failure: NodeFailure, secrets: Collection[str] = ()) -> dg.AssetObservation:
    """Return the observation that records a failure, without secrets."""
    message = shorten(redact(failure.message, secrets).strip(), _MAX_LENGTH)
    return dg.AssetObservation(
        asset_key=failure.asset,
        description=message.splitlines()[0] if message else "failed",
        metadata={
            MESSAGE: dg.MetadataValue.text(message),
            **({CHECK: failure.check} if failure.check else {}),
            **({COMPILED: dg.MetadataValue.path(failure.compiled)} if failure.compiled else {}),
        },
    )


def from_observation(observation: dg.AssetObservation) -> NodeFailure | None:
    """Return the failure that an observation records; None if it records none."""
    metadata = {name: str(value.value) for name, value in observation.metadata.items()}
    if MESSAGE not in metadata:
        return None
    return NodeFailure(observation.asset_key, metadata[MESSAGE], metadata.get(CHECK, ""), metadata.get(COMPILED, ""))
