"""A message in Slack's Block Kit, within Slack's limits, and as the plain text for where blocks are not shown. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks and https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from analytics_dagster.alerting.content import Content, Section
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.redaction import shorten

MOST_BLOCKS = 50
LONGEST_HEADER = 150
LONGEST_SECTION = 3_000
LONGEST_FIELD = 2_000
MOST_FIELDS = 10
LONGEST_TEXT = 4_000

_SIGNS = {Severity.WARN: ":warning:", Severity.ERROR: ":red_circle:", Severity.CRITICAL: ":rotating_light:"}
_RECOVERED = ":large_green_circle:"


def to_blocks(content: Content, mention: str = "") -> list[dict[str, Any]]:
    """Return a message as blocks."""
    return list(_blocks(content, mention))[:MOST_BLOCKS]


def to_text(content: Content, mention: str = "") -> str:
    """Return a message as plain text: what a notification shows, and what is posted where blocks are refused."""
    lines = [f"{sign_of(content)} {escaped(content.headline)}{f' {mention}' if mention else ''}"]
    lines += [f"*{escaped(name)}*: {escaped(value)}" for name, value in content.fields]
    lines += [_section_text(section) for section in content.sections]
    lines += [f"<{url}|{escaped(label)}>" for label, url in content.links]
    return _closed(shorten("\n".join(lines), LONGEST_TEXT))


def sign_of(content: Content) -> str:
    """Return the sign that a message begins with."""
    return _RECOVERED if content.event is IncidentEvent.RECOVERED else _SIGNS[content.severity]


def escaped(text: str) -> str:
    """Return a text in which Slack sees no link, no mention and no name of a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _blocks(content: Content, mention: str) -> Iterator[dict[str, Any]]:
    headline = f"{sign_of(content)} {content.headline}"
    yield {
        "type": "header",
        "text": {"type": "plain_text", "text": _one_line(headline, LONGEST_HEADER), "emoji": True},
    }
    if mention:
        yield _text_block(mention)
    if content.fields:
        fields = [f"*{escaped(name)}*\n{escaped(value)}" for name, value in content.fields[:MOST_FIELDS]]
        yield {"type": "section", "fields": [_markdown(_fitting(field, LONGEST_FIELD)) for field in fields]}
    for section in content.sections:
        yield _text_block(_section_text(section))
    if content.links:
        yield {
            "type": "actions",
            "elements": [
                {
                    "type": "button",
                    "text": {"type": "plain_text", "text": label[:75]},
                    "url": url,
                    "action_id": f"open_{n}",
                }
                for n, (label, url) in enumerate(content.links)
            ],
        }


def _section_text(section: Section) -> str:
    title = f"*{escaped(section.title)}*\n" if section.title else ""
    text = escaped(section.text)
    if not section.is_code:
        return f"{title}{text}"
    return f"{title}```{text.replace('```', chr(39) * 3)}```"


def _text_block(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(_closed(_fitting(text, LONGEST_SECTION)))}


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def _fitting(text: str, longest: int) -> str:
    # Room is left for the fence that `_closed` may add.
    return shorten(text, longest - 4) or " "


def _closed(text: str) -> str:
    """Return a text whose code ends where its cut has left it open, and in which no entity was cut in two."""
    text = re.sub(r"&[a-z]{0,3}(?=\n\[…\]\n)|(?<=\n\[…\]\n)[a-z]{0,3};", "", text)
    return f"{text}```" if text.count("```") % 2 else text


def _one_line(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
