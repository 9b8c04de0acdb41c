{{ config(materialized='incremental', unique_key='isbn') }}
select b.isbn, b.title, b.copies - count(l.loan_id) as on_shelf
from {{ ref('books') }} as b
left join {{ ref('loans') }} as l on l.isbn = b.isbn and l.returned_on is null
group by b.isbn, b.title, b.copies
