"""Turns the text of an error into a message: its first useful lines, without secrets, and short."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

SECRET_NAME = re.compile(r"pass|secret|token|key|credential|private|webhook", re.IGNORECASE)
"""Found in the name of a variable, a credential or an option whose value is a secret."""

_HIDDEN = "***"
_MIN_SECRET_LENGTH = 6

# Text that looks like a secret; the name beside it stays. No pattern begins with a repetition: the time is linear in
# the length of the text.
_SECRETS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), _HIDDEN),
    (re.compile(r"(://[^\s:/@]*):[^\s@/]+@"), rf"\1:{_HIDDEN}@"),
    (re.compile(r"\b(xox[a-z]-|xapp-)[A-Za-z0-9\-]+"), rf"\1{_HIDDEN}"),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}"), rf"\1{_HIDDEN}"),
    (re.compile(r"(hooks\.slack\.com(?:/[a-z\-]+)?)/\S+"), rf"\1/{_HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic|Token token=)\s*[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (
        # Narrower than `SECRET_NAME`: `KeyError: 'id'` or `primary key: id` is no secret.
        re.compile(
            r"""((?:password|passwd|pwd|secret|token|api[_\-]?key|access[_\-]?key(?:_id)?|signature|sig)["']?"""
            r"""\s*(?:=>|[:=]|\bis\b)\s*)(?:"[^"\n]*"|'[^'\n]*'|[^\s,;&)}'"]+)""",
            re.IGNORECASE,
        ),
        rf"\1{_HIDDEN}",
    ),
)

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_LOCATION = re.compile(r"^(Runtime|Database|Compilation|Parsing|Dependency) Error( in \w+ .+)?$")
_NOISE = re.compile(
    r"^(\s*|\^+|compiled code at .*|> (in|called by) .*|Encountered an error:|See also https?://.*|For more info.*"
    r"|Traceback \(most recent call last\):|Failure in \w+ .+"
    r"|\d+ of \d+ ERROR .*)$"
)
_VARYING = re.compile(r"0x[0-9a-f]+|\S*/\S+|\d+([.,:]\d+)*")


def secret_values(environment: Mapping[str, str], others: Iterable[str] = ()) -> frozenset[str]:
    """Return the values to hide: those of variables with a secret name, and ``others``. Short ones are left out."""
    named = (value for name, value in environment.items() if SECRET_NAME.search(name))
    return frozenset(value for value in (*named, *others) if len(value) >= _MIN_SECRET_LENGTH)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without the given secrets, and without text that looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def useful_lines(message: str, *, most: int = 6, longest: int = 700) -> str:
    """Return the first lines of a message of dbt, or of an exception, that say what is wrong.

    The location, which reports show elsewhere, and the macros that called each other are left out.
    """
    lines = [line.strip() for line in _COLOR.sub("", message).splitlines()]
    useful = [line for line in lines if not _NOISE.match(line) and not _LOCATION.match(line)]
    kept = useful[:most] or [line for line in lines if line][:1]
    more = [f"({len(useful) - most} more lines)"] if len(useful) > most else []
    return shorten("\n".join([*kept, *more]), longest)


def shorten(text: str, longest: int) -> str:
    """Return a text of at most ``longest`` characters: the beginning and the end of a longer one."""
    if len(text) <= longest:
        return text
    cut = "\n[…]\n"
    tail = (longest - len(cut)) // 3
    return text[: longest - len(cut) - tail] + cut + text[len(text) - tail :]


def error_fingerprint(message: str) -> str:
    """Return an identifier of an error that is the same for messages with other numbers, paths and addresses."""
    line = useful_lines(message, most=1, longest=10_000).lower()
    return digest(re.sub(r"\s+", " ", _VARYING.sub("#", line)))


def digest(text: str) -> str:
    """Return twelve hexadecimal digits of a hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
