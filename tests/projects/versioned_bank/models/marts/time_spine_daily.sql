select cast(range as date) as date_day from range(date '2025-07-01', date '2025-07-08', interval 1 day)
