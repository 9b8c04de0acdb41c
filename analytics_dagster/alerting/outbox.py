"""Turns observations into queued notifications: to which channels, when, and how many incidents per message. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from analytics_dagster.alerting import routing
from analytics_dagster.alerting.content import Content, compose
from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Observation, advance
from analytics_dagster.alerting.routes import ChannelConfig, Routes
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
        self._notify_opened([incident for incident in self._incidents.values() if incident.id in opened])
        self._notify_changed(changed)
        self._escalate()
        self._forget_finished()

    def add_to_digests(self, content: Content) -> None:
        """Queue a message that is not about an incident: only digests contain it."""
        for name, channel in self._routes.channels.items():
            if channel.digest:
                note = Notification(f"note-{self._number}", "", name, IncidentEvent.UPDATED, content, self._now)
                self._queue(replace(note, not_before=self._next_digest(channel), held=routing.DIGEST))

    def _notify_opened(self, incidents: Sequence[Incident]) -> None:
        by_channel: dict[str, dict[str, str]] = defaultdict(dict)
        for incident in incidents:
            for channel, rule in routing.route(self._routes, incident, self._environment).items():
                by_channel[channel][incident.id] = rule
        for channel, rules in by_channel.items():
            self._start_threads(channel, rules, IncidentEvent.OPENED)

    def _notify_changed(self, changed: set[str]) -> None:
        for thread in self._threads.values():
            if not changed.isdisjoint(thread.incidents):
                is_over = not any(incident.is_open for incident in self._incidents_of(thread))
                self._write(thread, IncidentEvent.RECOVERED if is_over else IncidentEvent.UPDATED)

    def _escalate(self) -> None:
        by_channel: dict[str, dict[str, str]] = defaultdict(dict)
        reminders: dict[str, MessageThread] = {}
        for incident in [one for one in self._incidents.values() if one.is_open]:
            rules = routing.escalations(self._routes, incident, self._environment, self._now)
            if not rules or routing.maintenance_end(self._routes, incident, self._now) is not None:
                continue
            informed = [thread for thread in self._threads.values() if incident.id in thread.incidents]
            reminders |= {thread.id: thread for thread in informed}
            for rule in rules:
                for name in rule.escalate.to if rule.escalate else ():
                    if name in self._routes.channels and name not in {thread.channel for thread in informed}:
                        by_channel[name][incident.id] = rule.name
            escalated = (*incident.escalated, *(rule.name for rule in rules))
            self._incidents[incident.id] = replace(incident, escalated=escalated)
        for thread in reminders.values():
            self._write(thread, IncidentEvent.ESCALATED)
        for channel, rule_names in by_channel.items():
            self._start_threads(channel, rule_names, IncidentEvent.ESCALATED)

    def _start_threads(self, channel: str, rules: Mapping[str, str], event: IncidentEvent) -> None:
        """Start a thread for each incident (``rules``: id to rule name), or one thread for all if they are many."""
        is_bundle = len(rules) > self._routes.channels[channel].bundle_above
        for part in [rules] if is_bundle else [{incident: rule} for incident, rule in rules.items()]:
            thread_id = digest(f"{channel} {' '.join(sorted(part))}")
            thread = MessageThread(thread_id, channel, ", ".join(dict.fromkeys(part.values())), tuple(part))
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
        obsolete = [
            one for one in queued if event is IncidentEvent.RECOVERED or one.event in {event, IncidentEvent.UPDATED}
        ]
        self._remove(obsolete)
        incidents = self._incidents_of(thread)
        times = [routing.held_until(self._routes, thread.channel, incident, self._now) for incident in incidents]
        not_before, reason = min(times, default=(0.0, ""))
        if channel.digest and not_before <= self._now:
            not_before, reason = self._next_digest(channel), routing.DIGEST
        self._queue(
            Notification(
                id=f"{thread.id}-{self._number}",
                thread=thread.id,
                channel=thread.channel,
                event=event,
                content=compose(event, incidents, thread.rule, self._now),
                queued=min([self._now, *(one.queued for one in obsolete)]),
                not_before=max([not_before, *(one.not_before for one in obsolete if not one.held)]),
                held=reason,
                attempts=max((one.attempts for one in obsolete), default=0),
            )
        )

    def _queue(self, notification: Notification) -> None:
        self._notifications[notification.id] = notification
        self._number += 1

    def _remove(self, notifications: Iterable[Notification]) -> None:
        for notification in notifications:
            del self._notifications[notification.id]

    def _next_digest(self, channel: ChannelConfig) -> float:
        return routing.next_time(channel.digest or "", self._now, self._routes.zone)

    def _incidents_of(self, thread: MessageThread) -> list[Incident]:
        return [self._incidents[incident] for incident in thread.incidents if incident in self._incidents]

    def _forget_finished(self) -> None:
        """Remove incidents that are over and whose messages were all sent, and messages of removed channels."""
        self._remove([one for one in self._notifications.values() if one.channel not in self._routes.channels])
        queued = {one.thread for one in self._notifications.values()}
        is_open = {incident.id for incident in self._incidents.values() if incident.is_open}
        self._threads = {
            thread.id: thread
            for thread in self._threads.values()
            if thread.id in queued or not is_open.isdisjoint(thread.incidents)
        }
        needed = is_open.union(*(thread.incidents for thread in self._threads.values()))
        self._incidents = {key: incident for key, incident in self._incidents.items() if key in needed}
