"""Email through a real mail server: one thread per incident, or one digest a day."""

from __future__ import annotations

import email
import email.policy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import dagster as dg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from tests.unit.alerting.alert_scenario import BINDER, LOST, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

DAY = 86_400.0


@dataclass
class FakeMailbox:
    """Receives emails, or rejects the next ones with an SMTP reply."""

    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refuse: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    users: list[str] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept or refuse an address."""
        del server, session, options
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Receive or reject an email."""
        del server, session
        if self.refuse:
            return self.refuse.pop(0)
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append((list(envelope.rcpt_tos), message))
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Accept the right password."""
        del server, session, envelope, mechanism
        right = isinstance(data, LoginPassword) and data.password == b"p@ss"
        self.users += [data.login.decode()] if right else []
        return AuthResult(success=right)


@pytest.fixture
def mailbox() -> FakeMailbox:
    return FakeMailbox()


@pytest.fixture
def server(mailbox: FakeMailbox) -> Iterator[str]:
    controller = Controller(
        mailbox, hostname="127.0.0.1", port=0, authenticator=mailbox.authenticate, auth_require_tls=False
    )
    controller.port = _free_port()
    controller.start()
    try:
        yield f"smtp://dbt:p%40ss@127.0.0.1:{controller.port}"
    finally:
        controller.stop()


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def mail_scenario(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, **channel: Any
) -> AlertScenario:
    routes = {
        "time_zone": "UTC",
        "channels": {"mail": {"email": ["data@example.com", "owners"], **channel}},
        "rules": [{"name": "all", "to": "mail"}],
    }
    settings = {"smtp_url": SecretStr(server), "mail_from": "dagster@example.com"}
    scenario = AlertScenario(instance, fake_channels, routes=routes, settings=settings)
    scenario.tick()
    return scenario


def test_owners_receive_an_email_and_the_recovery_answers_it(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, server)
    run = scenario.run(model_0=BINDER)
    scenario.tick()
    [(to, mail)] = mailbox.mails
    assert to == ["data@example.com", "ann@example.com"]
    assert mail["Subject"] == "model_0 failed: SQL error"
    assert mail["From"] == "dagster@example.com"
    plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    text = plain.get_content()
    assert 'Binder Error: Referenced column "model_0_total" not found!' in text
    assert f"Open the run: https://dagster.example.com/runs/{run}" in text
    assert "&#34;model_0_total&#34;" in html.get_content(), "program output is escaped"
    scenario.run()
    scenario.tick()
    [_, (_, over)] = mailbox.mails
    assert over["Subject"].startswith("Recovered after")
    assert over["In-Reply-To"] == mail["Message-ID"]
    assert mailbox.users == ["dbt", "dbt"]


def test_an_owner_without_an_address_gets_no_email(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, server, email="owners")
    scenario.run(model_1=BINDER)
    scenario.tick()
    assert not mailbox.mails
    assert not scenario.state.notifications


def test_a_rejected_email_is_sent_again_later(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, server)
    mailbox.refuse = ["451 try again later"]
    scenario.run(model_0=BINDER)
    [line] = scenario.tick()
    assert "rejected the email" in line
    assert "p@ss" not in line
    scenario.tick(time.time() + 20)
    assert len(mailbox.mails) == 1


def test_an_email_is_sent_when_the_server_is_back(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, f"smtp://127.0.0.1:{_free_port()}")
    scenario.run(model_0=BINDER)
    [line] = scenario.tick()
    assert "is not available" in line
    scenario.settings = {**scenario.settings, "smtp_url": SecretStr(server)}
    scenario.tick(time.time() + 20)
    assert len(mailbox.mails) == 1


def test_a_digest_is_one_email_a_day_with_failures_and_recoveries(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, server, email="data@example.com", digest="07:30")
    scenario.run(model_0=BINDER, model_1=LOST)
    scenario.tick()
    scenario.run(model_0=BINDER)
    scenario.tick()
    assert not mailbox.mails
    scenario.tick(time.time() + DAY)
    [(to, mail)] = mailbox.mails
    assert to == ["data@example.com"]
    assert mail["Subject"] == "Daily digest: 1 failed, 1 recovered"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert text.index("model_0 failed: SQL error (2 times)") < text.index("Recovered after")
    scenario.tick(time.time() + 2 * DAY)
    assert len(mailbox.mails) == 1, "no digest on a day without messages"


def test_an_owner_who_joins_an_incident_gets_an_email_and_the_recovery(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, server, email="owners")
    scenario.owners = {"model_1": "bob@example.com"}
    scenario.run(model_0=LOST)
    scenario.tick()
    scenario.run(model_0=LOST, model_1=LOST)
    scenario.tick()
    scenario.run(model_0=LOST, model_1=LOST)
    scenario.tick()
    scenario.run()
    scenario.tick()
    assert [to for to, _ in mailbox.mails] == [
        ["ann@example.com"],
        ["bob@example.com"],
        ["ann@example.com", "bob@example.com"],
    ]


def test_an_address_that_the_server_refuses_is_a_dead_letter_for_it_alone(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, server)
    mailbox.unknown = {"data@example.com"}
    scenario.run(model_0=BINDER)
    scenario.tick()
    [(to, _)] = mailbox.mails
    assert to == ["ann@example.com"]
    [letter] = scenario.state.undeliverable
    assert letter.notification.error == "the mail server refused data@example.com"


def test_a_digest_reaches_the_other_addresses_if_one_is_refused(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, server, email=["a@example.com", "b@example.com"], digest="07:30")
    mailbox.unknown = {"a@example.com"}
    scenario.run(model_0=BINDER)
    scenario.tick()
    for later in (1.0, 1.1, 1.2):
        scenario.tick(time.time() + later * DAY)
    assert [to for to, _ in mailbox.mails] == [["b@example.com"]]
    assert [one.notification.error for one in scenario.state.undeliverable] == ["the mail server refused a@example.com"]


def test_a_summary_is_an_email_of_its_own_beside_a_digest(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, server: str, mailbox: FakeMailbox
) -> None:
    scenario = mail_scenario(instance, fake_channels, server, email="a@example.com", digest="07:30", summary="07:30")
    scenario.run(model_0=BINDER)
    scenario.tick()
    scenario.tick(time.time() + DAY)
    assert sorted(str(mail["Subject"]) for _, mail in mailbox.mails) == [
        "Daily digest: 1 failed",
        "Daily summary: 1 run, 1 run failed, 1 open incident",
    ]
