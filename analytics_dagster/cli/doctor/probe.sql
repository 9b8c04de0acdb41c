{# Creates a table as a model does, drops it, and prints the warehouse's clock. If the target's schema does not exist,
   a schema with another name is created and dropped, so that an existing one is never dropped. #}
{% macro analytics_dagster_probe() %}
  {% set there = adapter.check_schema_exists(target.database, target.schema) %}
  {% set name = target.schema if there else target.schema ~ '_probe_' ~ invocation_id.split('-')[0] %}
  {% set table = api.Relation.create(
      database=target.database, schema=name, identifier='analytics_dagster_probe', type='table') %}
  {% if not there %}{% do adapter.create_schema(table.without_identifier()) %}{% endif %}
  {% call statement('probe') %}{{ create_table_as(False, table, 'select 1 as id') }}{% endcall %}
  {% do adapter.drop_relation(table) %}
  {% if not there %}{% do adapter.drop_schema(table.without_identifier()) %}{% endif %}
  {% set moment = run_query('select current_timestamp as moment').columns[0].values()[0] %}
  {{ print('analytics_dagster_probe ' ~ (moment.isoformat() if moment.isoformat is defined else 'unknown')) }}
{% endmacro %}
