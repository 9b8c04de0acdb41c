"""From what happened to incidents to the letters that are written to channels: who, when, and as how many. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from analytics_dagster.alerting.content import Content, compose
from analytics_dagster.alerting.incidents import Incident, IncidentEvent, Observation, advance
from analytics_dagster.alerting.routes import ChannelConfig, Routes
from analytics_dagster.alerting.routing import DIGEST, MAINTENANCE, escalations, held_until, route
from analytics_dagster.alerting.store import AlertState, MessageThread, Notification
from analytics_dagster.redaction import digest


class Outbox:
    """Takes observations in, and keeps a state with the letters that follow from them."""

    def __init__(self, state: AlertState, routes: Routes, environment: str, now: float) -> None:
        self.state = state
        self._routes = routes
        self._environment = environment
        self._now = now

    def take(self, observations: Iterable[Observation]) -> AlertState:
        """Return the state after observations, in their order, and after the time that has passed."""
        opened: dict[str, Incident] = {}
        changed: set[str] = set()
        for observation in observations:
            incidents, news = advance(self.state.incidents, observation)
            self.state = replace(self.state, incidents=incidents)
            for change in news:
                identity = change.incident.id
                if change.event is IncidentEvent.OPENED or identity in opened:
                    opened[identity] = change.incident
                if change.event is not IncidentEvent.OPENED:
                    changed.add(identity)
        # What began and ended between two looks is told, as one message, that it is over.
        self._open(list(opened.values()))
        self._go_on(changed)
        self._escalate()
        self._tidy()
        return self.state

    # --- what has just begun ---------------------------------------------------------------------------------------

    def _open(self, incidents: Sequence[Incident]) -> None:
        by_channel: dict[str, list[tuple[Incident, str]]] = defaultdict(list)
        for incident in incidents:
            for decision in route(self._routes, incident, self._environment):
                by_channel[decision.channel].append((incident, decision.rule))
        for channel, told in by_channel.items():
            self._begin(channel, told, IncidentEvent.OPENED)

    def _begin(self, channel: str, told: Sequence[tuple[Incident, str]], event: IncidentEvent) -> None:
        """Begin a thread for each incident, or one for all of them if they are many."""
        single = len(told) <= self._routes.channels[channel].bundle_above
        for part in [[one] for one in told] if single else [list(told)]:
            incidents = [incident for incident, _ in part]
            rules = ", ".join(dict.fromkeys(rule for _, rule in part))
            identity = digest(f"{channel} {' '.join(sorted(one.id for one in incidents))}")
            thread = MessageThread(identity, channel, rules, tuple(one.id for one in incidents))
            self.state = replace(self.state, threads=(*self.state.threads, thread))
            self._write(thread, event)

    # --- what goes on, and what is over ----------------------------------------------------------------------------

    def _go_on(self, changed: AbstractSet[str]) -> None:
        for thread in self.state.threads:
            if not changed.isdisjoint(thread.incidents):
                over = not any(incident.is_open for incident in self._incidents(thread))
                self._write(thread, IncidentEvent.RECOVERED if over else IncidentEvent.UPDATED)

    def _escalate(self) -> None:
        found: dict[str, list[tuple[Incident, str]]] = defaultdict(list)
        reminded: dict[str, MessageThread] = {}
        for incident in [one for one in self.state.incidents if one.is_open]:
            rules = escalations(self._routes, incident, self._environment, self._now)
            if not rules or held_until_maintenance(self._routes, incident, self._now):
                continue
            knowing = [thread for thread in self.state.threads if incident.id in thread.incidents]
            reminded |= {thread.id: thread for thread in knowing}
            for rule in rules:
                for name in rule.escalate.to if rule.escalate else ():
                    if name in self._routes.channels and name not in {thread.channel for thread in knowing}:
                        found[name].append((incident, rule.name))
            escalated = (*incident.escalated, *(rule.name for rule in rules))
            self._replace(replace(incident, escalated=escalated))
        for thread in reminded.values():
            self._write(thread, IncidentEvent.ESCALATED)
        for channel, told in found.items():
            self._begin(
                channel,
                list({incident.id: (incident, rule) for incident, rule in told}.values()),
                IncidentEvent.ESCALATED,
            )

    def note(self, content: Content) -> AlertState:
        """Return the state with something in every digest that alerts nobody."""
        for name, channel in self._routes.channels.items():
            if channel.digest:
                number = self.state.number
                notification = Notification(
                    f"note-{number}",
                    "",
                    name,
                    IncidentEvent.UPDATED,
                    content,
                    self._now,
                    self._next_digest(channel),
                    DIGEST,
                )
                self.state = replace(
                    self.state, notifications=(*self.state.notifications, notification), number=number + 1
                )
        return self.state

    # --- letters ---------------------------------------------------------------------------------------------------

    def _write(self, thread: MessageThread, event: IncidentEvent) -> None:
        """Write a letter of a thread, in the place of those that it makes idle."""
        channel = self._routes.channels.get(thread.channel)
        if channel is None:
            return
        waiting = [notification for notification in self.state.notifications if notification.thread == thread.id]
        unsaid = [notification for notification in waiting if notification.event is IncidentEvent.OPENED]
        if event is IncidentEvent.UPDATED and not unsaid and not channel.edits:
            return
        if event in {IncidentEvent.UPDATED, IncidentEvent.ESCALATED} and unsaid:
            # Who has not heard of it yet is told how it is now.
            event = IncidentEvent.OPENED
        incidents = self._incidents(thread)
        planned = any(notification.held == MAINTENANCE for notification in unsaid)
        if event is IncidentEvent.RECOVERED and unsaid and (planned or channel.kind == "pagerduty"):
            self._drop(waiting)
            return
        idle = [
            notification
            for notification in waiting
            if event is IncidentEvent.RECOVERED or notification.event in {event, IncidentEvent.UPDATED}
        ]
        held = [held_until(self._routes, thread.channel, incident, self._now) for incident in incidents]
        not_before, reason = min(held, default=(0.0, ""))
        if channel.digest and not_before <= self._now:
            not_before, reason = self._next_digest(channel), DIGEST
        self._drop(idle)
        notification = Notification(
            id=f"{thread.id}-{self.state.number}",
            thread=thread.id,
            channel=thread.channel,
            event=event,
            content=compose(event, incidents, thread.rule, self._now),
            queued=min([notification.queued for notification in idle] or [self._now]),
            not_before=max([not_before, *(notification.not_before for notification in idle if not notification.held)]),
            held=reason,
            attempts=max((notification.attempts for notification in idle), default=0),
        )
        self.state = replace(
            self.state, notifications=(*self.state.notifications, notification), number=self.state.number + 1
        )

    def _next_digest(self, channel: ChannelConfig) -> float:
        return next_time(channel.digest or "", self._now, self._routes.zone)

    def _drop(self, notifications: Collection[Notification]) -> None:
        dropped = {notification.id for notification in notifications}
        self.state = replace(
            self.state, notifications=tuple(one for one in self.state.notifications if one.id not in dropped)
        )

    def _incidents(self, thread: MessageThread) -> list[Incident]:
        known = {incident.id: incident for incident in self.state.incidents}
        return [known[identity] for identity in thread.incidents if identity in known]

    def _replace(self, incident: Incident) -> None:
        incidents = tuple(incident if one.id == incident.id else one for one in self.state.incidents)
        self.state = replace(self.state, incidents=incidents)

    def _tidy(self) -> None:
        """Forget what is over, once everybody knows it."""
        notifications = tuple(
            notification for notification in self.state.notifications if notification.channel in self._routes.channels
        )
        self.state = replace(self.state, notifications=notifications)
        waiting = {notification.thread for notification in notifications}
        is_open = {incident.id for incident in self.state.incidents if incident.is_open}
        threads = tuple(one for one in self.state.threads if one.id in waiting or is_open & set(one.incidents))
        needed = {identity for thread in threads for identity in thread.incidents}
        incidents = tuple(one for one in self.state.incidents if one.is_open or one.id in needed)
        self.state = replace(self.state, threads=threads, incidents=incidents)


def next_time(clock: str, now: float, zone: ZoneInfo) -> float:
    """Return when it is next this time of day."""
    local = datetime.fromtimestamp(now, zone)
    today = datetime.combine(local.date(), time.fromisoformat(clock), tzinfo=zone)
    return (today if today > local else today + timedelta(days=1)).timestamp()


def held_until_maintenance(routes: Routes, incident: Incident, now: float) -> bool:
    """Return whether an incident began in a maintenance window that goes on."""
    return any(
        window.holds(incident, routes.zone) and window.span(routes.zone)[1] > now for window in routes.maintenance
    )
