"""Alerts: tracks incidents and sends notifications about them to Slack, PagerDuty and email."""
