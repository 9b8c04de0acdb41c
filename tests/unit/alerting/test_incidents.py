"""Incidents: opened once, updated by repeats, closed when everything that failed succeeds, in any order of events."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from analytics_dagster.alerting.incidents import Alert, Incident, IncidentEvent, Observation, Severity, advance
from analytics_dagster.execution.failures.classification import FailureKind


def alert(key: str, moment: float, *subjects: str, severity: Severity = Severity.ERROR) -> Alert:
    return Alert(key, f"{key} failed", FailureKind.SQL, severity, moment, subjects=subjects or (f"asset:{key}",))


def observation_at(moment: float, *alerts: Alert, succeeded: Sequence[str] = ()) -> Observation:
    return Observation(moment, alerts, frozenset(succeeded))


def advance_by_key(
    incidents: Sequence[Incident], observation: Observation
) -> tuple[tuple[Incident, ...], list[tuple[IncidentEvent, str]]]:
    after, events = advance(incidents, observation)
    return tuple(after.values()), [(event, after[incident].alert.key) for incident, event in events.items()]


def test_an_alert_opens_an_incident_repeats_update_it_and_success_closes_it() -> None:
    after, events = advance_by_key((), observation_at(1, alert("a", 1)))
    assert events == [(IncidentEvent.OPENED, "a")]
    after, events = advance_by_key(after, observation_at(2, alert("a", 2)))
    assert events == [(IncidentEvent.UPDATED, "a")]
    assert after[0].times == 2
    after, events = advance_by_key(after, observation_at(3, succeeded=["asset:a"]))
    assert events == [(IncidentEvent.RECOVERED, "a")]
    assert (after[0].opened, after[0].recovered) == (1, 3)


def test_observing_the_same_alert_again_changes_nothing() -> None:
    after, _ = advance_by_key((), observation_at(1, alert("a", 1)))
    assert advance_by_key(after, observation_at(2, alert("a", 1))) == (after, [])


def test_a_success_before_the_last_failure_is_ignored() -> None:
    after, _ = advance_by_key((), observation_at(5, alert("a", 5)))
    assert advance_by_key(after, observation_at(4, succeeded=["asset:a"]))[1] == []


def test_an_incident_closes_when_its_last_subject_succeeds() -> None:
    after, _ = advance_by_key((), observation_at(1, alert("x", 1, "asset:a"), alert("x", 1, "asset:b")))
    assert len(after) == 1
    after, events = advance_by_key(after, observation_at(2, succeeded=["asset:a"]))
    assert events == [(IncidentEvent.UPDATED, "x")]
    after, events = advance_by_key(after, observation_at(3, alert("x", 3, "asset:c")))
    assert events == [(IncidentEvent.UPDATED, "x")]
    assert set(after[0].alert.subjects) == {"asset:b", "asset:c"}, "a subject that succeeded is removed"
    assert advance_by_key(after, observation_at(4, succeeded=["asset:b", "asset:c"]))[1] == [
        (IncidentEvent.RECOVERED, "x")
    ]


def test_an_incident_has_the_highest_severity_of_its_alerts() -> None:
    after, _ = advance_by_key((), observation_at(1, alert("x", 1, "a", severity=Severity.CRITICAL), alert("x", 1, "b")))
    after, _ = advance_by_key(after, observation_at(2, alert("x", 2, "b", severity=Severity.WARN)))
    assert after[0].alert.severity is Severity.CRITICAL


def test_the_same_alert_after_recovery_opens_a_new_incident() -> None:
    after, _ = advance_by_key((), observation_at(1, alert("a", 1)))
    after, _ = advance_by_key(after, observation_at(2, succeeded=["asset:a"]))
    after, events = advance_by_key(after, observation_at(3, alert("a", 3)))
    assert events == [(IncidentEvent.OPENED, "a")]
    assert len({one.id for one in after}) == 2


KEYS = ("a", "b", "c")
OBSERVATIONS = st.lists(
    st.tuples(st.frozensets(st.sampled_from(KEYS)), st.frozensets(st.sampled_from(KEYS))), min_size=1, max_size=12
)


@given(OBSERVATIONS)
def test_each_key_has_at_most_one_open_incident_with_one_start_and_one_end(
    observations: list[tuple[frozenset[str], frozenset[str]]],
) -> None:
    incidents: tuple[Incident, ...] = ()
    opened: dict[str, int] = {}
    ended: dict[str, int] = {}
    failed = set[str]()
    for moment, (failing, succeeded) in enumerate(observations, start=1):
        observation = observation_at(
            moment, *(alert(key, moment) for key in sorted(failing)), succeeded=[f"asset:{key}" for key in succeeded]
        )
        after, events = advance(incidents, observation)
        incidents = tuple(after.values())
        for incident, event in events.items():
            counts = {IncidentEvent.OPENED: opened, IncidentEvent.RECOVERED: ended}.get(event, {})
            counts[incident] = counts.get(incident, 0) + 1
        failed = (failed - succeeded) | failing
        is_open = [one.alert.key for one in incidents if one.is_open]
        assert sorted(is_open) == sorted(failed), "open: failed, and no success since"
        assert all(count == 1 for count in [*opened.values(), *ended.values()])
        assert len(opened) - len(ended) == len(is_open)
