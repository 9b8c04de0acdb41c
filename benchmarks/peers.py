"""Other orchestrators of dbt on the same project, each in an environment of its own."""
