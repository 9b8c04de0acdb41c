"""The alert in docs/alerts.md, as Slack and a mail client show it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from analytics_dagster.alerting.channels.mail import to_mail
from analytics_dagster.alerting.channels.slack_blocks import to_blocks
from tests.browser.messages import mail_page, slack_page
from tests.browser.pictures import take
from tests.unit.alerting.example import content

pytestmark = pytest.mark.integration

RUN = "https://dagster.example.com/runs/7c1f0a52-3f0e-4c6f-9d0e-3a5b7d2c9e41"


def test_a_slack_message_shows_the_failure_and_links_to_the_run(page: Page) -> None:
    page.set_content(slack_page(to_blocks(content())))
    expect(page.locator(".header")).to_have_text("marts/orders failed: SQL error")
    expect(page.locator("pre")).to_contain_text('Referenced column "tax_rate" not found')
    expect(page.locator(".fields b", has_text="owner")).to_be_visible()
    # Markup that is not rendered here would be visible in Slack too.
    assert re.findall(r"\*\w+\*|```|:\w+:|&\w+;", page.inner_text("body")) == []
    expect(page.get_by_role("button", name="Open the run")).to_have_attribute("href", RUN)
    take(page.locator("body"), "alert_slack")


def test_an_email_shows_the_failure_and_links_to_the_run(page: Page) -> None:
    page.set_content(mail_page(to_mail(content(), "dagster@example.com", ["finance@example.com"])))
    expect(page.get_by_role("heading", name="marts/orders failed: SQL error")).to_be_visible()
    expect(page.locator("pre")).to_contain_text('Referenced column "tax_rate" not found')
    expect(page.get_by_role("link", name="Open the run")).to_have_attribute("href", RUN)
    take(page.locator("body"), "alert_mail")
