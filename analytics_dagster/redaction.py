"""What of an error's text is told to people: its first useful lines, without secrets, short enough for a message."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

_HIDDEN = "***"
_SHORTEST_SECRET = 6
_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|SECRET|TOKEN|PRIVATE|CREDENTIAL|API_?KEY|ACCESS_?KEY|_KEYS?\b|WEBHOOK)", re.IGNORECASE
)

# What looks like a secret, wherever it comes from: the value is hidden, and what tells which one it is stays.
_SECRETS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), _HIDDEN),
    (re.compile(r"(\b[a-z][a-z0-9+.\-]*://[^\s:/@]*):[^\s@/]+@", re.IGNORECASE), rf"\1:{_HIDDEN}@"),
    (re.compile(r"\b(xox[a-z]-|xapp-)[A-Za-z0-9\-]+"), rf"\1{_HIDDEN}"),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}"), rf"\1{_HIDDEN}"),
    (re.compile(r"(hooks\.slack\.com/\S*?services)/\S+"), rf"\1/{_HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic|Token token=)\s*[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (
        re.compile(
            r"""(["']?\b[\w\-]*(?:password|passwd|pwd|secret|token|api[_\-]?key|access[_\-]?key(?:_id)?|signature|sig)["']?"""
            r"""\s*(?:[:=]|=>|\bis\b)\s*)(?:"[^"\n]*"|'[^'\n]*'|[^\s,;&)}'"]+)""",
            re.IGNORECASE,
        ),
        rf"\1{_HIDDEN}",
    ),
)

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_WHERE = re.compile(r"^(Runtime|Database|Compilation|Parsing|Dependency) Error( in \w+ .+)?$")
_NOISE = re.compile(
    r"^(\s*|\^+|compiled code at .*|> (in|called by) .*|Encountered an error:|See also https?://.*|For more info.*"
    r"|Traceback \(most recent call last\):|Failure in \w+ .+"
    r"|\d+ of \d+ ERROR .*)$"
)


def secret_values(environment: Mapping[str, str], others: Iterable[str] = ()) -> frozenset[str]:
    """Return the values that are never told: those of variables whose names say that they hold a secret, and others."""
    named = (value for name, value in environment.items() if _SECRET_NAME.search(name))
    return frozenset(value for value in (*named, *others) if len(value) >= _SHORTEST_SECRET)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without secrets: neither the given values, nor what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def useful_lines(message: str, *, most: int = 6, longest: int = 700) -> str:
    """Return the first lines of dbt's message, or of an exception's, that tell a person what is wrong.

    Where it happened is told elsewhere, and the macros that called each other help nobody at six in the morning.
    """
    lines = [line.strip() for line in _COLOR.sub("", message).splitlines()]
    told = [line for line in lines if not _NOISE.match(line) and not _WHERE.match(line)]
    kept = told[:most] or [line for line in lines if line][:1]
    more = [f"({len(told) - most} more lines)"] if len(told) > most else []
    return shorten("\n".join([*kept, *more]), longest)


def shorten(text: str, longest: int) -> str:
    """Return a text of at most so many characters: the head and the tail of one that is longer."""
    if len(text) <= longest:
        return text
    cut = "\n[…]\n"
    tail = (longest - len(cut)) // 3
    return text[: longest - len(cut) - tail] + cut + text[len(text) - tail :]


def error_fingerprint(message: str) -> str:
    """Return a short name of a reason: the same for messages that differ in numbers, paths and quoted values alone."""
    lines = useful_lines(message, most=1, longest=10_000)
    plain = re.sub(r"0x[0-9a-f]+|\S*/\S+|\d+([.,:]\d+)*", "#", lines.lower())
    return digest(re.sub(r"\s+", " ", plain))


def digest(text: str) -> str:
    """Return twelve hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
