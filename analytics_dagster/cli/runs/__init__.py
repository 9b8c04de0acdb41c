"""Runs from a terminal: what was requested, its execution in this process, and what is shown of it."""
