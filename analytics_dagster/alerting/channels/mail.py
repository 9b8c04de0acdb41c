"""Email by SMTP: one thread per incident, or one digest a day."""

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

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt
from analytics_dagster.alerting.content import Content, Section
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.routes import OWNERS
from analytics_dagster.alerting.store import MessageThread, Notification

if TYPE_CHECKING:
    import smtplib

_GREEN, _RED, _BROWN = "#1a7f37", "#b42318", "#8a6100"
_PRE = "style='background:#f4f4f5;padding:8px;white-space:pre-wrap'"


@dataclass(frozen=True)
class MailServer:
    """An SMTP server: `smtp://` uses STARTTLS if the server offers it, `smtps://` uses TLS from the start."""

    url: SecretStr
    sender: str
    timeout: float

    @contextmanager
    def opened(self) -> Iterator[smtplib.SMTP]:
        """Connect, and log in if the URL has a user. Raises what `smtplib` raises."""
        import smtplib
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
class Mail(Notifier):
    """Sends to addresses; `owners` stands for the owners of failed nodes who have an address."""

    server: MailServer
    to: tuple[str, ...]

    def send(self, notification: Notification, thread: MessageThread | None) -> Receipt:
        """Send an email, or nothing if there is no address. Raises `DeliveryError`."""
        to = self._addresses(notification.content)
        reference = f"<{thread.id if thread else notification.id}@analytics-dagster>"
        if to:
            message = to_mail(notification.content, self.server.sender, to)
            if thread is not None and thread.reference:
                message["In-Reply-To"] = message["References"] = thread.reference
                message["Message-ID"] = f"<{notification.id}@analytics-dagster>"
            else:
                message["Message-ID"] = reference
            self._send_all([message])
        return Receipt((thread.reference if thread else "") or reference)

    def send_digest(self, notifications: Sequence[Notification]) -> None:
        """Send one email to each address. Raises `DeliveryError`."""
        by_address: dict[str, list[Content]] = defaultdict(list)
        for notification in notifications:
            for address in self._addresses(notification.content):
                by_address[address].append(notification.content)
        self._send_all([to_digest(contents, self.server.sender, to) for to, contents in by_address.items()])

    def _addresses(self, content: Content) -> list[str]:
        owners = [owner for owner in content.owners if "@" in owner]
        return list(dict.fromkeys(one for to in self.to for one in (owners if to == OWNERS else [to])))

    def _send_all(self, messages: Sequence[EmailMessage]) -> None:
        import smtplib

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
    failed = [one for event in _FAILURES for one in contents if one.event is event]
    recovered = [one for one in contents if one.event is IncidentEvent.RECOVERED]
    slow = [one for one in contents if one.event is None]
    counts = [(len(failed), "failed"), (len(recovered), "recovered"), (len(slow), "slow")]
    subject = f"Daily digest: {', '.join(f'{number} {what}' for number, what in counts if number)}"
    return _mail(sender, to, subject, [*failed, *recovered, *slow])


_FAILURES = (IncidentEvent.OPENED, IncidentEvent.ESCALATED, IncidentEvent.UPDATED)


def _mail(sender: str, to: str, subject: str, contents: Sequence[Content]) -> EmailMessage:
    """Return an email with a plain text and an HTML version."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = formatdate()
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n----\n\n".join(as_plain(content) for content in contents))
    body = "<hr>".join(_as_html(content) for content in contents)
    page = f"<html><body style='font-family:sans-serif;font-size:14px'>{body}</body></html>"
    message.add_alternative(page, subtype="html")
    return message


def as_plain(content: Content) -> str:
    """Return a message as plain text."""
    fields = [f"{name}: {value}" for name, value in content.fields]
    sections = [f"{section.title}\n{_indented(section.text)}" for section in content.sections]
    links = [f"{label}: {url}" for label, url in content.links]
    return "\n\n".join(part for part in (content.headline, "\n".join(fields), *sections, "\n".join(links)) if part)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _as_html(content: Content) -> str:
    color = {None: _BROWN, IncidentEvent.RECOVERED: _GREEN}.get(content.event, _RED)
    rows = "".join(
        f"<tr><td style='color:#667085;padding-right:1em'>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in content.fields
    )
    sections = "".join(_section_html(section) for section in content.sections)
    links = "".join(f"<p><a href='{html.escape(url)}'>{html.escape(label)}</a></p>" for label, url in content.links)
    headline = f"<h2 style='font-size:18px;color:{color}'>{html.escape(content.headline)}</h2>"
    return f"{headline}<table>{rows}</table>{sections}{links}"


def _section_html(section: Section) -> str:
    title = f"<p><b>{html.escape(section.title)}</b></p>"
    if section.is_code:
        return f"{title}<pre {_PRE}>{html.escape(section.text)}</pre>"
    return f"{title}<p>{'<br>'.join(html.escape(line) for line in section.text.splitlines())}</p>"
