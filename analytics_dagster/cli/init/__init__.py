"""The command `init`: files that connect an existing dbt project."""
