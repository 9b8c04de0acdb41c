"""Dagster's daemon watched from outside: one that has stopped beating can't say so itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import dagster as dg

from analytics_dagster.alerting.alerts import lasting
from analytics_dagster.alerting.channels import build_notifiers
from analytics_dagster.alerting.delivery import Delivery
from analytics_dagster.alerting.incidents import Alert, Observation, Severity
from analytics_dagster.alerting.outbox import Outbox
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.store import AlertStore
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.deployment import build_deployment_info
from analytics_dagster.settings import Settings

_SUBJECT = "daemon"


def watch_daemon(settings: Settings, instance: dg.DagsterInstance, tolerance: float) -> tuple[bool, list[str]]:
    """Tell people of a daemon that has been silent for longer than ``tolerance`` seconds, and of its recovery.

    Returns whether it is, and a line for each letter. What was told is kept apart from what the sensor keeps, as both
    write; in the same storage.
    """
    now, routes = time.time(), load_routes(settings)
    deployment = build_deployment_info(settings, "")
    observation = observe_daemon(_heartbeats(instance), instance.get_required_daemon_types(), now, tolerance)
    store = AlertStore(instance.daemon_cursor_storage, "daemon", "watch")
    outbox = Outbox(store.read(now), routes, deployment.environment, now)
    state = outbox.take([observation])
    store.write(state)
    delivery = Delivery(
        build_notifiers(settings, routes, f"Dagster in {deployment.environment}"), store, secrets=deployment.secrets
    )
    delivery.run(state, now)
    said = [alert.title for alert in observation.alerts] or ["Dagster's daemon beats."]
    return bool(observation.alerts), [*said, *delivery.sent, *delivery.failed]


def _heartbeats(instance: dg.DagsterInstance) -> Mapping[str, float]:
    return {name: beat.timestamp for name, beat in instance.get_daemon_heartbeats().items()}


def observe_daemon(beats: Mapping[str, float], required: Sequence[str], now: float, tolerance: float) -> Observation:
    """Return what the last heartbeats of the daemon's parts come to: one trouble for all that are silent. Pure."""
    silent = [name for name in required if now - beats.get(name, 0.0) > tolerance]
    if not silent:
        return Observation(now, green=frozenset({_SUBJECT}))
    last = max((beats[name] for name in silent if name in beats), default=None)
    since = f" since {lasting(now - last)}" if last else ""
    whole = len(silent) == len(required)
    alert = Alert(
        key=_SUBJECT,
        title=f"Dagster's daemon is silent{since}" if whole else f"parts of Dagster's daemon are silent{since}",
        kind=FailureKind.KILLED,
        severity=Severity.CRITICAL,
        moment=now,
        message=f"No heartbeat of: {', '.join(silent)}. Until it is back no schedule ticks and nothing else is told.",
        subjects=(_SUBJECT,),
    )
    return Observation(now, (alert,))
