select currency, rate, {{ function('in_euro') }}(10, currency) as ten from {{ ref('second_link') }}
