select customer_id, holder from {{ ref('customers', v=2) }}
