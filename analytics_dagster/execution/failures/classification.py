"""Classifies a failure by the text of its error, and says whether it is transient.

First come the codes that a server or driver puts into its error (`error_codes`): an SQLSTATE, the number or name of an
error, the type of an exception. Then the phrases of the engines decide (`error_phrases`), permanent errors before
transient ones. Only known kinds are transient: retrying an unknown error would fail each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from analytics_dagster.execution.failures.error_codes import kind_of_codes, kind_of_remarks
from analytics_dagster.execution.failures.error_phrases import permanent_kind, transient_kind
from analytics_dagster.execution.failures.failure_kind import FailureKind
from analytics_dagster.redaction import shorten

__all__ = ["FailureKind", "classify", "worst"]

_MAX_LENGTH = 20_000


def classify(message: str, *, status: str = "error") -> FailureKind:
    """Return the kind of a failure.

    ``message`` is that of dbt or an exception. The dbt status `fail` means a data test that found rows, whatever the
    message.
    """
    if status == "fail":
        return FailureKind.DATA_TEST
    text = shorten(message, _MAX_LENGTH)
    for pattern in _CONTEXT:
        text = pattern.sub(" ", text)
    words = _QUOTED.sub(_without_value, _DATA.sub(" ", text))
    return (
        _dbt_kind(words)
        or kind_of_codes(text, words)
        or permanent_kind(words)
        or kind_of_remarks(words)
        or transient_kind(words)
        or (FailureKind.SQL if _OF_THE_WAREHOUSE.search(words) else FailureKind.CODE)
    )


def worst(kinds: Iterable[FailureKind]) -> FailureKind | None:
    """Return the kind of several failures together: a permanent one, if there is any; None without failures."""
    found = list(kinds)
    permanent = [kind for kind in found if not kind.is_transient]
    return next(iter([*permanent, *found]), None)


# Text that is not about the reason: colors, the location, and the SQL that an error quotes.
_CONTEXT = (
    re.compile(r"\x1b\[[0-9;]*m"),
    re.compile(r"\bin (?:model|test|unit_test|snapshot|seed|function|macro|operation) [^(\n]{1,300} \([^)\n]*\)"),
    re.compile(r"^[ \t]*(?:LINE \d+:.*\n.*\^.*|LINE \d+:.*|compiled code at .*|> (?:in|called by) .*)$", re.MULTILINE),
    re.compile(
        r"^[ \t]*(?:(?:HINT|CONTEXT|QUERY|STATEMENT|Original Line|Row Values)\s*:|SQL statement|PL/pgSQL function).*$",
        re.MULTILINE | re.IGNORECASE,
    ),
    re.compile(r"(?:== ?SQL|\[SQL: |\bin scope (?:SELECT|WITH)\b).*", re.DOTALL | re.IGNORECASE),
)

# Values of the data: a key and its values, or a row.
_DATA = re.compile(
    r"(?:\([^()\n]{1,300}\)=\([^\n]{0,2000}?\)(?=\s|$)|row contains \([^\n]*|Duplicate entry '[^\n]*' for key"
    r"|duplicate key value is \([^\n]*\))",
    re.IGNORECASE,
)

# A quotation may be the name of a column or any text. The message of an exception is kept: `OperationalError('…')`.
_QUOTED = re.compile(
    r"(?P<exception>(?:[A-Za-z](?:[Ee]rror|Exception|Timeout|Disconnected)(?:: )?|^\s*)\((?:-?\d+, )?|\bmessage=)?"
    r"""(?:(?<![A-Za-z])'[^'\n]*'(?![A-Za-z])|"[^"\n]*"|`[^`\n]*`)""",
    re.MULTILINE,
)


def _without_value(quoted: re.Match[str]) -> str:
    return quoted[0] if quoted["exception"] else " "


def _dbt_kind(words: str) -> FailureKind | None:
    """Return the kind of an error of dbt itself; its contracts are compilation errors."""
    if _CONTRACT.search(words):
        return FailureKind.CONTRACT
    return FailureKind.COMPILATION if _COMPILATION.search(words) else None


_CONTRACT = re.compile(
    r"enforced contract|contract (?:that )?failed|contract error|breaking changes to contracts", re.IGNORECASE
)
_COMPILATION = re.compile(
    r"^[ \t]*(?:Encountered an error:\s*)?(?:Compilation|Parsing) Error\b|depends on a (?:node|source) named .* which "
    r"was not found|^[ \t]*\S* is undefined\b|dbt was unable to infer all dependencies",
    re.IGNORECASE | re.MULTILINE,
)


_OF_THE_WAREHOUSE = re.compile(
    r"\bdatabase error\b|^[ \t]*(?:\w+ )?(?:IO|Invalid|HTTP) Error\b|\bnot found\b|does not exist",
    re.IGNORECASE | re.MULTILINE,
)
