"""Which values are secret, by the names of variables and credentials, and the forms in which texts contain them."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from analytics_dagster.redaction import redact
from analytics_dagster.secret_values import encodings, is_distinctive, is_secret_name, named_secrets, secrets_in


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        *((name, True) for name in ("DB_PASS", "API_KEY", "AWS_ACCESS_KEY_ID", "A_TOKEN", "SLACK_WEBHOOK", "PRIVATE")),
        *((name, True) for name in ("aws_secret", "google_credentials", "account_key", "passphrase", "KEYS")),
        *((name, True) for name in ("DB_PWD", "DB_PW", "SSH_PASSPHRASE", "SENTRY_DSN", "AZURE_SAS", "PGPASSWORD")),
        *(
            (name, True)
            for name in ("MYSQL_PWD", "accountKey", "clientSecret", "storage.account_key", "GITHUB_PAT_TOKEN")
        ),
        *((name, True) for name in ("SLACK_WEBHOOK_URL", "private_key_passphrase", "DBT_ENV_SECRET_NAME", "HTTP_AUTH")),
        *(
            (name, True)
            for name in ("ANALYTICS_SLACK_WEBHOOKS__FINANCE", "ANALYTICS_PAGERDUTY_KEYS__X", "refresh_token")
        ),
        *((name, False) for name in ("PATH", "PWD", "OLDPWD", "DBT_ACCOUNT", "HOST", "USER", "", "_")),
        *((name, False) for name in ("PASSENGERS", "BYPASS_CACHE", "COMPASS", "KEYBOARD", "TOKENIZERS_PARALLELISM")),
        *(
            (name, False)
            for name in ("PRIMARY_KEY", "unique_key", "KEY_COLUMN", "PASSWORD_FILE", "TOKEN_URL", "SECRET_NAME")
        ),
        *((name, False) for name in ("SSH_AUTH_SOCK", "private_key_path", "PASSWORD_MIN_LENGTH", "authenticator")),
    ],
)
def test_a_secret_is_known_by_its_name(name: str, is_secret: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert is_secret_name(name) is is_secret


@pytest.mark.parametrize(
    ("named", "secrets"),
    [
        ({"password": "hunter22", "user": "dbt"}, {"hunter22"}),
        ({"password": 12345678, "keepalives": 123456789, "private": True}, {"12345678"}),
        ({"slack_token": SecretStr("xoxb-hunter22"), "channel": "finance"}, {"xoxb-hunter22"}),
        ({"webhooks": {"finance": SecretStr("https://x/hunter22")}}, {"https://x/hunter22"}),
        (
            {"secrets": [{"type": "s3", "key_id": "AKIAEXAMPLE", "secret": "hunter22", "region": "eu-west-1"}]},
            {"AKIAEXAMPLE", "hunter22"},
        ),
        ({"url": "postgresql://dbt:p%40ss-22@db/shop"}, {"p%40ss-22", "p@ss-22"}),
        ({"url": "https://x/?sslpassword=hunter22&page=2"}, {"hunter22"}),
        ({"SMTP_URL": "smtp://me:hunter22@mail:587"}, {"hunter22"}),
        (
            {"STORAGE_OPTIONS": json.dumps({"key": "AKIAEXAMPLE", "client_kwargs": {"secret_access_key": "hunter22"}})},
            {"AKIAEXAMPLE", "hunter22"},
        ),
        ({"CONNECTION": "Driver=x;Server=db;UID=dbt;PWD=hunter22;Encrypt=yes"}, {"hunter22"}),
        ({"WAREHOUSE": "host=db user=dbt password='hunter 22'"}, {"hunter 22"}),
        ({"ssl_key_path": "hunter22", "PASSWORD_FILE": "/run/hunter22"}, set()),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/secrets/account.json"}, set()),
        ({"password": "postgres", "token": "dev", "secret": "", "key": "abc"}, set()),
        ({"password": "t0ken", "token": "p@ss"}, {"t0ken", "p@ss"}),
        ({"CUSTOMER_KEY": "customer_id", "keys": "order line", "api_key": "a-b.c"}, set()),
        (
            {"API_KEY": "customer-1d", "DB_PASS": "swordfish", "a_token": "sword_fish"},
            {"customer-1d", "swordfish", "sword_fish"},
        ),
        ({"OPTIONS": "{not json", "URL": "http://[broken", "LIST": "[1, 2]"}, set()),
        ({"deep": "[" * 100_000}, set()),
    ],
)
def test_the_secrets_within_credentials_are_found(named: dict[str, Any], secrets: set[str]) -> None:
    assert {value for value in secrets_in(named) if value not in named.values() or value in secrets} == secrets


def test_each_line_of_a_private_key_is_a_secret() -> None:
    lines = ["-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0", "short", "-----END PRIVATE KEY-----"]
    assert {lines[1], "\n".join(lines)} <= set(named_secrets({"private_key": "\n".join(lines)}))
    assert "short" not in set(named_secrets({"private_key": "\n".join(lines)}))


def test_an_existing_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    assert secrets_in({"private_key": str(tmp_path / "key")}) == set()
    slash = "/Zm9vYmFy+secret"
    assert secrets_in({"secret_access_key": slash}) == {slash}
    assert secrets_in({"secret_access_key": "/" + "a" * 5000}) == {"/" + "a" * 5000}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, True) for value in ("hunter22", "swordfish", "123456", "t0ken", "p@ss", "correct horse")),
        *(
            (value, False)
            for value in ("", "x", "dev", "abc", "1234", "12345", "hunt", "postgres", "Password", "snowflake")
        ),
    ],
)
def test_short_values_and_common_words_are_not_hidden_everywhere(value: str, expected: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert is_distinctive(value) is expected


TRICKY = 'p@ss "w0rd"/z\'ä'


@pytest.mark.parametrize(
    "form",
    [
        TRICKY,
        quote(TRICKY),
        quote(TRICKY, safe=""),
        quote(TRICKY, safe="").replace("%2F", "%2f").replace("%40", "%40").replace("%C3%A4", "%c3%a4"),
        quote(quote(TRICKY, safe=""), safe=""),
        quote_plus(TRICKY),
        json.dumps(TRICKY)[1:-1],
        json.dumps(TRICKY, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(TRICKY))[3:-3],
        TRICKY.replace("'", "''"),
        html.escape(TRICKY),
        repr(TRICKY)[1:-1],
        base64.b64encode(TRICKY.encode()).decode(),
        base64.urlsafe_b64encode(TRICKY.encode()).decode(),
        base64.b64encode(f"dbt:{TRICKY}".encode()).decode(),
        base64.b64encode(f"me:{TRICKY} and more".encode()).decode(),
        base64.b64encode(f"user:{TRICKY}".encode()).decode(),
        TRICKY.encode().hex(),
    ],
)
def test_a_secret_is_hidden_in_every_encoding(form: str) -> None:
    text = f"before {form} after"
    hidden = redact(text, [TRICKY])
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    assert "***" in hidden
    assert form not in hidden


def test_the_longest_form_comes_first() -> None:
    forms = encodings(frozenset({"hunter22", "hunter22-and-more"}))
    assert list(forms) == sorted(forms, key=len, reverse=True)
    assert redact("hunter22-and-more", ["hunter22", "hunter22-and-more"]) == "***"
