"""Renders Slack's Block Kit and emails as HTML pages for the browser tests."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import Any

_SLACK = """
body { margin: 0; padding: 16px 20px; width: 720px; box-sizing: border-box; background: #fff; color: #1d1c1d;
       font: 15px/1.46 Lato, 'Helvetica Neue', Helvetica, Arial, sans-serif; display: flex; gap: 8px }
.avatar { flex: none; width: 36px; height: 36px; border-radius: 6px; background: #4f43dd; color: #fff;
          font-weight: 700; font-size: 18px; display: flex; align-items: center; justify-content: center }
.message { flex: 1; min-width: 0 }
.sender b { font-weight: 900 } .sender small { color: #616061; font-size: 12px }
.app { background: #e8e8e8; color: #616061; font-size: 10px; font-weight: 700; padding: 1px 3px; border-radius: 2px }
.header { font-size: 18px; font-weight: 900; line-height: 1.33; margin: 8px 0 4px }
.section { margin: 8px 0 } .fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px }
.fields > div { min-width: 0; overflow-wrap: anywhere }
pre { margin: 4px 0; padding: 8px; border: 1px solid #dddddd; border-radius: 4px; background: #f8f8f8;
      font: 12px/1.5 Monaco, Menlo, Consolas, 'DejaVu Sans Mono', monospace; white-space: pre-wrap }
.actions { margin: 8px 0 0; display: flex; gap: 8px }
a.button { border: 1px solid #bbbabb; border-radius: 4px; padding: 4px 12px; color: #1d1c1d; font-weight: 700;
           text-decoration: none }
.emoji { display: inline-block; width: .9em; height: .9em; border-radius: 50%; vertical-align: -.05em }
"""
_EMOJI = {":red_circle:": "#dd2e44", ":large_green_circle:": "#78b159", ":warning:": "#ffcc4d"}

_MAIL = """
body { margin: 0; width: 760px; box-sizing: border-box; background: #fff; color: #1f1f1f;
       font: 14px/1.45 'Helvetica Neue', Helvetica, Arial, sans-serif }
.head { padding: 16px 24px; border-bottom: 1px solid #e0e0e0; background: #f6f8fc }
.subject { font-size: 20px; margin-bottom: 8px } .head dl { margin: 0; display: grid; grid-template-columns: 70px 1fr }
.head dt { color: #5f6368 } .head dd { margin: 0 } .body { padding: 8px 24px 16px; overflow-wrap: anywhere }
"""


def slack_page(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Return a page that shows blocks like Slack. Raises `KeyError` for an unknown type of block."""
    rendered = "".join(_BLOCKS[block["type"]](block) for block in blocks)
    sender = "<div class='sender'><b>Dagster</b> <span class='app'>APP</span> <small>06:10</small></div>"
    message = f"<div class='avatar'>D</div><div class='message'>{sender}{rendered}</div>"
    return _page(_SLACK, message)


def mail_page(mail: EmailMessage) -> str:
    """Return a page that shows the HTML version of an email below its headers, like a mail client."""
    body = mail.get_body(("html",))
    assert body is not None
    head = "".join(f"<dt>{name}</dt><dd>{html.escape(str(mail[name]))}</dd>" for name in ("From", "To"))
    subject = f"<div class='subject'>{html.escape(str(mail['Subject']))}</div>"
    inner = re.sub(r"</?(?:html|body)[^>]*>", "", body.get_content())
    return _page(_MAIL, f"<div class='head'>{subject}<dl>{head}</dl></div><div class='body'>{inner}</div>")


def _page(style: str, body: str) -> str:
    return f"<!doctype html><meta charset='utf-8'><style>{style}</style><body>{body}"


def _header(block: Mapping[str, Any]) -> str:
    return f"<div class='header'>{_emoji(html.escape(block['text']['text']))}</div>"


def _section(block: Mapping[str, Any]) -> str:
    if "fields" in block:
        return f"<div class='section fields'>{''.join(f'<div>{_markdown(one)}</div>' for one in block['fields'])}</div>"
    return f"<div class='section'>{_markdown(block['text'])}</div>"


def _actions(block: Mapping[str, Any]) -> str:
    buttons = (
        f"<a class='button' role='button' href='{html.escape(one['url'])}'>{html.escape(one['text']['text'])}</a>"
        for one in block["elements"]
    )
    return f"<div class='actions'>{''.join(buttons)}</div>"


_BLOCKS = {"header": _header, "section": _section, "actions": _actions}


def _markdown(text: Mapping[str, str]) -> str:
    """Return Slack's markup as HTML: bold text, code blocks and lines. The input is already escaped."""
    assert text["type"] == "mrkdwn"
    plain, *rest = text["text"].split("```")
    rendered = _emphasized(plain)
    for code, after in zip(rest[::2], rest[1::2], strict=True):
        rendered += f"<pre>{code}</pre>{_emphasized(after)}"
    return rendered


def _emphasized(text: str) -> str:
    bold = re.sub(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<b>\1</b>", text.strip("\n"))
    return _emoji(bold).replace("\n", "<br>")


def _emoji(text: str) -> str:
    for name, color in _EMOJI.items():
        text = text.replace(name, f"<span class='emoji' style='background:{color}'></span>")
    return text
