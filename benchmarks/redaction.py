"""Measures how long it takes to hide the secrets in one megabyte of text: `python -m benchmarks.redaction`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from analytics_dagster.redaction import Redactor

CHARACTERS = 1_000_000
SECRETS = [f"correct-horse-{number}" for number in range(20)]

TEXTS = {
    "a model's SQL": "select o.id, c.customer_key, md5(o.token) as token\nfrom orders as o join c on o.key = c.key\n",
    "a log line": "12:00:00  1 of 256 OK created sql table model main.stg_orders ......... [SELECT 5000 in 0.03s]\n",
    "a JSON event": '{"info": {"name": "RunResultError", "level": "error", "msg": "column \\"a\\" not found"}}\n',
    "a-a-a-…": "a-",
    "names of secrets": "password ",
    "values of secrets": "token='abc' ",
    "URLs": "https://user:name@example.com/path ",
    "a known secret": f"{SECRETS[7]} ",
}


def rows(characters: int = CHARACTERS) -> Iterator[tuple[str, float]]:
    """Yield the name of each text and the CPU seconds that hiding the secrets in it takes."""
    redactor = Redactor.of(SECRETS)
    for name, part in TEXTS.items():
        text = (part * (characters // len(part) + 1))[:characters]
        started = time.process_time()
        redactor.text(text)
        yield name, time.process_time() - started


def main() -> None:
    """Print a table."""
    sys.stdout.write(f"CPU seconds for {CHARACTERS:,} characters and {len(SECRETS)} secrets\n")
    for name, seconds in rows():
        sys.stdout.write(f"{name:<20} {seconds:6.2f}\n")


if __name__ == "__main__":
    main()
