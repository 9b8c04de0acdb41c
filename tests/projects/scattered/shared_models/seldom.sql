select only_column, (select count(*) from {{ ref('rates.of.2026') }}) as rates from {{ ref('much_tagged') }}
