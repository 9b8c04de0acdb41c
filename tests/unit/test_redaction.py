"""The message of an error is short, useful, and without secrets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_dagster.redaction import SECRET_NAME, error_fingerprint, redact, secret_values, shorten, useful_lines

DBT = """  Runtime Error in model orders (models/marts/orders.sql)
  Binder Error: Referenced column "total" not found in FROM clause!
  Candidate bindings: "tax", "id"
  
  LINE 10:       select total from x
                        ^

  > in macro statement (macros/etc/statement.sql)
  > called by model orders (models/marts/orders.sql)
  compiled code at target/compiled/shop/models/marts/orders.sql"""  # noqa: W293 - as dbt writes it


def test_the_useful_lines_are_the_reason_and_the_line_of_sql() -> None:
    assert useful_lines(DBT).splitlines() == [
        'Binder Error: Referenced column "total" not found in FROM clause!',
        'Candidate bindings: "tax", "id"',
        "LINE 10:       select total from x",
    ]


def test_a_message_with_only_a_heading_is_kept() -> None:
    assert useful_lines("Runtime Error in model a (a.sql)") == "Runtime Error in model a (a.sql)"
    assert useful_lines("") == ""


def test_the_number_of_omitted_lines_is_named() -> None:
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
        ("https://hooks.slack.com/workflows/T0/hunter22", "hunter22"),
        ("https://x/?X-Amz-Signature=hunter22&y=1", "hunter22"),
        ("a-long-db-password => hunter22", "hunter22"),
        ("the token is hunter22", "hunter22"),
        ("-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----", "hunter22"),
    ],
)
def test_text_that_looks_like_a_secret_is_hidden(text: str, hidden: str) -> None:
    assert hidden in text
    assert hidden not in redact(text)


def test_values_of_secret_variables_are_hidden_everywhere() -> None:
    values = secret_values(
        {"ANALYTICS_POSTGRES_PASSWORD": "correct horse", "PATH": "/usr/bin", "A_TOKEN": "x"}, ["other one"]
    )
    assert values == {"correct horse", "other one"}
    assert redact("the correct horse in /usr/bin with other one", values) == "the *** in /usr/bin with ***"


def test_an_error_without_a_secret_is_not_changed() -> None:
    for text in (DBT, "KeyError: 'customer_id'", "primary key: customer_id", "https://example.com:8080/a@b"):
        assert redact(text) == text


@pytest.mark.parametrize(
    "text", ["a-", "a.b+", "://a:", "token ", "password", "is =", "hooks.slack.com/", "-----BEGIN ", "xoxb-"]
)
def test_the_time_of_redaction_is_linear_in_the_length(text: str) -> None:
    started = time.process_time()
    redact(text * 20_000)
    # Quadratic time is over a minute.
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        *((name, True) for name in ("DB_PASS", "API_KEY", "AWS_ACCESS_KEY_ID", "A_TOKEN", "SLACK_WEBHOOK", "PRIVATE")),
        *((name, True) for name in ("aws_secret", "google_credentials", "account_key", "passphrase", "KEYS")),
        *((name, False) for name in ("PATH", "PWD", "DBT_ACCOUNT", "HOST", "USER")),
    ],
)
def test_a_secret_is_known_by_its_name(name: str, is_secret: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert bool(SECRET_NAME.search(name)) is is_secret


@given(st.text(max_size=300), st.integers(min_value=20, max_value=200))
def test_a_shortened_text_fits_and_keeps_beginning_and_end(text: str, longest: int) -> None:
    short = shorten(text, longest)
    assert len(short) <= longest
    assert (short == text) is (len(text) <= longest)
    if short != text:
        assert text.startswith(short.split("\n[…]\n")[0][:5])
        assert text.endswith(short[-3:])


def test_numbers_and_paths_do_not_change_the_fingerprint() -> None:
    one = "Runtime Error in model a (a.sql)\n  IO Error: lock on /w/a.duckdb is held by PID 17 since 10:42:01"
    other = "Runtime Error in model b (b.sql)\n  IO Error: lock on /w/b.duckdb is held by PID 4711 since 11:00:59"
    assert error_fingerprint(one) == error_fingerprint(other)
    assert error_fingerprint(one) != error_fingerprint(DBT)
