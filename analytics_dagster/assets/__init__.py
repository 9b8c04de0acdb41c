"""The plan as Dagster assets and checks: keys, translator, steps, documentation, cached definitions, consumers."""
