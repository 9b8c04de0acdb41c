"""What reports of a location's runs need of it, and where they are kept: in the log of the run that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from analytics_dagster.execution.failures.catalog import Catalog
from analytics_dagster.execution.failures.events import Place, read_report
from analytics_dagster.execution.failures.report import FailureReport

REPORT = "analytics_dagster/failure_report"
"""The metadata, in the log of a failed run, that holds its failure report."""


@dataclass
class Reporter:
    """Reads the reports of a location's runs. What it needs, the paths of nodes' files too, is made once, if at all."""

    make_paths: Callable[[], Mapping[dg.AssetKey, str]]
    make_place: Callable[[], Place]
    _place: Place | None = field(default=None, init=False)
    _catalog: Catalog | None = field(default=None, init=False)

    @property
    def place(self) -> Place:
        """Where the location runs."""
        if self._place is None:
            self._place = self.make_place()
        return self._place

    def catalog(self, repository: dg.RepositoryDefinition | None) -> Catalog:
        """Return the catalog of the location's assets; an empty one where it is not known what they are."""
        if repository is None:
            return Catalog([])
        if self._catalog is None:
            self._catalog = Catalog.of(repository.asset_graph, self.make_paths())
        return self._catalog

    def read(
        self, instance: dg.DagsterInstance, record: dg.RunRecord, repository: dg.RepositoryDefinition | None
    ) -> FailureReport:
        """Return the report of a run that has ended."""
        return read_report(instance, record, self.catalog(repository), self.place)


def attach_report(instance: dg.DagsterInstance, run: dg.DagsterRun, report: FailureReport) -> None:
    """Write a report into the log of its run, where the UI shows it."""
    # The only type in which a run's own log takes metadata from outside; nothing public writes to the log of a run that
    # has ended. A test reads the report there, and fails when this changes.
    from dagster._core.events import EngineEventData  # no load of the location needs it

    data = EngineEventData(metadata={REPORT: dg.MetadataValue.json(dict(report.to_json()))})
    instance.report_engine_event("Failure report", run, data)
