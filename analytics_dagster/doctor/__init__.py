"""Whether an installation works: each check looks at one thing, changes nothing, and says what to do."""
