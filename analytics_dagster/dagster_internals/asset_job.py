"""The type of an asset job that Dagster has not resolved yet: `dagster.define_asset_job` returns it without naming it.

Only type checkers import the private class. At run time the name is `Any`, so a version of Dagster without the class
runs unchanged. The public alternative is `Any` everywhere, without type checks. A test compares the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    AssetJob: TypeAlias = UnresolvedAssetJobDefinition
else:
    AssetJob = Any
