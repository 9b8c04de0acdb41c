"""The dbt resource of the location's definitions: settings alone, until a step calls dbt."""

from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.warehouse import Warehouse

if TYPE_CHECKING:
    from analytics_dagster.execution.dbt_resource import DbtResource


class DbtOnDemand(dg.ConfigurableResource[None]):
    """How dbt is called. Loading the location needs no more of it, and dagster-dbt is not imported for that."""

    project_dir: str
    profiles_dir: str
    profile: str
    target: str
    runner: str
    """How dbt is called: a value of `DbtRunner`."""
    artifacts: str
    """Of which builds dbt's artifacts are kept: a value of `DbtArtifacts`."""
    artifacts_days: float
    """How many days the artifacts of a failed build are kept."""

    def open(self, warehouse: Warehouse) -> "DbtResource":
        """Return what calls dbt, for builds in a warehouse."""
        # Imports dagster-dbt, which takes as long as Dagster itself.
        from analytics_dagster.execution.dbt_resource import DbtResource, dbt_executable, when_to_count

        return DbtResource(
            project_dir=self.project_dir,
            profiles_dir=self.profiles_dir,
            profile=self.profile,
            target=self.target,
            dbt_executable=dbt_executable(),
            with_adapter=not warehouse.path,
            runner=self.runner,
            artifacts=self.artifacts,
            artifacts_days=self.artifacts_days,
            row_counts=when_to_count(warehouse).value,
        )
