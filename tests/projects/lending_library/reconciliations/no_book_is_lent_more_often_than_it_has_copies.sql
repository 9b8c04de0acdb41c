select s.isbn from {{ ref('shelf') }} as s join {{ ref('books') }} as b using (isbn) where s.on_shelf < 0
