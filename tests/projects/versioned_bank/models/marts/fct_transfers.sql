select transfer_id, account_id, amount, booked_on from {{ ref('stg_transfers') }}
