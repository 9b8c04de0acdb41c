"""The dbt project on disk: find it, read its profile, parse it, and read its manifest."""
