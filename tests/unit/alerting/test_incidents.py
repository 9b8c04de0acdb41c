"""Incidents: opened once, updated by repeats, closed when everything that failed succeeds, in any order of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_dagster.alerting.incidents import (
    OPEN,
    TRANSITIONS,
    Alert,
    Incident,
    IncidentEvent,
    Observation,
    Severity,
    Signal,
    advance,
)
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


def test_every_signal_moves_an_open_incident_and_none_moves_one_that_is_over() -> None:
    moves = {signal: TRANSITIONS[OPEN, signal] for signal in Signal}
    assert moves == {
        Signal.FAILED: IncidentEvent.UPDATED,
        Signal.FAILED_WORSE: IncidentEvent.ESCALATED,
        Signal.SETTLED_PARTLY: IncidentEvent.UPDATED,
        Signal.SUCCEEDED: IncidentEvent.RECOVERED,
        Signal.DISAPPEARED: IncidentEvent.DISAPPEARED,
        Signal.CLOSED: IncidentEvent.CLOSED,
    }
    assert {state for state, _ in TRANSITIONS} == {None, OPEN}


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        ({"gone": {"asset:a", "asset:b"}}, [IncidentEvent.DISAPPEARED]),
        ({"gone": {"asset:a"}}, [OPEN]),
        ({"gone": {"asset:a"}, "succeeded": {"asset:b"}}, [IncidentEvent.RECOVERED]),
        ({"gone": {"asset:other"}}, [OPEN]),
        ({"closed": {"ID"}}, [IncidentEvent.CLOSED]),
        ({"closed": {"ID"}, "succeeded": {"asset:a", "asset:b"}}, [IncidentEvent.CLOSED]),
        ({"succeeded": {"asset:a"}}, [OPEN]),
    ],
)
def test_how_an_incident_of_two_subjects_ends(observation: dict[str, set[str]], expected: list[IncidentEvent]) -> None:
    after, _ = advance((), observation_at(1, alert("x", 1, "asset:a", "asset:b")))
    [identity] = after
    sets: Any = {
        name: frozenset(identity if one == "ID" else one for one in found) for name, found in observation.items()
    }
    ended, _ = advance(after.values(), Observation(2, url="https://dagster/runs/2", **sets))
    assert [one.state for one in ended.values()] == expected
    assert ended[identity].ended_url == ("" if expected == [OPEN] else "https://dagster/runs/2")
    assert advance(ended.values(), Observation(3, **sets))[1] == {}, "nothing happens twice"


def test_after_a_part_disappeared_the_rest_ends_the_incident() -> None:
    after, _ = advance((), observation_at(1, alert("x", 1, "asset:a", "asset:b")))
    after, events = advance(after.values(), Observation(2, gone=frozenset({"asset:a"})))
    assert list(events.values()) == [IncidentEvent.UPDATED]
    assert list(advance(after.values(), observation_at(3, succeeded=["asset:b"]))[1].values()) == [
        IncidentEvent.RECOVERED
    ]


def test_an_incident_keeps_its_first_title_and_all_owners() -> None:
    first, second = alert("x", 1, "asset:a"), replace(alert("x", 2, "asset:b"), title="hourly: killed", owners=("bob",))
    after, _ = advance((), observation_at(1, replace(first, title="ingestion: killed", owners=("ann",))))
    after, _ = advance(after.values(), observation_at(2, second))
    [incident] = after.values()
    assert incident.name == "ingestion: killed"
    assert set(incident.alert.owners) == {"ann", "bob"}


def test_a_higher_severity_escalates() -> None:
    after, _ = advance((), observation_at(1, alert("x", 1, "asset:a")))
    worse = observation_at(2, alert("x", 2, "asset:b", severity=Severity.CRITICAL))
    assert list(advance(after.values(), worse)[1].values()) == [IncidentEvent.ESCALATED]


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
