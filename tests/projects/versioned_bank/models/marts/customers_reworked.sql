select
    a.account_id as customer_id,
    a.holder,
    cast(date_diff('day', a.opened_on, date '2025-12-31') as integer) as age_days
from {{ ref('stg_accounts') }} as a
