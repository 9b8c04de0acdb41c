"""The failed run in docs/alerts.md, and its messages."""

from __future__ import annotations

from analytics_dagster.alerting.alerts import observe_run
from analytics_dagster.alerting.channels.mail import as_plain
from analytics_dagster.alerting.channels.slack_blocks import to_text
from analytics_dagster.alerting.content import Content, compose
from analytics_dagster.alerting.incidents import IncidentEvent, advance
from analytics_dagster.alerting.routes import Critical
from analytics_dagster.execution.failures.catalog import AssetCatalog, CatalogEntry
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.report import FailedNode, FailureReport, Retry

_BELOW = ("order_items", "customers", "daily_sales", "monthly_profit", "store_performance")
_CATALOG = AssetCatalog(
    [
        CatalogEntry("marts/orders", ("finance@example.com",), "nightly", ("nightly",), "models/marts/orders.sql"),
        *(CatalogEntry(f"marts/{name}", (), "nightly", reads=("marts/orders",)) for name in _BELOW),
        CatalogEntry("exposures/revenue_dashboard", group="exposures", reads=("marts/daily_sales",)),
    ]
)
_RUN = "7c1f0a52-3f0e-4c6f-9d0e-3a5b7d2c9e41"
_REPORT = FailureReport(
    _RUN,
    "nightly",
    group="nightly",
    started=1_780_294_062.0,
    ended=1_780_294_200.0,
    usual=744.0,
    target="prod",
    environment="prod",
    commit="9e7d7f9c1a2b",
    url=f"https://dagster.example.com/runs/{_RUN}",
    nodes=(
        FailedNode(
            "marts/orders",
            FailureKind.SQL,
            'Binder Error: Referenced column "tax_rate" not found in FROM clause!\n'
            'Candidate bindings: "tax_paid", "total"\n'
            "LINE 14:     subtotal * tax_rate as tax,",
            f"target/runs/{_RUN}-dbt_nightly/compiled/shop/models/marts/orders.sql",
        ),
    ),
    skipped=tuple(f"marts/{name}" for name in _BELOW),
    retry=Retry("not retried: it would fail again (SQL error)"),
)


def content() -> Content:
    """Return the content of the messages."""
    incidents, _ = advance((), observe_run(_REPORT, _CATALOG, Critical()))
    return compose(IncidentEvent.OPENED, list(incidents.values()), "failures", 1_780_294_200.0)


def slack_text() -> str:
    """Return the plain text for Slack."""
    return to_text(content())


def mail_text() -> str:
    """Return the plain text of the email."""
    return as_plain(content())
