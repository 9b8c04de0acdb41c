"""What came of a run that failed: why, where, whose it is; for those who retry it, and for those who tell people."""
