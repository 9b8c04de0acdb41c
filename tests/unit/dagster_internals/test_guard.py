"""The guard of private names: what it returns, when it falls back, and what it logs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from analytics_dagster.dagster_internals import guard
from analytics_dagster.dagster_internals.guard import NO_INTERNALS, available, require_parameters


@pytest.fixture(autouse=True)
def _nothing_logged_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NO_INTERNALS, raising=False)
    monkeypatch.setattr(guard, "_logged", set())


def _raises(error: Exception) -> Callable[[], object]:
    def probe() -> object:
        raise error

    return probe


def test_a_name_that_is_there_is_returned_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert available("dagster._utils.pushd", lambda: "found", "os.chdir") == "found"
    assert caplog.records == []


@pytest.mark.parametrize("error", [ImportError("gone"), AttributeError("gone"), TypeError("gone")])
def test_a_name_that_is_gone_is_logged_once_with_what_is_done_instead(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert available("dagster._core.thing", _raises(error), "the public one is used") is None
    assert [record.getMessage() for record in caplog.records] == [
        f"Not using the private name dagster._core.thing ({type(error).__name__}: gone): the public one is used"
    ]


def test_another_error_of_the_probe_is_raised() -> None:
    with pytest.raises(ValueError, match="a fault"):
        available("name", _raises(ValueError("a fault")), "nothing")


@pytest.mark.parametrize(("value", "used"), [("1", False), ("0", True), ("", True)])
def test_the_variable_turns_every_use_off(monkeypatch: pytest.MonkeyPatch, value: str, *, used: bool) -> None:
    monkeypatch.setenv(NO_INTERNALS, value)
    assert (available("name", lambda: 1, "the public one is used") == 1) is used


def test_a_changed_signature_counts_as_gone() -> None:
    def function(first: int, second: int, *, third: int = 0) -> None: ...

    require_parameters(function, "first", "second")
    require_parameters(function, "first", "second", "third")
    with pytest.raises(TypeError, match=r"takes first, second, third; expected second"):
        require_parameters(function, "second")
