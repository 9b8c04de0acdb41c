"""One run: the arguments of dbt, the dbt process, its events, row counts, failures and the work that remains."""
