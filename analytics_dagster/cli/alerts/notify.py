"""Sends the alerts about what a command did, by the routes and with the incidents of the alerts sensor."""

from __future__ import annotations

import time
from dataclasses import replace
from math import inf

import dagster as dg

from analytics_dagster.alerting.definitions import Alerting
from analytics_dagster.alerting.incidents import Alert, Observation, Severity
from analytics_dagster.alerting.instigators import SENSOR
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.store import AlertState
from analytics_dagster.cli.alerts.incidents import PATIENCE, make_dispatcher, stores
from analytics_dagster.cli.home import opened_instance
from analytics_dagster.cli.terminal import print_line, print_warning
from analytics_dagster.errors import AnalyticsError
from analytics_dagster.execution.failures.classification import classify
from analytics_dagster.execution.failures.deployment import build_deployment_info
from analytics_dagster.location import Location
from analytics_dagster.redaction import redact, useful_lines
from analytics_dagster.settings import Settings
from analytics_dagster.text import pluralize

_ALIVE = 150.0
"""How long ago the alerts sensor may have sent alerts, in seconds, to be on."""
_ROUNDS = 3


def notify(settings: Settings, location: Location, instance: dg.DagsterInstance, name: str, started: float) -> None:
    """Send the alerts about what a command has run since it started (seconds since 1970), if a channel is set up.

    If the alerts sensor of a daemon is on, it sends them. A failed attempt is repeated twice, as no tick follows.
    """
    if not load_routes(settings).channels:
        return
    alerting = Alerting(settings, location.project, location.plan, location.report_reader)
    store, repository = alerting.store(instance), location.definitions.get_repository_def()
    try:
        # In a new home: what happened before the command started is not reported.
        store.read(started)
        report(settings, instance, name, None)
        owner, moment = store.last_turn()
        if owner == SENSOR and time.time() - moment < _ALIVE:
            print_line("Alerts: sent by the alerts sensor of the running daemon.")
            return
        for left in reversed(range(_ROUNDS)):
            with store.lease("command", PATIENCE):
                monitor = alerting.monitor(instance, replace(alerting.context(repository, None), retries=False))
                state = monitor.tick()
            _print(monitor.dispatcher.sent, monitor.dispatcher.failed)
            pause = _next_attempt(state) - time.time()
            if not left or pause > PATIENCE:
                break
            time.sleep(max(0.0, pause))
        if state.notifications:
            number = pluralize(len(state.notifications), "notification")
            print_warning(f"Alerts: {number} queued; the next command or the alerts sensor sends them.")
    except AnalyticsError as error:
        print_warning(f"Alerts: {error}")


def report_failed_start(settings: Settings, name: str, error: Exception) -> None:
    """Send an alert that a command failed before it could run anything, if a channel is set up."""
    try:
        if load_routes(settings).channels:
            with opened_instance(settings) as instance:
                report(settings, instance, name, error)
    except AnalyticsError as other:
        print_warning(f"Alerts: {other}")


def report(settings: Settings, instance: dg.DagsterInstance, name: str, error: Exception | None) -> None:
    """Send an alert about a command that failed outside of its runs, or about its recovery (no error)."""
    store, subject = stores(settings, instance)[0], f"command:{name}"
    if error is None and not any(subject in one.alert.subjects for one in store.read(time.time()).incidents):
        return
    with store.lease("command", PATIENCE):
        dispatcher = make_dispatcher(settings, store)
        before, now = store.read(dispatcher.now), dispatcher.now
        observation = Observation(now, succeeded=frozenset({subject}))
        if error is not None:
            message = useful_lines(redact(str(error), build_deployment_info(settings, "").secrets))
            title = f"`analytics-dagster {name}` failed"
            alert = Alert(subject, title, classify(message), Severity.ERROR, now, message, (subject,))
            observation = Observation(now, (alert,))
        dispatcher.apply(before, before, [observation])
    _print(dispatcher.sent, dispatcher.failed)


def _next_attempt(state: AlertState) -> float:
    """Return when a notification that failed is sent again, or a dead letter is reported; infinity without any."""
    reports = [0.0 for letter in state.undeliverable if not letter.is_reported]
    retries = [one.not_before for one in state.notifications if one.attempts and not one.held]
    return min([*reports, *retries], default=inf)


def _print(sent: list[str], failed: list[str]) -> None:
    for line in sent:
        print_line(f"Alert sent to {line}")
    for line in failed:
        print_warning(f"Alert not sent to {line}")
