"""The plan of a dbt project, explained and printed for people and machines."""
