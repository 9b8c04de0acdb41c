-- Over three models of two schedule groups, and beside none of them.
select 1 as off
where (select count(*) from {{ ref('customers', v=1) }}) <> (select count(*) from {{ ref('customers', v=3) }})
   or (select sum(amount) from {{ ref('fct_transfers') }}) <> (select sum(amount) from {{ ref('transfers') }})
