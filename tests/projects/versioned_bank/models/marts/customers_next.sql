select customer_id, holder, age_days, age_days / 365.0 as age_years from {{ ref('customers') }}
