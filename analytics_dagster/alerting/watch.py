"""Watches Dagster's daemon from outside: if it stops, or can't load a code location, no alerts sensor runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from analytics_dagster.alerting.dispatch import Dispatcher
from analytics_dagster.alerting.health import Watch, observe_health
from analytics_dagster.alerting.incidents import Alert, Observation, Severity
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.store import AlertStore
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.deployment import build_deployment_info
from analytics_dagster.settings import Settings
from analytics_dagster.text import format_duration

_SUBJECT = "daemon"
_HEALTHY = "Dagster's daemon sends heartbeats, its code locations have ticks, and its queue moves."


def watch_daemon(
    settings: Settings, instance: dg.DagsterInstance, tolerance: float, load_error: Callable[[], str] = str
) -> tuple[bool, list[str]]:
    """Send an alert if the daemon, a code location or the queue has stopped, and on its recovery.

    ``tolerance`` is for how many seconds the daemon may send no heartbeat. ``load_error`` returns why the location of
    the settings can't be loaded, if it finds that. Returns whether anything has stopped, and a line for each
    notification. The state is stored apart from that of the sensor, as both write.
    """
    heartbeats = {name: beat.timestamp for name, beat in instance.get_daemon_heartbeats().items()}
    observations = [observe_daemon(heartbeats, instance.get_required_daemon_types(), time.time(), tolerance)]
    store = watch_store(instance)
    deployment = build_deployment_info(settings, "")
    dispatcher = Dispatcher.build(settings, load_routes(settings), deployment, store, "Dagster")
    before = store.read(dispatcher.now)
    if not observations[0].alerts:
        watch = Watch(dispatcher.now, tolerance, settings.waiting_alert_hours * 3_600, before.began)
        known = frozenset(subject for one in before.incidents if one.is_open for subject in one.alert.subjects)
        observations += observe_health(instance, watch, known, load_error)
    dispatcher.apply(before, before, observations)
    alerts = [alert for observation in observations for alert in observation.alerts]
    lines = [f"{alert.title}: {alert.message}" for alert in alerts] or [_HEALTHY]
    return bool(alerts), [*lines, *dispatcher.sent, *dispatcher.failed]


def watch_store(instance: dg.DagsterInstance) -> AlertStore:
    """Return the store of these alerts."""
    return AlertStore(instance.daemon_cursor_storage, "daemon", "watch")


def observe_daemon(
    heartbeats: Mapping[str, float], required: Sequence[str], now: float, tolerance: float
) -> Observation:
    """Return one alert for all required daemons without a recent heartbeat. Times are in seconds since 1970. Pure."""
    silent = [name for name in required if now - heartbeats.get(name, 0.0) > tolerance]
    if not silent:
        return Observation(now, succeeded=frozenset({_SUBJECT}))
    last = max((heartbeats[name] for name in silent if name in heartbeats), default=None)
    subject = "Dagster's daemon has" if len(silent) == len(required) else "parts of Dagster's daemon have"
    title = f"{subject} sent no heartbeat" + (f" for {format_duration(now - last)}" if last else "")
    message = f"No heartbeat from: {', '.join(silent)}. No schedule ticks and no other alert is sent."
    alert = Alert(_SUBJECT, title, FailureKind.KILLED, Severity.CRITICAL, now, message, (_SUBJECT,))
    return Observation(now, (alert,))
