{% snapshot snapshot_of_orders %}
{{ config(unique_key=['shop', 'id'], strategy='check', check_cols=['cents']) }}
select * from {{ ref('orders') }}
{% endsnapshot %}
