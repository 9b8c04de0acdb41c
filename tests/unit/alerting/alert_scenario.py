"""A code location with real runs of failing assets, whose alerts go to a fake server through the real clients.

No ``from __future__ import annotations`` here: Dagster reads the annotations of decorated functions at run time.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import dagster as dg
from pydantic import SecretStr

from analytics_dagster.alerting.dispatch import Dispatcher
from analytics_dagster.alerting.monitor import AlertMonitor, LocationContext
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.store import AlertState, AlertStore
from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.observation import NodeFailure, to_observation
from analytics_dagster.settings import Settings
from tests.unit.alerting.fake_channels import FakeChannels

ROUTES: dict[str, Any] = {
    "channels": {
        "slack": {"slack": "#data"},
        "hook": {"slack_webhook": "default"},
        "on_call": {"pagerduty": "default"},
    },
    "rules": [{"name": "everything", "to": ["slack", "hook", "on_call"]}],
}

_MOST_CHECKED = 10

BINDER = 'Runtime Error in model {0} (models/{0}.sql)\n  Binder Error: Referenced column "{0}_total" not found!'
LOST = "Database Error in model {0} (models/{0}.sql)\n  server closed the connection unexpectedly"


@dataclass
class NextRun:
    """The outcome of the next run: error messages by model, and failed rows by model for checks that fail or warn."""

    failing: dict[str, str] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    warns: dict[str, int] = field(default_factory=dict)


@dataclass
class AlertScenario:
    """A location with ``models`` models, of which the last reads the first, and its alerts."""

    instance: dg.DagsterInstance
    fake_channels: FakeChannels
    routes: Mapping[str, Any] = field(default_factory=lambda: ROUTES)
    models: int = 3
    environment: str = "prod"
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    next_run: NextRun = field(default_factory=NextRun)
    clock: float = field(default_factory=time.time)

    @cached_property
    def names(self) -> list[str]:
        """The names of the models."""
        return [f"model_{number}" for number in range(self.models)]

    @cached_property
    def definitions(self) -> dg.Definitions:
        """One step with all models, and an exposure of the last one."""
        last = self.names[-1]
        specs = [
            dg.AssetSpec(
                name,
                owners=[self.owners.get(name, "team:finance" if number % 2 else "ann@example.com")],
                tags=dict.fromkeys(self.tags.get(name, ()), ""),
                group_name="nightly",
                deps=[self.names[0]] if name == last and name != self.names[0] else [],
                skippable=True,
            )
            for number, name in enumerate(self.names)
        ]
        # Many models have no checks: Dagster takes seconds to process them.
        checked = set(self.names) if self.models <= _MOST_CHECKED else set[str]()
        checks = [dg.AssetCheckSpec(f"unique_{name}", asset=name) for name in sorted(checked)]

        @dg.multi_asset(name="dbt_nightly", specs=specs, check_specs=checks, can_subset=True)
        def dbt_nightly(context: dg.AssetExecutionContext) -> Any:
            chosen = {key.to_user_string() for key in context.selected_asset_keys}
            failing = {name: why for name, why in self.next_run.failing.items() if name in chosen}
            # Like dbt, skips the reader of a failed model.
            skipped = {last} if self.names[0] in failing and last != self.names[0] else set()
            for name in sorted(chosen - failing.keys() - skipped):
                yield dg.MaterializeResult(asset_key=name)
                if name not in checked:
                    continue
                rows = self.next_run.broken.get(name, 0) or self.next_run.warns.get(name, 0)
                yield dg.AssetCheckResult(
                    asset_key=name,
                    check_name=f"unique_{name}",
                    passed=not rows,
                    severity=dg.AssetCheckSeverity.WARN if name in self.next_run.warns else dg.AssetCheckSeverity.ERROR,
                    metadata={"dagster_dbt/failed_row_count": rows},
                )
            for name, why in failing.items():
                context.log_event(to_observation(NodeFailure(dg.AssetKey(name), why.format(name))))
            if failing:
                raise dg.Failure("dbt build failed")

        exposure = dg.AssetSpec(
            ["exposures", "board"], deps=[last], group_name="exposures", metadata={"maturity": "high"}
        )
        return dg.Definitions(
            assets=[dbt_nightly, exposure],
            jobs=[dg.define_asset_job("nightly", selection=dg.AssetSelection.groups("nightly"))],
        )

    def run(self, **failing: str) -> str:
        """Run the job; these models fail. Return the run's id."""
        return self.run_with(failing)

    def run_with(self, failing: dict[str, str], tags: Mapping[str, str] | None = None) -> str:
        """Run the job with additional tags, and return the run's id."""
        self.next_run.failing = failing
        job = self.definitions.resolve_job_def("nightly")
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return job.execute_in_process(
            instance=self.instance, raise_on_error=False, tags=dict(tags or {}), run_config=quiet
        ).run_id

    @property
    def all_settings(self) -> Settings:
        """Settings that connect every channel to the fake server."""
        return Settings(
            **{
                "slack_token": SecretStr("xoxb-hunter2"),
                "slack_channel": "#data",
                "slack_api_url": self.fake_channels.slack_api_url,
                "slack_webhooks": {"default": SecretStr(self.fake_channels.webhook_url)},
                "pagerduty_keys": {"default": SecretStr("hunter2-key")},
                "pagerduty_url": self.fake_channels.pagerduty_url,
                "alert_timeout": 1.0,
                **self.settings,
            }
        )

    @property
    def store(self) -> AlertStore:
        """The store of the alerts."""
        return AlertStore(self.instance.daemon_cursor_storage, "example")

    @property
    def state(self) -> AlertState:
        """The stored state."""
        return self.store.read(self.clock)

    def monitor(self, now: float | None = None) -> AlertMonitor:
        """Return the monitor of a tick."""
        routes = Routes.model_validate(self.routes)
        context = LocationContext(
            project="example",
            deployment=DeploymentInfo(
                self.environment, "prod", "0123456789abcdef", "https://dagster.example.com", frozenset({"hunter2"})
            ),
            routes=routes,
            catalog=lambda: self.catalog,
        )
        dispatcher = Dispatcher.build(self.all_settings, routes, context.deployment, self.store, "example")
        return AlertMonitor(self.instance, context, replace(dispatcher, now=now or time.time()))

    @cached_property
    def catalog(self) -> AssetCatalog:
        """The catalog of the assets."""
        return AssetCatalog.of(self.definitions.resolve_asset_graph(), {})

    def tick(self, now: float | None = None) -> list[str]:
        """Run a tick, and return its lines."""
        monitor = self.monitor(now)
        monitor.tick()
        return [*monitor.dispatcher.sent, *monitor.dispatcher.failed]
