"""Email by SMTP: one thread per incident, or one digest a day."""

from __future__ import annotations

import smtplib
import ssl
from collections import Counter, defaultdict
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

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.routes import OWNERS
from analytics_dagster.alerting.store import MessageThread, Notification

_GREEN, _RED, _BROWN = "#1a7f37", "#b42318", "#8a6100"
_ORDER = (IncidentEvent.OPENED, IncidentEvent.ESCALATED, IncidentEvent.UPDATED, IncidentEvent.RECOVERED, None)
_IN_DIGEST = {IncidentEvent.RECOVERED: "recovered", None: "slow"}
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
    """Sends to addresses; `owners` stands for the owners of failed nodes who have an address."""

    server: MailServer
    to: tuple[str, ...]
    is_digest: bool = False

    def send(self, notification: Notification, thread: MessageThread) -> Receipt:
        """Send an email, or nothing if there is no address. Raises `DeliveryError`."""
        to = self._addresses(notification.content)
        first_id = thread.reference or f"<{thread.id}@analytics-dagster>"
        if to:
            message = to_mail(notification.content, self.server.sender, to)
            if thread.reference:
                message["In-Reply-To"] = message["References"] = first_id
            message["Message-ID"] = f"<{notification.id}@analytics-dagster>" if thread.reference else first_id
            self._send_all([message])
        return Receipt(first_id)

    def send_digest(self, notifications: Sequence[Notification]) -> Receipt:
        """Send one email to each address. Raises `DeliveryError`."""
        by_address: dict[str, list[Content]] = defaultdict(list)
        for notification in notifications:
            for address in self._addresses(notification.content):
                by_address[address].append(notification.content)
        self._send_all([to_digest(contents, self.server.sender, to) for to, contents in by_address.items()])
        return Receipt()

    def _addresses(self, content: Content) -> list[str]:
        owners = [owner for owner in content.owners if "@" in owner]
        return list(dict.fromkeys(one for to in self.to for one in (owners if to == OWNERS else [to])))

    def _send_all(self, messages: Sequence[EmailMessage]) -> None:
        if not messages:
            return
        try:
            with self.server.opened() as client:
                for message in messages:
                    client.send_message(message)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            raise DeliveryError(f"the mail server rejected the email: {error}", is_rejection=True) from error
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"the mail server is not available: {type(error).__name__}: {error}") from error


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

    colors = {None: _BROWN, IncidentEvent.RECOVERED: _GREEN}
    messages = [(content, colors.get(content.event, _RED)) for content in contents]
    return Template(_PAGE.read_text(encoding="utf-8"), autoescape=True).render(messages=messages)
