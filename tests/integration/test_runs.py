"""What runs of schedule groups build and check, on a small project with every corner: real dbt, real Dagster."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import dagster as dg
import duckdb
import pytest

from analytics_dagster.ingestion import build_ingestion
from analytics_dagster.project import load_project, prepare_project
from analytics_dagster.settings import Settings
from analytics_dagster.transform import Transform, build_transform
from analytics_dagster.transform.assets import GROUP_TAG
from analytics_dagster.transform.groups import load_groups
from analytics_dagster.transform.keys import check_asset_keys
from analytics_dagster.transform.plan import Plan, make_plan

pytestmark = pytest.mark.integration

FILES = {
    "dbt_project.yml": """
        name: corner
        version: "1.0.0"
        profile: corner
        vars: {currency: none, rate: 1}
        """,
    "profiles.yml": """
        corner:
          target: dev
          outputs:
            dev: {type: duckdb, path: corner.duckdb, threads: 2}
            lake:
              type: duckdb
              path: ":memory:"
              database: lake
              attach: [{path: lake.duckdb, alias: lake}]
        """,
    "schedule_groups.yaml": """
        on_overlap: all
        groups:
          - {name: often, select: "tag:often", vars: {currency: EUR}, full_refresh: never}
          - {name: seldom, select: "tag:seldom", default: true, vars: {currency: USD}, full_refresh: always}
          - {name: bare, select: "tag:no_such"}
        """,
    "macros/duckdb_functions.sql": """
        {% macro duckdb__scalar_function_sql(relation) %}
        create or replace macro {{ relation.render() }}({{ model.arguments | map(attribute='name') | join(', ') }})
        as ({{ model.compiled_code }})
        {% endmacro %}
        """,
    "functions/doubled.sql": "price * 2",
    "functions/functions.yml": """
        functions:
          - name: doubled
            description: Twice the price.
            config: {meta: {owner: ana@example.com}}
            arguments: [{name: price, data_type: integer}]
            returns: {data_type: integer}
        """,
    "seeds/orders.csv": "id,price\n1,10\n2,20\n",
    "seeds/seeds.yml": """
        seeds:
          - {name: orders, config: {schema: shop}}
        """,
    # `shared` reads a node of the other group, and a node of the other group reads it: a circle of steps.
    "models/early.sql": "select * from {{ source('shop', 'orders') }}",
    "models/shared.sql": """
        {{ config(tags=['often', 'seldom']) }}
        select id, price, '{{ var("currency") }}' as currency, {{ var("rate") }} as rate from {{ ref('early') }}
        """,
    "models/late.sql": "select id, {{ function('doubled') }}(price) as price, currency from {{ ref('shared') }}",
    "models/grown.sql": """
        {{ config(materialized='incremental') }}
        select current_timestamp as built_at, {{ 'true' if is_incremental() else 'false' }} as was_there
        """,
    # Names of which Dagster makes the same identifier, and such as it has for itself or does not take.
    "models/price.list.sql": "select 1 as one",
    "models/price_list.sql": "select 1 as one",
    "models/type.sql": "select one from {{ ref('price.list') }} union all select one from {{ ref('price_list') }}",
    "models/models.yml": """
        models:
          - name: shared
            columns:
              - name: id
                data_tests:
                  - unique
                  - relationships: {arguments: {to: ref('late'), field: id}, config: {severity: warn}}
          - name: price_list
            columns: [{name: one, data_tests: [{unique: {name: one_is_one}}]}]
          - name: price.list
            columns: [{name: one, data_tests: [{unique: {name: one_is_one}}]}]
        sources:
          - name: shop
            schema: main_shop
            tables:
              - {name: orders, columns: [{name: id, data_tests: [not_null]}]}
          - name: far away
            schema: main
            tables:
              - name: click stream
                identifier: click_stream
                columns: [{name: id, data_tests: [not_null: {name: clicks_have_ids}]}]
        unit_tests:
          - name: twice_as_dear
            model: late
            given:
              - {input: ref('shared'), rows: [{id: 1, price: 3, currency: X}]}
            expect: {rows: [{id: 1, price: 6, currency: X}]}
        """,
    "tests/the_clock_is_right.sql": "select 1 where current_date < date '2020-01-01'",
}
