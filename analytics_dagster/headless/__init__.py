"""Runs of the location without a UI: Dagster's home, runs with a live display, and a summary of what came of them."""
