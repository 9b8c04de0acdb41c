"""Mail by SMTP: one an incident, whose later mails answer the first, or one a day."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Receipt
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.routes import OWNERS
from analytics_dagster.alerting.store import MessageThread, Notification

if TYPE_CHECKING:
    import smtplib

_COLORS = {IncidentEvent.RECOVERED: "#1a7f37"}
_RED = "#b42318"


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed over: `smtp://` with STARTTLS if it is offered, `smtps://` with TLS from the start."""

    url: SecretStr
    sender: str
    timeout: float

    @contextmanager
    def opened(self) -> Iterator[smtplib.SMTP]:
        """Connect, and log in where the address has a user; raises what `smtplib` raises."""
        import smtplib  # only where a message is sent
        import ssl

        parts = urlsplit(self.url.get_secret_value())
        host, timeout = parts.hostname or "localhost", self.timeout
        if parts.scheme == "smtps":
            context = ssl.create_default_context()
            client: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=timeout, context=context)
        else:
            client = smtplib.SMTP(host, parts.port or 25, timeout=timeout)
        with client:
            if parts.scheme != "smtps":
                client.ehlo()
                if client.has_extn("starttls"):
                    client.starttls(context=ssl.create_default_context())
            if parts.username:
                client.login(unquote(parts.username), unquote(parts.password or ""))
            yield client


@dataclass(frozen=True)
class Mail:
    """Sends to addresses; `owners` stands for the addresses of those who own what failed."""

    server: MailServer
    to: tuple[str, ...]

    def send(self, notification: Notification, thread: MessageThread | None) -> Receipt:
        """Send a mail; raises `UndeliveredError`. Where none of the owners has an address, there is nobody to tell."""
        to = self._addresses(notification.content)
        reference = f"<{thread.id if thread else notification.id}@analytics-dagster>"
        if to:
            message = to_mail(notification.content, self.server.sender, to)
            if thread is not None and thread.reference:
                message["In-Reply-To"] = message["References"] = thread.reference
                message["Message-ID"] = f"<{notification.id}@analytics-dagster>"
            else:
                message["Message-ID"] = reference
            self._hand_over([message])
        return Receipt((thread.reference if thread else "") or reference)

    def send_digest(self, notifications: Sequence[Notification]) -> None:
        """Send one mail to each address with all that concerns it; raises `UndeliveredError`."""
        by_address: dict[str, list[Content]] = defaultdict(list)
        for notification in notifications:
            for address in self._addresses(notification.content):
                by_address[address].append(notification.content)
        self._hand_over([to_digest(contents, self.server.sender, to) for to, contents in by_address.items()])

    def _addresses(self, content: Content) -> list[str]:
        owners = [owner for owner in content.owners if "@" in owner]
        return list(dict.fromkeys(one for to in self.to for one in (owners if to == OWNERS else [to])))

    def _hand_over(self, messages: Sequence[EmailMessage]) -> None:
        import smtplib  # only where a message is sent

        if not messages:
            return
        try:
            with self.server.opened() as client:
                for message in messages:
                    client.send_message(message)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            raise DeliveryError(f"the mail server refuses the mail: {error}", is_rejection=True) from error
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"the mail server does not take it: {type(error).__name__}: {error}") from error


def to_mail(content: Content, sender: str, to: Sequence[str]) -> EmailMessage:
    """Return a message as a mail, in plain text and in HTML, without a name of its own. Pure but for the date."""
    message = EmailMessage()
    message["From"], message["To"] = sender, ", ".join(to)
    message["Subject"] = " ".join(content.headline.split())[:200]
    message["Date"] = formatdate()
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(as_plain(content))
    message.add_alternative(_page(as_html(content)), subtype="html")
    return message


def to_digest(contents: Sequence[Content], sender: str, to: str) -> EmailMessage:
    """Return several messages as one mail: what lasts first, then what is over, then what else is worth a look."""
    told = sorted(contents, key=lambda content: _ORDER.index(content.event) if content.event in _ORDER else len(_ORDER))
    failed = sum(content.event not in {IncidentEvent.RECOVERED, None} for content in told)
    recovered = sum(content.event is IncidentEvent.RECOVERED for content in told)
    slow = len(told) - failed - recovered
    counts = [(failed, "failed"), (recovered, "recovered"), (slow, "slow")]
    message = EmailMessage()
    message["From"], message["To"] = sender, to
    message["Subject"] = f"Daily digest: {', '.join(f'{number} {what}' for number, what in counts if number)}"
    message["Date"] = formatdate()
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n----\n\n".join(as_plain(content) for content in told))
    message.add_alternative(_page("<hr>".join(as_html(content) for content in told)), subtype="html")
    return message


_ORDER = (IncidentEvent.OPENED, IncidentEvent.ESCALATED, IncidentEvent.UPDATED, IncidentEvent.RECOVERED)


def as_plain(content: Content) -> str:
    """Return a message as plain text."""
    fields = [f"{name}: {value}" for name, value in content.fields]
    sections = [f"{section.title}\n{_indented(section.text)}" for section in content.sections]
    links = [f"{label}: {url}" for label, url in content.links]
    return "\n\n".join(part for part in (content.headline, "\n".join(fields), *sections, "\n".join(links)) if part)


def as_html(content: Content) -> str:
    """Return a message as a part of a page."""
    color = _COLORS.get(content.event, _RED) if content.event else "#8a6100"
    rows = "".join(
        f"<tr><td style='color:#667085;padding-right:1em'>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in content.fields
    )
    sections = "".join(
        f"<p><b>{html.escape(one.title)}</b></p>"
        + (f"<pre {_PRE}>{html.escape(one.text)}</pre>" if one.is_code else f"<p>{_lines(one.text)}</p>")
        for one in content.sections
    )
    links = "".join(f"<p><a href='{html.escape(url)}'>{html.escape(label)}</a></p>" for label, url in content.links)
    headline = f"<h2 style='font-size:18px;color:{color}'>{html.escape(content.headline)}</h2>"
    return f"{headline}<table>{rows}</table>{sections}{links}"


_PRE = "style='background:#f4f4f5;padding:8px;white-space:pre-wrap'"


def _lines(text: str) -> str:
    return "<br>".join(html.escape(line) for line in text.splitlines())


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _page(body: str) -> str:
    return f"<html><body style='font-family:sans-serif;font-size:14px'>{body}</body></html>"
