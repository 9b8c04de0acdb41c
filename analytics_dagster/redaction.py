"""Hides secrets in all text that is printed, logged or stored, and shortens the text of an error to a message."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from analytics_dagster.secret_shapes import HIDDEN, hide_shapes
from analytics_dagster.secret_values import encodings, process_secrets

_MAX_LENGTH = 1_000_000
_SHORT = 5


@dataclass(frozen=True)
class Redactor:
    """Hides ``secrets`` in texts; ``forms`` are the secrets in every encoding, the longest first."""

    secrets: frozenset[str]
    forms: tuple[str, ...]

    @classmethod
    def of(cls, secrets: Iterable[str] = ()) -> Redactor:
        """Return the redactor for the secrets of this process, as known now, and for the given ones."""
        known = process_secrets() | frozenset(secrets)
        return cls(known, encodings(known))

    def text(self, text: str) -> str:
        """Return a text without secrets. The time is linear; a longer text than a million characters is cut."""
        return hide_shapes(self.values(shorten(text, _MAX_LENGTH)))

    def values(self, text: str) -> str:
        """Return a text without the values that are known to be secret, in any encoding."""
        for form in self.forms:
            if form in text:
                is_whole = form in self.secrets and (form.isalpha() or form.isdigit() or len(form) <= _SHORT)
                text = _whole(form).sub(HIDDEN, text) if is_whole else text.replace(form, HIDDEN)
        return text

    def document(self, value: Any) -> Any:
        """Return a value with every text in it redacted: in mappings, lists and tuples, too."""
        if isinstance(value, str):
            return self.text(value)
        # Not subclasses, which may be records of a library.
        if type(value) is dict:
            return {self.document(key): self.document(item) for key, item in value.items()}
        return type(value)(map(self.document, value)) if type(value) in {list, tuple} else value

    def line(self, line: str) -> str:
        """Return a line of dbt's log without secrets. An event stays an event of the same node, whatever its name."""
        if _RESULT_OF_DBT.search(line) and not any(form in line for form in self.forms):
            # It contains only names and numbers. Most lines are such, and looking for shapes takes time.
            return line
        try:
            event = json.loads(line)
            info, data = event["info"], event["data"]
        except (ValueError, TypeError, KeyError):
            return self.text(line)
        redacted = {key: value if key in _IDENTIFIERS else self.document(value) for key, value in data.items()}
        told = {**info, "msg": self.document(info.get("msg")), "extra": self.document(info.get("extra"))}
        return line if (told, redacted) == (info, data) else json.dumps({**event, "info": told, "data": redacted})

    def error(self, error: BaseException) -> BaseException:
        """Return the same exception without secrets in it and in its causes; another one if it can't be changed."""
        seen: dict[int, BaseException] = {}
        return self._error(error, seen)

    def _error(self, error: BaseException, seen: dict[int, BaseException]) -> BaseException:
        if id(error) in seen:
            return seen[id(error)]
        seen[id(error)] = error
        for name, value in (("args", error.args), *vars(error).items()):
            redacted = self.document(value)
            if redacted != value:
                setattr(error, name, redacted)
        if isinstance(error, OSError) and isinstance(error.filename, str):
            error.filename = self.text(error.filename)
        message = self.text(str(error))
        if message != str(error):
            # Its text is not among its arguments.
            seen[id(error)] = RuntimeError(f"{type(error).__name__}: {message}").with_traceback(error.__traceback__)
        changed = seen[id(error)]
        if error.__cause__ is not None:
            changed.__cause__ = self._error(error.__cause__, seen)
        if error.__context__ is not None:
            changed.__context__ = self._error(error.__context__, seen)
        changed.__suppress_context__ = error.__suppress_context__
        return changed


_RESULT_OF_DBT = re.compile(
    r'"level": ?"info".{0,2000}"name": ?"Log(?:Start|Model|Test|Seed|Snapshot|Function|Node)\w*"'
)


_IDENTIFIERS = frozenset({"node_info", "unique_id", "row_counts", "status"})
"""The data of dbt's events that say which node an event is about, and its result."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without the secrets of this process, without the given ones, and without what looks like one."""
    return Redactor.of(secrets).text(text)


@contextmanager
def redacted_step(*loggers: logging.Logger, secrets: Iterable[str] = ()) -> Iterator[Redactor]:
    """Hide secrets in what a step logs and in the exception that ends it, which Dagster stores with its causes.

    ``loggers`` are the step's own (`context.log`) and Dagster's. Interrupts pass unchanged.
    """
    redactor = Redactor.of(secrets)
    log_filter = _LogFilter(redactor)
    for logger in loggers:
        logger.addFilter(log_filter)
    try:
        yield redactor
    except Exception as error:
        redacted = redactor.error(error)
        if redacted is error:
            raise
        raise redacted from redacted.__cause__
    finally:
        for logger in loggers:
            logger.removeFilter(log_filter)


class _LogFilter(logging.Filter):
    """Redacts the messages of log records, and the exceptions that they show."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record; let every record pass."""
        record.msg, record.args = self._redactor.text(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            error = self._redactor.error(record.exc_info[1])
            record.exc_info = type(error), error, record.exc_info[2]
        return True


def _whole(word: str) -> re.Pattern[str]:
    """Return the pattern of a whole word or number: `horses` does not contain the password `horse`."""
    kind = "A-Za-z" if word.isalpha() else "0-9" if word.isdigit() else "A-Za-z0-9"
    return re.compile(rf"(?<![{kind}]){re.escape(word)}(?![{kind}])")


_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_LOCATION = re.compile(r"^(Runtime|Database|Compilation|Parsing|Dependency) Error( in \w+ .+)?$")
_NOISE = re.compile(
    r"^(\s*|\^+|compiled code at .*|> (in|called by) .*|Encountered an error:|See also https?://.*|For more info.*"
    r"|Traceback \(most recent call last\):|Failure in \w+ .+"
    r"|\d+ of \d+ ERROR .*)$"
)


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


def digest(text: str) -> str:
    """Return twelve hexadecimal digits of a hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
