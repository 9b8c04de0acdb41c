"""Recognises the same error in messages that differ in values: quoted texts, numbers, ids, times and paths. Pure."""

from __future__ import annotations

import re

from analytics_dagster.redaction import digest, useful_lines

_LONGEST = 2_000

# The limits keep the time linear. A quote inside of a word is an apostrophe.
_QUOTED = re.compile(
    r"""(?<!\w)'(?:[^']|''|'(?=\w)){0,1000}(?:'(?!\w)|\Z)|"[^"]{0,1000}(?:"|\Z)|`[^`]{0,1000}(?:`|\Z)"""
    r"|[\u00ab\u2018\u201c][^\u00bb\u2019\u201d]{0,1000}[\u00bb\u2019\u201d]"
)
_VARYING = re.compile(
    r"(?<=\bvalue: ).+|(?<=: )\S+$"  # what follows the last colon
    r"|\([^()]{0,200}\)=\([^()]{0,1000}\)|(?<==)\s?[^\s,;)]+"  # (key)=(value) of PostgreSQL, key=value
    r"|(?<=\bvalue )(?!(?:of|too|is|for|in|out|to|does|can|must)\b)\S+"
    r"|\S*[/\\@]\S+|\S+\.(?:csv|tsv|jsonl?|parquet|avro|orc|gz|zip|xlsx?|sql|py|ya?ml|txt|log|duckdb|db)\b"
    r"|[\w.:+\-]*\d(?:[\w.:+\-]|,(?=\d))*"  # numbers, times, and words with a digit: ids, hashes
)


def error_identity(message: str) -> str:
    """Return an identifier of an error that is the same for messages with other values."""
    [line, *_] = _QUOTED.sub("#", useful_lines(message[:_LONGEST], longest=_LONGEST)).splitlines() or [""]
    words = _VARYING.sub("#", line.lower()).split()
    return digest(
        " ".join(word for number, word in enumerate(words) if word != "#" or words[number - 1 : number] != ["#"])
    )
