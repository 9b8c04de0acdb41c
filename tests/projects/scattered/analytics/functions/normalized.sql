lower(trim(given))
