"""Schedule groups and their plan: which node and test runs when, in which order, and why. Nothing here runs dbt."""
