"""Lists and closes incidents, and lists what could not be delivered."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone

import dagster as dg

from analytics_dagster.alerting.dispatch import Dispatcher
from analytics_dagster.alerting.incidents import Observation
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.store import AlertState, AlertStore
from analytics_dagster.alerting.watch import watch_store
from analytics_dagster.errors import AlertError, ProjectError
from analytics_dagster.execution.failures.deployment import build_deployment_info
from analytics_dagster.project.files import find_project
from analytics_dagster.settings import Settings
from analytics_dagster.text import format_duration, pluralize

PATIENCE = 75.0
"""How long a command waits for another process that sends alerts, in seconds."""


def list_alerts(settings: Settings, instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield what is open, what is queued and what could not be delivered, as lines."""
    for store in stores(settings, instance):
        yield from describe(store.read(time.time()), time.time())


def describe(state: AlertState, now: float) -> Iterator[str]:
    """Yield the open incidents, the queue and the dead letters of a state as lines. Pure."""
    for incident in (one for one in state.incidents if one.is_open):
        told = ", ".join(one.channel for one in state.threads if incident.id in one.incidents) or "nobody"
        age = format_duration(now - incident.opened)
        yield f"{incident.id}  {incident.name} ({incident.alert.severity.value}, for {age}; told: {told})"
    for note in state.notifications:
        yield f"queued for {note.channel}: {note.content.headline} ({note.held or note.error or 'not sent yet'})"
    for letter in state.undeliverable:
        note, moment = letter.notification, datetime.fromtimestamp(letter.moment, timezone.utc)
        yield f"not delivered to {note.channel or 'anybody'} at {moment:%Y-%m-%d %H:%M} UTC: {note.content.headline}"
        yield f"  {note.error} ({pluralize(note.attempts, 'attempt')})"


def close_incidents(settings: Settings, instance: dg.DagsterInstance, ids: Collection[str]) -> Iterator[str]:
    """Close open incidents, all if no id is given; yield a line for each, and for each attempt to send.

    Raises `AlertError` if there is no open incident with an id.
    """
    found = stores(settings, instance)
    known = {one.id: one for store in found for one in store.read(time.time()).incidents if one.is_open}
    unknown = [one for one in ids if one not in known]
    if unknown:
        remedy = "`analytics-dagster alerts list` shows the ids."
        raise AlertError(f"No incident {', '.join(unknown)} is open.", remedy=remedy)
    for store in found:
        with store.lease("command", PATIENCE):
            dispatcher = make_dispatcher(settings, store)
            state = store.read(dispatcher.now)
            dispatcher.apply(state, state, [Observation(dispatcher.now, closed=frozenset(ids or known))])
            yield from (*dispatcher.sent, *dispatcher.failed)
    yield from (f"closed: {known[one].name}" for one in ids or known)


def stores(settings: Settings, instance: dg.DagsterInstance) -> Sequence[AlertStore]:
    """Return the stores of the project's alerts and of `alerts watch`."""
    storage, project = instance.daemon_cursor_storage, "unknown"
    with suppress(ProjectError):
        project = find_project(settings).name
    return AlertStore(storage, project), watch_store(instance)


def make_dispatcher(settings: Settings, store: AlertStore) -> Dispatcher:
    """Return what sends the alerts of a command."""
    deployment = build_deployment_info(settings, "")
    return Dispatcher.build(settings, load_routes(settings), deployment, store, "analytics-dagster")
