"""What a failed run amounts to: which nodes and tests failed, why, and whose they are."""
