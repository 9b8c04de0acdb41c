-- Not the same as `price.list`, but for those who turn dots into underscores.
select currency from {{ ref('rates') }}
