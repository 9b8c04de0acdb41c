"""The failure report: which nodes and tests of a run failed, why, and who owns them."""
