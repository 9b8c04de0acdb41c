"""Turns observations into queued notifications: to which channels, when, and how many incidents per message. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

from analytics_dagster.alerting import routing
from analytics_dagster.alerting.content import Content, compose
from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Observation, advance
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.store import AlertState, MessageThread, Notification
from analytics_dagster.redaction import digest

Note: TypeAlias = tuple[str, IncidentEvent, Content]
"""A message that is not about an incident: the channel, the event and what it says."""

_REMEMBERED = 172_800.0
"""How long summaries know an incident that is over, in seconds."""


class Outbox:
    """Applies observations to a copy of the state; ``state`` is the result."""

    def __init__(self, state: AlertState, routes: Routes, environment: str, now: float) -> None:
        self._before = state
        self._incidents = {incident.id: incident for incident in state.incidents}
        self._threads = {thread.id: thread for thread in state.threads}
        self._notifications = {one.id: _with_addresses(one, routes) for one in state.notifications}
        self._number = state.number
        self._ended = tuple(one for one in state.ended if one[0] > now - _REMEMBERED)
        self._routes = routes
        self._environment = environment
        self._now = now

    @property
    def state(self) -> AlertState:
        """The state with all incidents, threads and notifications so far."""
        return replace(
            self._before,
            incidents=tuple(self._incidents.values()),
            threads=tuple(self._threads.values()),
            notifications=tuple(self._notifications.values()),
            number=self._number,
            ended=self._ended,
        )

    def add(self, observations: Iterable[Observation]) -> None:
        """Queue the notifications that follow from observations, in their order, and from the time that has passed."""
        opened, changed = set[str](), dict[str, IncidentEvent]()
        for observation in observations:
            self._incidents, events = advance(self._incidents.values(), observation)
            opened |= {incident for incident, event in events.items() if event is IncidentEvent.OPENED}
            later = {incident: event for incident, event in events.items() if event is not IncidentEvent.OPENED}
            changed |= {i: event for i, event in later.items() if changed.get(i) is not IncidentEvent.ESCALATED}
        for incident in list(self._incidents.values()):
            rules = routing.escalations(self._routes, incident, self._environment, self._now)
            if rules:
                escalated = (*incident.escalated, *(rule.name for rule in rules))
                self._incidents[incident.id] = replace(incident, escalated=escalated)
                changed[incident.id] = IncidentEvent.ESCALATED
        self._start_threads(opened)
        for thread in list(self._threads.values()):
            happened = {changed[incident] for incident in thread.incidents if incident in changed}
            ends = [one.state for one in self._incidents_of(thread)]
            if happened and IncidentEvent.OPENED not in ends:
                self._write(thread, IncidentEvent.RECOVERED if IncidentEvent.RECOVERED in ends else ends[-1])
            elif happened:
                escalates = IncidentEvent.ESCALATED in happened
                self._write(thread, IncidentEvent.ESCALATED if escalates else IncidentEvent.UPDATED)
        over = [self._incidents[one] for one in changed if not self._incidents[one].is_open]
        self._ended += tuple((one.recovered or self._now, f"{one.state.value}: {one.name}") for one in over)
        self._forget_finished()

    def announce(self, channel: str, event: IncidentEvent, content: Content) -> None:
        """Queue a message that is not about an incident; a summary replaces one that is still queued."""
        config = self._routes.channels[channel]
        not_before, held = routing.held_until(self._routes, channel, None, self._now)
        if config.digest and event is IncidentEvent.UPDATED:
            not_before, held = routing.next_time(config.digest, self._now, self._routes.zone), routing.DIGEST
        if event is IncidentEvent.SUMMARY:
            queued = [one for one in self._notifications.values() if (one.channel, one.event) == (channel, event)]
            self._remove(queued)
            not_before, held = 0.0, ""
        identity, to = f"note-{self._number}", routing.recipients(config, ())
        self._queue(Notification(identity, "", channel, event, content, self._now, not_before, held, to=to))

    def _start_threads(self, opened: set[str]) -> None:
        """Start a thread for each incident and channel that its current state adds, or one for all if they are many.

        An incident that opened and recovered since the last tick is one message, about its recovery.
        """
        current = [one for one in self._incidents.values() if one.is_open or one.id in opened]
        routed = {one.id: routing.route(self._routes, one, self._environment) for one in current}
        told = {(thread.channel, incident) for thread in self._threads.values() for incident in thread.incidents}
        for name, channel in self._routes.channels.items():
            rules = {one: found[name] for one, found in routed.items() if name in found and (name, one) not in told}
            is_bundle = len(rules) > channel.bundle_above
            for part in [rules] if is_bundle else [{incident: rule} for incident, rule in rules.items()]:
                thread_id = digest(f"{name} {' '.join(sorted(part))}")
                thread = MessageThread(thread_id, name, ", ".join(dict.fromkeys(part.values())), tuple(part), to=())
                self._threads[thread_id] = thread
                is_new = not opened.isdisjoint(part)
                self._write(thread, IncidentEvent.OPENED if is_new else IncidentEvent.ESCALATED)

    def _write(self, thread: MessageThread, event: IncidentEvent) -> None:
        """Queue a message of a thread, in place of queued messages that it makes obsolete."""
        channel = self._routes.channels.get(thread.channel)
        if channel is None:
            return
        incidents = self._incidents_of(thread)
        addresses = routing.recipients(channel, [owner for one in incidents for owner in one.alert.owners])
        to = tuple(dict.fromkeys((*(addresses if thread.to is None else thread.to), *addresses)))
        queued = [one for one in self._notifications.values() if one.thread == thread.id]
        unsent = [one for one in queued if one.event is IncidentEvent.OPENED]
        is_planned = any(one.held == routing.MAINTENANCE for one in unsent)
        if event.is_end and unsent and (is_planned or channel.kind == "pagerduty"):
            self._remove(queued)
            return
        if event is IncidentEvent.UPDATED and not unsent and not channel.can_edit:
            # Only somebody who is newly concerned is told.
            event, to = IncidentEvent.OPENED, tuple(one for one in to if one not in (thread.to or to))
            if not to:
                return
        elif event in {IncidentEvent.UPDATED, IncidentEvent.ESCALATED} and unsent:
            # The first message was not sent yet: it is replaced by one with the latest facts.
            event = IncidentEvent.OPENED
        replaced = set(IncidentEvent) if event.is_end else {event, IncidentEvent.UPDATED}
        obsolete = [one for one in queued if one.event in replaced]
        self._remove(obsolete)
        times = [routing.held_until(self._routes, thread.channel, incident, self._now) for incident in incidents]
        not_before, reason = min(times, default=(0.0, ""))
        if channel.digest and not_before <= self._now:
            not_before, reason = routing.next_time(channel.digest, self._now, self._routes.zone), routing.DIGEST
        identity, content = f"{thread.id}-{self._number}", compose(event, incidents, thread.rule, self._now)
        since = min([self._now, *(one.queued for one in obsolete)])
        not_before = max([not_before, *(one.not_before for one in obsolete if not one.held)])
        attempts = max((one.attempts for one in obsolete), default=0)
        self._threads[thread.id] = replace(thread, to=tuple(dict.fromkeys((*(thread.to or ()), *to))))
        fields = (identity, thread.id, thread.channel, event, content, since, not_before, reason, attempts)
        self._queue(Notification(*fields, to=to))

    def _queue(self, notification: Notification) -> None:
        self._notifications[notification.id] = notification
        self._number += 1

    def _remove(self, notifications: Iterable[Notification]) -> None:
        for notification in notifications:
            del self._notifications[notification.id]

    def _incidents_of(self, thread: MessageThread) -> list[Incident]:
        return [self._incidents[incident] for incident in thread.incidents if incident in self._incidents]

    def _forget_finished(self) -> None:
        """Remove incidents that are over and whose messages were all sent, and messages of removed channels."""
        self._remove([one for one in self._notifications.values() if one.channel not in self._routes.channels])
        queued = {one.thread for one in self._notifications.values()}
        needed = {incident.id for incident in self._incidents.values() if incident.is_open}
        threads = [one for one in self._threads.values() if one.id in queued or not needed.isdisjoint(one.incidents)]
        self._threads = {thread.id: thread for thread in threads}
        needed = needed.union(*(thread.incidents for thread in threads))
        self._incidents = {key: incident for key, incident in self._incidents.items() if key in needed}


def _with_addresses(notification: Notification, routes: Routes) -> Notification:
    """Return a notification with the addresses that an earlier version did not store."""
    channel = routes.channels.get(notification.channel)
    if channel is None or channel.email is None or notification.to:
        return notification
    return replace(notification, to=routing.recipients(channel, notification.content.owners))
