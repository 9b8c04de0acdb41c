select account_id, holder, opened_on from {{ ref('accounts') }}
