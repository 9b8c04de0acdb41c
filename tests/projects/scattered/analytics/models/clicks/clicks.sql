select "click id" as click_id, {{ function('normalized') }}("page.name") as page from {{ source('web.analytics', 'click stream') }}
