"""The location without a UI: its plan explained, runs with a live display and what came of them, Dagster's home."""
