select currency, rate from {{ ref('first_link') }} where rate > 0
