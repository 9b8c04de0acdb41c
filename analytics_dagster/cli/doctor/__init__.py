"""The checks of `analytics-dagster doctor`. `runner` calls them in order."""
