"""Turns observations into queued notifications: to which channels, when, and how many incidents per message. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from analytics_dagster.alerting import routing
from analytics_dagster.alerting.content import Content, compose
from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Observation, advance
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.store import AlertState, MessageThread, Notification
from analytics_dagster.redaction import digest


class Outbox:
    """Applies observations to a copy of the state; ``state`` is the result."""

    def __init__(self, state: AlertState, routes: Routes, environment: str, now: float) -> None:
        self._before = state
        self._incidents = {incident.id: incident for incident in state.incidents}
        self._threads = {thread.id: thread for thread in state.threads}
        self._notifications = {notification.id: notification for notification in state.notifications}
        self._number = state.number
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
        )

    def add(self, observations: Iterable[Observation]) -> None:
        """Queue the notifications that follow from observations, in their order, and from the time that has passed."""
        opened, changed = set[str](), set[str]()
        for observation in observations:
            self._incidents, events = advance(self._incidents.values(), observation)
            for incident, event in events.items():
                (opened if event is IncidentEvent.OPENED else changed).add(incident)
        # An incident that opened and recovered since the last tick is one message, about its recovery.
        new = [one for one in self._incidents.values() if one.id in opened]
        routed = {one.id: routing.route(self._routes, one, self._environment) for one in new}
        self._start_threads(routed, IncidentEvent.OPENED)
        for thread in self._threads.values():
            if not changed.isdisjoint(thread.incidents):
                is_over = not any(incident.is_open for incident in self._incidents_of(thread))
                self._write(thread, IncidentEvent.RECOVERED if is_over else IncidentEvent.UPDATED)
        self._escalate()
        self._forget_finished()

    def add_to_digests(self, content: Content) -> None:
        """Queue a message that is not about an incident: only digests contain it."""
        for name, channel in self._routes.channels.items():
            if channel.digest:
                due = routing.next_time(channel.digest, self._now, self._routes.zone)
                identity, event = f"note-{self._number}", IncidentEvent.UPDATED
                self._queue(Notification(identity, "", name, event, content, self._now, due, routing.DIGEST))

    def _escalate(self) -> None:
        routed: dict[str, dict[str, str]] = {}
        reminders: dict[str, MessageThread] = {}
        for incident in self._incidents.values():
            rules = routing.escalations(self._routes, incident, self._environment, self._now)
            if not rules or routing.maintenance_end(self._routes, incident, self._now) is not None:
                continue
            informed = {thread.channel: thread for thread in self._threads.values() if incident.id in thread.incidents}
            reminders |= {thread.id: thread for thread in informed.values()}
            more = {name: rule.name for rule in rules for name in (rule.escalate.to if rule.escalate else ())}
            routed[incident.id] = {name: rule for name, rule in more.items() if name not in informed}
            escalated = (*incident.escalated, *(rule.name for rule in rules))
            self._incidents[incident.id] = replace(incident, escalated=escalated)
        for thread in reminders.values():
            self._write(thread, IncidentEvent.ESCALATED)
        self._start_threads(routed, IncidentEvent.ESCALATED)

    def _start_threads(self, routed: Mapping[str, Mapping[str, str]], event: IncidentEvent) -> None:
        """Start a thread for each incident and channel, or one for all of a channel if they are many.

        ``routed`` maps incidents to channels and the names of their rules.
        """
        for name, channel in self._routes.channels.items():
            rules = {incident: channels[name] for incident, channels in routed.items() if name in channels}
            is_bundle = len(rules) > channel.bundle_above
            for part in [rules] if is_bundle else [{incident: rule} for incident, rule in rules.items()]:
                thread_id = digest(f"{name} {' '.join(sorted(part))}")
                thread = MessageThread(thread_id, name, ", ".join(dict.fromkeys(part.values())), tuple(part))
                self._threads[thread_id] = thread
                self._write(thread, event)

    def _write(self, thread: MessageThread, event: IncidentEvent) -> None:
        """Queue a message of a thread, in place of queued messages that it makes obsolete."""
        channel = self._routes.channels.get(thread.channel)
        if channel is None:
            return
        queued = [one for one in self._notifications.values() if one.thread == thread.id]
        unsent = [one for one in queued if one.event is IncidentEvent.OPENED]
        if event is IncidentEvent.UPDATED and not unsent and not channel.can_edit:
            return
        if event in {IncidentEvent.UPDATED, IncidentEvent.ESCALATED} and unsent:
            # The first message was not sent yet: it is replaced by one with the latest facts.
            event = IncidentEvent.OPENED
        is_planned = any(one.held == routing.MAINTENANCE for one in unsent)
        if event is IncidentEvent.RECOVERED and unsent and (is_planned or channel.kind == "pagerduty"):
            self._remove(queued)
            return
        replaced = set(IncidentEvent) if event is IncidentEvent.RECOVERED else {event, IncidentEvent.UPDATED}
        obsolete = [one for one in queued if one.event in replaced]
        self._remove(obsolete)
        incidents = self._incidents_of(thread)
        times = [routing.held_until(self._routes, thread.channel, incident, self._now) for incident in incidents]
        not_before, reason = min(times, default=(0.0, ""))
        if channel.digest and not_before <= self._now:
            not_before, reason = routing.next_time(channel.digest, self._now, self._routes.zone), routing.DIGEST
        identity, content = f"{thread.id}-{self._number}", compose(event, incidents, thread.rule, self._now)
        since = min([self._now, *(one.queued for one in obsolete)])
        not_before = max([not_before, *(one.not_before for one in obsolete if not one.held)])
        attempts = max((one.attempts for one in obsolete), default=0)
        self._queue(
            Notification(identity, thread.id, thread.channel, event, content, since, not_before, reason, attempts)
        )

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
