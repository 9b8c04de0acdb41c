amount * (select rate from {{ ref('rates') }} where currency = code)
