"""Mail, through a real mail server: one an incident whose later mails answer the first, or one a day."""

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

from tests.unit.alerting.exchange import Exchange
from tests.unit.alerting.town import BINDER, LOST, Town

DAY = 86_400.0


@dataclass
class Postman:
    """Takes mails, or refuses the next ones with an answer."""

    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refuse: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Take a mail, or refuse it."""
        del server, session
        if self.refuse:
            return self.refuse.pop(0)
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append((list(envelope.rcpt_tos), message))
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Let in who knows the password."""
        del server, session, envelope, mechanism
        right = isinstance(data, LoginPassword) and data.password == b"p@ss"
        self.users += [data.login.decode()] if right else []
        return AuthResult(success=right)


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def server(postman: Postman) -> Iterator[str]:
    controller = Controller(
        postman, hostname="127.0.0.1", port=0, authenticator=postman.authenticate, auth_require_tls=False
    )
    # The port is free only once it is bound.
    controller.port = _free_port()
    controller.start()
    try:
        yield f"smtp://dbt:p%40ss@127.0.0.1:{controller.port}"
    finally:
        controller.stop()


def _free_port() -> int:
    import socket  # here alone

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def mailing(instance: dg.DagsterInstance, exchange: Exchange, server: str, **channel: Any) -> Town:
    routes = {
        "time_zone": "UTC",
        "channels": {"mail": {"email": ["data@example.com", "owners"], **channel}},
        "rules": [{"name": "all", "to": "mail"}],
    }
    settings = {"smtp_url": SecretStr(server), "mail_from": "dagster@example.com"}
    town = Town(instance, exchange, routes=routes, settings=settings)
    town.look()
    return town


def test_an_incident_is_a_mail_to_its_owners_and_its_end_answers_it(
    instance: dg.DagsterInstance, exchange: Exchange, server: str, postman: Postman
) -> None:
    town = mailing(instance, exchange, server)
    run = town.run(model_0=BINDER)
    town.look()
    [(to, mail)] = postman.mails
    assert to == ["data@example.com", "ann@example.com"]
    assert mail["Subject"] == "model_0 failed: SQL error"
    assert mail["From"] == "dagster@example.com"
    plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    text = plain.get_content()
    assert 'Binder Error: Referenced column "model_0_total" not found!' in text
    assert f"Open the run: https://dagster.example.com/runs/{run}" in text
    assert "&quot;model_0_total&quot;" in html.get_content(), "what a machine has said is no HTML"
    town.run()
    town.look()
    [_, (_, over)] = postman.mails
    assert over["Subject"].startswith("Recovered after")
    assert over["In-Reply-To"] == mail["Message-ID"]
    assert postman.users == ["dbt", "dbt"]


def test_an_owner_without_an_address_gets_no_mail(
    instance: dg.DagsterInstance, exchange: Exchange, server: str, postman: Postman
) -> None:
    town = mailing(instance, exchange, server, email="owners")
    town.run(model_1=BINDER)
    town.look()
    assert not postman.mails
    assert not town.state.letters


def test_a_mail_that_is_refused_is_handed_over_again_later(
    instance: dg.DagsterInstance, exchange: Exchange, server: str, postman: Postman
) -> None:
    town = mailing(instance, exchange, server)
    postman.refuse = ["451 try again later"]
    town.run(model_0=BINDER)
    [line] = town.look()
    assert "refuses the mail" in line
    assert "p@ss" not in line
    town.look(time.time() + 20)
    assert len(postman.mails) == 1


def test_a_server_that_is_down_loses_nothing(
    instance: dg.DagsterInstance, exchange: Exchange, server: str, postman: Postman
) -> None:
    town = mailing(instance, exchange, f"smtp://127.0.0.1:{_free_port()}")
    town.run(model_0=BINDER)
    [line] = town.look()
    assert "does not take it" in line
    town.settings = {**town.settings, "smtp_url": SecretStr(server)}
    town.look(time.time() + 20)
    assert len(postman.mails) == 1


def test_a_digest_is_one_mail_a_day_of_what_failed_and_what_recovered(
    instance: dg.DagsterInstance, exchange: Exchange, server: str, postman: Postman
) -> None:
    town = mailing(instance, exchange, server, email="data@example.com", digest="07:30")
    town.run(model_0=BINDER, model_1=LOST)
    town.look()
    town.run(model_0=BINDER)
    town.look()
    assert not postman.mails
    town.look(time.time() + DAY)
    [(to, mail)] = postman.mails
    assert to == ["data@example.com"]
    assert mail["Subject"] == "Daily digest: 1 failed, 1 recovered"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert text.index("model_0 failed: SQL error (2 times)") < text.index("Recovered after")
    town.look(time.time() + 2 * DAY)
    assert len(postman.mails) == 1, "a day without news has no digest"
