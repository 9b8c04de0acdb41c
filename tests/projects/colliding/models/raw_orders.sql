-- depends_on: {{ ref('orders') }}
select id from {{ source('raw', 'orders') }}
