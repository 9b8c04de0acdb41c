"""Formats a message for Slack: Block Kit within Slack's limits, and plain text where blocks are not shown. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks and https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import re
from typing import Any

from analytics_dagster.alerting.content import Content, Section
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.redaction import shorten

LONGEST_HEADER = 150
LONGEST_SECTION = 3_000
LONGEST_FIELD = 2_000
LONGEST_LABEL = 75
MOST_FIELDS = 10
LONGEST_TEXT = 4_000

_EMOJI = {Severity.WARN: ":warning:", Severity.ERROR: ":red_circle:", Severity.CRITICAL: ":rotating_light:"}
_EVENT_EMOJI = {
    IncidentEvent.RECOVERED: ":large_green_circle:",
    IncidentEvent.SUCCEEDED: ":large_green_circle:",
    IncidentEvent.DISAPPEARED: ":white_circle:",
    IncidentEvent.CLOSED: ":white_circle:",
    IncidentEvent.SUMMARY: ":bar_chart:",
}


def to_blocks(content: Content, mention: str = "") -> list[dict[str, Any]]:
    """Return a message as blocks: at most eight, of which Slack allows 50."""
    headline = _one_line(f"{_emoji(content)} {content.headline}", LONGEST_HEADER)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": headline, "emoji": True}},
        *map(_text_block, filter(None, [mention])),
    ]
    if content.fields:
        fields = [f"*{_escaped(name)}*\n{_escaped(value)}" for name, value in content.fields[:MOST_FIELDS]]
        blocks.append({"type": "section", "fields": [_markdown(field, LONGEST_FIELD) for field in fields]})
    blocks += [_text_block(_section_text(section)) for section in content.sections]
    if content.links:
        blocks.append({"type": "actions", "elements": [_button(label, url) for label, url in content.links]})
    return blocks


def to_text(content: Content, mention: str = "") -> str:
    """Return a message as plain text, for desktop notifications and for when Slack refuses the blocks."""
    lines = [f"{_emoji(content)} {_escaped(content.headline)}{f' {mention}' if mention else ''}"]
    lines += [f"*{_escaped(name)}*: {_escaped(value)}" for name, value in content.fields]
    lines += [_section_text(section) for section in content.sections]
    lines += [f"<{url}|{_escaped(label)}>" for label, url in content.links]
    return _repaired(shorten("\n".join(lines), LONGEST_TEXT))


def _button(label: str, url: str) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": label[:LONGEST_LABEL]}, "url": url}


def _emoji(content: Content) -> str:
    return _EVENT_EMOJI.get(content.event or IncidentEvent.OPENED, _EMOJI[content.severity])


def _escaped(text: str) -> str:
    """Return a text in which Slack finds no links and no mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section_text(section: Section) -> str:
    title = f"*{_escaped(section.title)}*\n" if section.title else ""
    text = _escaped(section.text)
    if not section.is_code:
        return f"{title}{text}"
    return f"{title}```{text.replace('```', chr(39) * 3)}```"


def _text_block(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(text, LONGEST_SECTION)}


def _markdown(text: str, longest: int) -> dict[str, Any]:
    # Leaves room for the code fence that `_repaired` may add.
    return {"type": "mrkdwn", "text": _repaired(shorten(text, longest - 4) or " ")}


def _repaired(text: str) -> str:
    """Return a shortened text without entities that were cut in two, and with all code fences closed."""
    text = re.sub(r"&[a-z]{0,3}(?=\n\[…\]\n)|(?<=\n\[…\]\n)[a-z]{0,3};", "", text)
    return f"{text}```" if text.count("```") % 2 else text


def _one_line(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
