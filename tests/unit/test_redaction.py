"""The message of an error is short, useful, and without secrets."""

from __future__ import annotations

import json
import logging
import time

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_dagster.redaction import Redactor, redact, redacted_step, shorten, useful_lines
from analytics_dagster.secret_values import process_secrets, remember_secrets

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
        ("-----BEGIN RSA PRIVATE KEY-----\\nhunter22\\n-----END RSA PRIVATE KEY-----", "hunter22"),
        ("postgresql://dbt:p@hunter22@db/x", "hunter22"),
        ("DB_PASS=hunter22", "hunter22"),
        ("export X_PWD='hunter22'", "hunter22"),
        ("A_PW: hunter22", "hunter22"),
        ("SSH_PASSPHRASE=hunter22", "hunter22"),
        ("SENTRY_DSN=https-hunter22", "hunter22"),
        ("AZURE_SAS=sv-hunter22", "hunter22"),
        ("PWD=hunter22;UID=x", "hunter22"),
        ("AccountKey=hunter22==;EndpointSuffix=x", "hunter22"),
        ("CREATE SECRET (TYPE s3, KEY_ID 'abc', SECRET 'hunter22')", "hunter22"),
        ("create user a identified by 'hunter22'", "hunter22"),
        ("alter user a with encrypted password 'hunter22'", "hunter22"),
        ("(type motherduck, token 'hunter22')", "hunter22"),
        ("copy x credentials 'aws_access_key_id=a;hunter22'", "hunter22"),
        ('--vars {"api_token": "hunter 22"}', "hunter 22"),
        ("api key: hunter22", "hunter22"),
        ("passphrase is 'hunter 22'", "hunter 22"),
        ("ghp_hunter22hunter22hunter22", "hunter22"),
        ("github_pat_hunter22hunter22_hunter22", "hunter22"),
        ("glpat-hunter22hunter22", "hunter22"),
        ("dapi0123hunter22", "hunter22"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyMiJ9.hunter22-x", "hunter22"),
        ("https://discord.com/api/webhooks/1/hunter22", "hunter22"),
        ("Authorization: Basic ZGJ0Omh1bnRlcjIyMg==", "ZGJ0Omh1bnRlcjIyMg"),
        ("Key (password)=(hunter22) already exists", "hunter22"),
        ("password = 'it''s hunter22' and", "hunter22"),
        ("password: swordfish", "swordfish"),
        ("password: swordfish user: dbt", "swordfish"),
        ("password=swordfish is wrong", "swordfish"),
    ],
)
def test_text_that_looks_like_a_secret_is_hidden(text: str, hidden: str) -> None:
    assert hidden in text
    assert hidden not in redact(text)


def test_values_of_secret_variables_are_hidden_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_POSTGRES_PASSWORD", "correct horse")
    monkeypatch.setenv("A_TOKEN", "x")
    assert redact("the correct horse in /usr/bin with other one", ["other one"]) == "the *** in /usr/bin with ***"
    monkeypatch.delenv("ANALYTICS_POSTGRES_PASSWORD")
    assert "correct horse" not in process_secrets()


def test_rendered_credentials_are_hidden_unless_they_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics_dagster.secret_values._remembered", frozenset())
    remember_secrets({"user": "reporting", "password": "reporting", "token": "t0ken-of-ours"})
    assert redact("reporting said t0ken-of-ours, password=reporting") == "reporting said ***, password=***"


def test_a_common_or_short_password_garbles_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    message = 'FATAL: role "postgres" of dev does not exist; analytics in the horses stable'
    for name, value in {
        "A": "postgres",
        "B": "dev",
        "C": "analytics",
        "D": "horse",
        "E": "stab",
        "PGUSER": "admins",
    }.items():
        monkeypatch.setenv(f"{name}_PASSWORD", value)
    assert redact(message) == message
    monkeypatch.setenv("F_PASSWORD", "sunshine")
    assert redact("sunshine is not sunshiney") == "*** is not sunshiney"


@pytest.mark.parametrize(
    "text",
    [
        *(DBT, "KeyError: 'customer_id'", "primary key: customer_id", "https://example.com:8080/a@b"),
        *(
            "PASS=3 WARN=0 ERROR=0",
            "order_key = 5",
            "unexpected token 'END'",
            "on a.token = b.token",
            "md5(token) = md5(x)",
        ),
        *(
            "token::varchar",
            "token: varchar",
            "the password is wrong",
            "JWT token is invalid",
            "the password is required",
        ),
        *('password authentication failed for user "dbt"', "Basic authentication failed", "a bearer instrument"),
        *("password: \"{{ env_var('X') }}\"", "password: ${X}", "password=null", "secret = None", "passengers: 5"),
        *("ANALYTICS_SLACK_TOKEN: Input should be a valid string", "the token: one is valid", "(using password: YES)"),
        *('{"secret": {"nested": 5}}', "tokens=[1, 2]", 'token=dg.EnvVar("A_TOKEN")', "password: required"),
        *("keyword=value", "tokenizer: bert", "1 of 3 PASS not_null_orders_key", "eyJ is no token", "design=flat"),
    ],
)
def test_an_error_without_a_secret_is_not_changed(text: str) -> None:
    assert redact(text) == text


def test_names_and_quotes_beside_a_secret_stay() -> None:
    assert redact('{"password": "hunter22", "user": "dbt"}') == '{"password": "***", "user": "dbt"}'


def test_a_line_of_dbts_log_stays_valid_json() -> None:
    redactor = Redactor.of(['se"cret-1'])
    for name in ("LogModelResult", "RunResultError"):
        event = {"info": {"name": name, "level": "info", "msg": 'se"cret-1 and "quotes"'}, "data": {"a": ['se"cret-1']}}
        read = json.loads(redactor.line(json.dumps(event)))
        assert read["info"]["msg"] == '*** and "quotes"'
        assert read["data"] == {"a": ["***"]}
    event = {"info": {"name": "RunResultError", "level": "error", "msg": 'password="hunter22", "x"'}, "data": {}}
    assert json.loads(redactor.line(json.dumps(event)))["info"]["msg"] == 'password="***", "x"'
    unchanged = json.dumps({"info": {"name": "RunResultError", "msg": "no secret", "extra": {}}, "data": {}})
    assert redactor.line(unchanged) == unchanged


@pytest.mark.parametrize(
    "line", ['password="hunter22"', '{"password": "hunter22"}', '["password=hunter22"]', "{broken hunter22"]
)
def test_another_line_is_redacted_as_text(line: str) -> None:
    assert "hunter22" not in Redactor.of(["hunter22"]).line(line)


def test_a_secret_that_is_the_name_of_a_model_does_not_change_which_node_an_event_is_about() -> None:
    node = {"unique_id": "model.shop.finance", "node_name": "finance", "node_status": "success"}
    data = {"node_info": node, "status": "finance", "unique_id": "model.shop.finance", "row_counts": {"finance": 5}}
    event = {"info": {"name": "LogModelResult", "level": "info", "msg": "OK created finance"}, "data": data}
    read = json.loads(Redactor.of(["finance"]).line(json.dumps(event)))
    assert read["data"] == data
    assert read["info"]["msg"] == "OK created ***"
    assert read["info"]["name"] == "LogModelResult"


class OwnTextError(Exception):
    """An exception whose text is not among its arguments."""

    def __str__(self) -> str:
        """Return the text."""
        return "it was hunter22 indeed"


def _fail(error: Exception, cause: Exception, log: logging.Logger) -> None:
    """Log and raise an error in a step."""
    with redacted_step(log, secrets=["hunter22"]):
        log.warning("logged %s", "hunter22")
        log.warning("with its exception", exc_info=ValueError("hunter22"))
        raise error from cause


def test_a_steps_exceptions_and_logs_have_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("a step")
    failure = dg.Failure("description hunter22", metadata={"a": "b"})
    with pytest.raises(dg.Failure) as raised:
        _fail(failure, KeyError({"url": ["hunter22"]}), log)
    assert raised.value is failure
    assert failure.description == "description ***"
    assert str(failure.__cause__) == "{'url': ['***']}"
    assert "hunter22" not in caplog.text
    assert "logged ***" in caplog.text
    log.warning("hunter22")
    assert "hunter22" in caplog.text, "only the step's own log is redacted"


def test_an_exception_with_a_text_of_its_own_is_replaced() -> None:
    log = logging.getLogger("a step")
    with pytest.raises(RuntimeError, match=r"^OwnTextError: it was \*\*\* indeed$"):
        _fail(OwnTextError(), ValueError("cause"), log)
    with pytest.raises(ValueError, match="outer") as raised:
        _fail(ValueError("outer"), OwnTextError(), log)
    assert str(raised.value.__cause__) == "OwnTextError: it was *** indeed"


def test_an_interrupt_and_an_error_without_secrets_pass_unchanged() -> None:
    for error in (KeyboardInterrupt(), FileNotFoundError(2, "No such file", "/x"), dg.Failure("plain")):
        with pytest.raises(type(error)) as raised, redacted_step(secrets=["hunter22"]):
            raise error
        assert raised.value is error
    with pytest.raises(FileNotFoundError, match=r"/x/\*\*\*"), redacted_step(secrets=["hunter22"]):
        raise FileNotFoundError(2, "No such file", "/x/hunter22")


_REPEATED = [
    *("a-", "a.b+", "://a:", "://a:b@", "token ", "password", "is =", "hooks.slack.com/", "-----BEGIN ", "xoxb-", "a/"),
    *(
        "eyJaaaaaaa",
        "eyJaaaaaaa-",
        "token='",
        'token="',
        "secret '",
        "password is ",
        "bearer aaaaaaaa",
        "secret=a(",
        "pw",
    ),
    *(
        "_pass",
        "identified by ",
        "password'\"",
        "\\",
        "password=\\",
        "secret = null ",
        "Bearer ",
        "SG.",
        "0x",
        "\n",
        " ",
    ),
]


@pytest.mark.parametrize("text", _REPEATED)
def test_the_time_of_redaction_is_linear_in_the_length(text: str) -> None:
    started = time.process_time()
    redact(text * (1_000_000 // len(text)), ["hunter22", "correct horse"])
    # Quadratic time is many minutes.
    assert time.process_time() - started < 4


def test_a_longer_text_than_a_million_characters_is_cut() -> None:
    assert len(redact("x" * 3_000_000)) == 1_000_000


@given(st.text(max_size=300), st.integers(min_value=20, max_value=200))
def test_a_shortened_text_fits_and_keeps_beginning_and_end(text: str, longest: int) -> None:
    short = shorten(text, longest)
    assert len(short) <= longest
    assert (short == text) is (len(text) <= longest)
    if short != text:
        assert text.startswith(short.split("\n[…]\n")[0][:5])
        assert text.endswith(short[-3:])
