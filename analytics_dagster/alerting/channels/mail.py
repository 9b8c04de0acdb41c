"""Email by SMTP: one thread per incident, or one digest a day."""

from __future__ import annotations

import smtplib
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from functools import partial
from pathlib import Path
from textwrap import indent
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt, RejectedError, UncertainError
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.store import MessageThread, Notification

_GREEN, _RED, _BROWN = "#1a7f37", "#b42318", "#8a6100"
_ORDER = (*IncidentEvent, None)
_IN_DIGEST = {
    IncidentEvent.RECOVERED: "recovered",
    IncidentEvent.DISAPPEARED: "closed",
    IncidentEvent.CLOSED: "closed",
    None: "slow",
}
_PAGE = Path(__file__).with_name("mail.html")


@dataclass(frozen=True)
class MailServer:
    """An SMTP server: `smtp://` uses STARTTLS if the server offers it, `smtps://` uses TLS from the start."""

    url: SecretStr
    sender: str
    timeout: float

    @contextmanager
    def opened(self) -> Iterator[smtplib.SMTP]:
        """Connect, and log in if the URL has a user. Raises what `smtplib` raises."""
        parts = urlsplit(self.url.get_secret_value())
        host, timeout = parts.hostname or "localhost", self.timeout
        tls, is_encrypted = ssl.create_default_context(), parts.scheme == "smtps"
        connect = partial(smtplib.SMTP_SSL, context=tls) if is_encrypted else smtplib.SMTP
        with connect(host, parts.port or (465 if is_encrypted else 25), timeout=timeout) as client:
            client.ehlo()
            if not is_encrypted and client.has_extn("starttls"):
                client.starttls(context=tls)
            if parts.username:
                client.login(unquote(parts.username), unquote(parts.password or ""))
            yield client


@dataclass(frozen=True)
class Mail(Notifier):
    """Sends each notification to its addresses; with ``is_digest`` all that are due for an address in one email."""

    server: MailServer
    is_digest: bool = False

    def send(self, notification: Notification, thread: MessageThread) -> Receipt:
        """Send an email. Raises `DeliveryError`."""
        first_id = thread.reference or f"<{thread.id}@analytics-dagster>"
        message = to_mail(notification.content, self.server.sender, notification.to)
        if thread.reference:
            message["In-Reply-To"] = message["References"] = first_id
        message["Message-ID"] = f"<{notification.id}@analytics-dagster>" if thread.reference else first_id
        return Receipt(first_id, refused=self._send_all([message]))

    def send_digest(self, notifications: Sequence[Notification]) -> Receipt:
        """Send one email to each address. Raises `DeliveryError`."""
        addresses = dict.fromkeys(address for one in notifications for address in one.to)
        contents = {to: [one.content for one in notifications if to in one.to] for to in addresses}
        messages = [to_digest(found, self.server.sender, to) for to, found in contents.items()]
        return Receipt(refused=self._send_all(messages))

    def _send_all(self, messages: Sequence[EmailMessage]) -> tuple[str, ...]:
        """Send emails, and return the addresses that the server refused."""
        refused, is_sent = list[str](), False
        try:
            with self.server.opened() as client:
                for message in messages:
                    is_sent = True
                    try:
                        refused += client.send_message(message)
                    except smtplib.SMTPRecipientsRefused as error:
                        if len(messages) == 1:
                            raise
                        refused += error.recipients
                    is_sent = False
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            raise RejectedError(f"the mail server rejected the email: {error}") from error
        except (smtplib.SMTPException, OSError) as error:
            # Without a reply code, nobody knows whether the server has the email.
            is_open = is_sent and not isinstance(error, smtplib.SMTPResponseException)
            reason = f"the mail server is not available: {type(error).__name__}: {error}"
            raise (UncertainError if is_open else DeliveryError)(reason) from error
        return tuple(refused)


def to_mail(content: Content, sender: str, to: Sequence[str]) -> EmailMessage:
    """Return a message as an email without a `Message-ID`. Pure, except for the date."""
    return _mail(sender, ", ".join(to), " ".join(content.headline.split())[:200], [content])


def to_digest(contents: Sequence[Content], sender: str, to: str) -> EmailMessage:
    """Return several messages as one email: failures, then recoveries, then other messages."""
    ordered = sorted(contents, key=lambda content: _ORDER.index(content.event))
    counts = Counter(_IN_DIGEST.get(content.event, "failed") for content in ordered)
    subject = f"Daily digest: {', '.join(f'{number} {what}' for what, number in counts.items())}"
    return _mail(sender, to, subject, ordered)


def _mail(sender: str, to: str, subject: str, contents: Sequence[Content]) -> EmailMessage:
    """Return an email with a plain text and an HTML version."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = formatdate()
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n----\n\n".join(as_plain(content) for content in contents))
    message.add_alternative(_as_html(contents), subtype="html")
    return message


def as_plain(content: Content) -> str:
    """Return a message as plain text."""
    fields = [f"{name}: {value}" for name, value in content.fields]
    sections = [f"{section.title}\n{indent(section.text, '  ')}" for section in content.sections]
    links = [f"{label}: {url}" for label, url in content.links]
    return "\n\n".join(part for part in (content.headline, "\n".join(fields), *sections, "\n".join(links)) if part)


def _as_html(contents: Sequence[Content]) -> str:
    from jinja2 import Template  # takes 60 ms

    failures = {IncidentEvent.OPENED, IncidentEvent.UPDATED, IncidentEvent.ESCALATED}
    good = {IncidentEvent.RECOVERED, IncidentEvent.SUCCEEDED}
    messages = [(one, _RED if one.event in failures else _GREEN if one.event in good else _BROWN) for one in contents]
    return Template(_PAGE.read_text(encoding="utf-8"), autoescape=True).render(messages=messages)
