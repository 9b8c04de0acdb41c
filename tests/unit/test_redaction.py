"""What people are told of an error is short, useful, and without secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_dagster.redaction import error_fingerprint, redact, secret_values, shorten, useful_lines

DBT = """  Runtime Error in model orders (models/marts/orders.sql)
  Binder Error: Referenced column "total" not found in FROM clause!
  Candidate bindings: "tax", "id"
  
  LINE 10:       select total from x
                        ^

  > in macro statement (macros/etc/statement.sql)
  > called by model orders (models/marts/orders.sql)
  compiled code at target/compiled/shop/models/marts/orders.sql"""  # noqa: W293 - as dbt has it


def test_the_useful_lines_are_the_reason_and_the_place_in_the_sql() -> None:
    assert useful_lines(DBT).splitlines() == [
        'Binder Error: Referenced column "total" not found in FROM clause!',
        'Candidate bindings: "tax", "id"',
        "LINE 10:       select total from x",
    ]


def test_a_message_of_nothing_but_its_head_is_told_all_the_same() -> None:
    assert useful_lines("Runtime Error in model a (a.sql)") == "Runtime Error in model a (a.sql)"
    assert useful_lines("") == ""


def test_more_lines_than_are_told_are_counted() -> None:
    assert useful_lines("\n".join("abcdefgh"), most=2).splitlines() == ["a", "b", "(6 more lines)"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://dbt:hunter22@db:5432/shop", "hunter22"),
        ("password=hunter22 host=db", "hunter22"),
        ('{"password": "hunter22"}', "hunter22"),
        ("PGPASSWORD='hunter 22'", "hunter 22"),
        ("SECRET 'hunter22' is not here but aws_secret_access_key: hunter33", "hunter33"),
        ("xoxb-123-hunter22", "hunter22"),
        ("https://hooks.slack.com/services/T0/B0/hunter22", "hunter22"),
        ("Authorization: Bearer hunter22hunter22", "hunter22hunter22"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
        ("https://x/?X-Amz-Signature=hunter22&y=1", "hunter22"),
        ("-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----", "hunter22"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, hidden: str) -> None:
    assert hidden in text
    assert hidden not in redact(text)


def test_the_values_of_secret_variables_are_hidden_wherever_they_stand() -> None:
    values = secret_values(
        {"ANALYTICS_POSTGRES_PASSWORD": "correct horse", "PATH": "/usr/bin", "A_TOKEN": "x"}, ["other one"]
    )
    assert values == {"correct horse", "other one"}
    assert redact("the correct horse in /usr/bin with other one", values) == "the *** in /usr/bin with ***"


def test_an_error_without_a_secret_stays_as_it_is() -> None:
    assert redact(DBT) == DBT


@given(st.text(max_size=300), st.integers(min_value=20, max_value=200))
def test_a_shortened_text_fits_and_keeps_head_and_tail(text: str, longest: int) -> None:
    short = shorten(text, longest)
    assert len(short) <= longest
    assert (short == text) is (len(text) <= longest)
    if short != text:
        assert text.startswith(short.split("\n[…]\n")[0][:5])
        assert text.endswith(short[-3:])


def test_the_same_reason_has_the_same_fingerprint_whatever_the_numbers_and_paths() -> None:
    one = "Runtime Error in model a (a.sql)\n  IO Error: lock on /w/a.duckdb is held by PID 17 since 10:42:01"
    other = "Runtime Error in model b (b.sql)\n  IO Error: lock on /w/b.duckdb is held by PID 4711 since 11:00:59"
    assert error_fingerprint(one) == error_fingerprint(other)
    assert error_fingerprint(one) != error_fingerprint(DBT)
