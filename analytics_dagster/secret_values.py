"""Decides which values are secret: those of variables, options and credentials with a secret name, wherever they are.

`process_secrets` knows the environment, and the profiles and vars that this process has used. `redaction` hides these
values in all text that is printed, logged or stored.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from analytics_dagster.settings import environment_variables

_SECRET_WORDS = frozenset(
    {
        *("pass", "pwd", "pw", "key", "keys", "private", "creds", "cred", "sas", "jwt", "signature", "sig", "cookie"),
        *("passcode", "connstr"),
    }
)
"""Words of a name that has a secret as its value: `DB_PASS`, `storage.account_key`, `accountKey`."""

_SECRET_ENDINGS = re.compile(
    r"(?:password|passwort|passwd|passphrase|secret|token|credential|apikey|accesskey|secretkey|privatekey)s?$"
)
"""The end of a word that has a secret as its value; names may have no separators: `PGPASSWORD`."""

_ALWAYS_SECRET = frozenset({"webhook", "webhooks", "dsn"})
"""Words of a name that has a secret as its value, whatever follows: `SLACK_WEBHOOK_URL`."""

_ABOUT_SECRETS = frozenset(
    {
        *("file", "files", "path", "dir", "directory", "folder", "name", "names", "arn", "type", "mode", "format"),
        *("length", "size", "ttl", "expiry", "expires", "expiration", "seconds", "minutes", "hours", "days", "timeout"),
        *("enabled", "disabled", "required", "policy", "region", "column", "columns", "field", "fields", "count"),
        *("limit", "limits", "version", "algorithm", "provider", "sock", "url", "uri", "endpoint", "host", "port"),
        *("issuer", "audience", "scope", "scopes", "parallelism", "rotation", "prefix"),
    }
)
"""The last word of a name that only describes a secret: `PASSWORD_FILE`, `TOKEN_URL`."""

_KINDS_OF_KEYS = frozenset(
    {"primary", "foreign", "unique", "sort", "dist", "partition", "cluster", "surrogate", "natural", "business", "join"}
)
"""What precedes `key` in a name of a database's key."""

_PUBLIC = frozenset(
    {
        *("name", "type", "provider", "chain", "scope", "persistent", "meta_secret"),
        *("host", "port", "user", "database", "endpoint", "region", "use_ssl", "url_style"),
    }
)
"""Options within secret ones whose values are not secret: errors would be unclear without them."""

_NAMES_OF_THINGS = frozenset(
    {
        "user",
        "username",
        "database",
        "dbname",
        "db",
        "schema",
        "host",
        "type",
        "role",
        "warehouse",
        "project",
        "catalog",
    }
)

_COMMON = frozenset(
    {
        *(
            "postgres",
            "postgresql",
            "password",
            "passwort",
            "secret",
            "snowflake",
            "redshift",
            "bigquery",
            "databricks",
        ),
        *("duckdb", "dagster", "analytics", "warehouse", "production", "staging", "development", "default", "public"),
        *("localhost", "example", "changeme", "change_me", "unknown", "disabled", "enabled", "required", "account"),
        *("username", "customer", "customers", "orders", "database", "schema", "master", "minioadmin", "oracle"),
        *("external", "externalbrowser", "oauth", "service", "service_account", "admin123", "testing", "integration"),
    }
)
"""Words of ordinary text. As a password such a word is hidden only beside its name: `password=postgres`."""

_MIN_LENGTH = 6
_MIN_LENGTH_OF_LINE = 16
_MIN_LENGTH_OF_CODE = 8


def is_secret_name(name: str) -> bool:
    """Return whether the value of a variable, an option or a credential of this name is secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or name.upper() in {"PWD", "OLDPWD"}:
        return False
    if name.upper().startswith("DBT_ENV_SECRET") or _ALWAYS_SECRET.intersection(words):
        return True
    if words[-1] in _ABOUT_SECRETS:
        return False
    if words[-1] == "auth":
        return True
    pairs = zip(["", *words], words, strict=False)
    return any(
        _SECRET_ENDINGS.search(word) or (word in _SECRET_WORDS and before not in _KINDS_OF_KEYS)
        for before, word in pairs
    )


def _is_a_columns_name(name: str, value: Any) -> bool:
    """Return whether a name like `CUSTOMER_KEY` has plain words as its value, which no key of an API has."""
    words = [word.lower() for word in _WORD.findall(name)]
    is_password = any(_SECRET_ENDINGS.search(word) or word in _ALWAYS_SECRET | {"pass", "pwd", "pw"} for word in words)
    return not is_password and isinstance(value, str) and bool(_PLAIN_WORDS.fullmatch(value))


_PLAIN_WORDS = re.compile(r"[a-z]+(?:[_\-. ][a-z]+)*")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def named_secrets(value: Any, *, is_secret: bool = False) -> Iterator[str]:
    """Yield the secret values within credentials or options: nested ones by name, and passwords within URLs and JSON.

    ``is_secret`` says whether ``value`` itself has a secret name.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            is_public = str(key).lower() in _PUBLIC
            is_named = is_secret_name(str(key)) and not _is_a_columns_name(str(key), item)
            yield from named_secrets(item, is_secret=not is_public and (is_secret or is_named))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from named_secrets(item, is_secret=is_secret)
    elif hasattr(value, "get_secret_value"):
        yield from named_secrets(value.get_secret_value(), is_secret=True)
    elif isinstance(value, str):
        yield from _parts(value, is_secret=is_secret)
    elif is_secret and isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def secrets_in(named: Any) -> frozenset[str]:
    """Return the secret values within credentials, options or vars that can be hidden wherever they occur."""
    return frozenset(filter(is_distinctive, named_secrets(named)))


def process_secrets() -> frozenset[str]:
    """Return the values to hide in every text of this process: of its environment and of profiles it has rendered."""
    return _of_environment(tuple(environment_variables().items())) | _remembered


_remembered: frozenset[str] = frozenset()


def remember_secrets(named: Mapping[str, Any]) -> None:
    """Hide the secrets within credentials or options from now on in every text of this process.

    A password that is also the name of a user, a database or the like is hidden only beside its own name.
    """
    global _remembered  # noqa: PLW0603 - what is secret is known to the whole process
    public = {str(item) for key, item in named.items() if key in _NAMES_OF_THINGS}
    _remembered |= secrets_in(named) - public


def is_distinctive(value: str) -> bool:
    """Return whether a value can be hidden wherever it occurs: it is neither short nor a word of ordinary text.

    A mixture of letters, digits and signs may be shorter (`t0ken`, `p@ss`).
    """
    if len(value) >= _MIN_LENGTH:
        return value.strip().lower() not in _COMMON
    has_sign = any(not character.isalnum() and character not in " ._-" for character in value)
    is_mixed = not value.isalpha() and not value.isdigit()
    return len(value) >= _MIN_LENGTH - (2 if has_sign else 1) and is_mixed


@lru_cache(maxsize=4)
def _of_environment(variables: tuple[tuple[str, str], ...]) -> frozenset[str]:
    things = {value for name, value in variables if name.lower().rpartition("_")[2] in _NAMES_OF_THINGS}
    return secrets_in(dict(variables)) - things


def _parts(value: str, *, is_secret: bool) -> Iterator[str]:
    """Yield the secrets within a text: all of it if it has a secret name, the lines of a key, and embedded ones."""
    stripped = value.strip()
    if is_secret and not _is_path(stripped):
        yield stripped
        lines = stripped.splitlines()
        yield from (line.strip() for line in lines if len(lines) > 1 and len(line.strip()) >= _MIN_LENGTH_OF_LINE)
    if stripped[:1] in {"{", "["}:
        try:
            content = json.loads(stripped)
        except (ValueError, RecursionError):
            return
        yield from named_secrets(content, is_secret=is_secret)
    elif "://" in stripped:
        yield from _of_url(stripped)
    elif "=" in stripped:
        pairs = _PAIR.findall(stripped)
        yield from (text.strip("'\"") for name, text in pairs if name.lower() == "pwd" or is_secret_name(name))


_PAIR = re.compile(r"(?:^|[\s;,])([A-Za-z][\w \-]{0,40}?)\s*=\s*('[^']*'|\"[^\"]*\"|[^\s;,]+)")


def _of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query)
    except ValueError:
        return
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    yield from (text for text in (password, unquote(password)) if text)
    yield from (text for name, text in query if is_secret_name(name))


def _is_path(value: str) -> bool:
    return value[:1] in {"/", "~", "."} and "\n" not in value and (_exists(value) or bool(_FILE.search(value)))


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        # A key that begins with a slash may be too long for a path.
        return False


_FILE = re.compile(r"^[~.]?/(?:[\w.\-]+/)*[\w\-]+\.\w{1,5}$")


@lru_cache(maxsize=16)
def encodings(secrets: frozenset[str]) -> tuple[str, ...]:
    """Return the given secrets in every form in which a text may contain them, the longest first."""
    found = {form for secret in secrets for form in _forms(secret)}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _forms(secret: str) -> Iterable[str]:
    import html  # not needed by a load of the location

    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    escaped = json.dumps(secret)[1:-1]
    yield from (secret, *quoted, *(_PERCENT.sub(lambda found: found[0].lower(), text) for text in quoted))
    yield from (quote(text, safe="") for text in quoted)
    yield from (escaped, json.dumps(escaped)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield from (repr(secret)[1:-1], html.escape(secret), html.escape(secret, quote=False))
    yield from (
        secret.replace("'", "''"),
        secret.replace('"', '""'),
        secret.replace("'", "\\'"),
        secret.replace("%", "%%"),
    )
    yield from _base64_forms(secret.encode())


_PERCENT = re.compile(r"%[0-9A-F]{2}")


def _base64_forms(content: bytes) -> Iterator[str]:
    """Yield what a base64 text contains if ``content`` is part of the encoded bytes, at any position."""
    for offset in range(3):
        first, last = -(-offset * 8 // 6), (offset + len(content)) * 8 // 6
        if last - first < _MIN_LENGTH_OF_CODE:
            continue
        padded = bytes(offset) + content
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded).decode()[first:last]
    if len(content) >= _MIN_LENGTH_OF_CODE:
        yield from (content.hex(), content.hex().upper())
