select currency, rate from {{ ref('rates') }}
