select loan_id, isbn, member, {{ local_macros.days_late('due_on', 'returned_on') }} as days_late
from {{ ref('returned_loans') }}
where returned_on > due_on
