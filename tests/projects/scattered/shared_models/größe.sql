select only_column as länge from {{ ref('much_tagged') }}
