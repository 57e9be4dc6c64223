"""One page of charts and tables about a school year: counts of students, never a student.

    aggregates (true counts) ──► findings (what may be shown) ──► charts, page

Only `aggregates` reads rows, and only `disclosure` decides what may be shown of a count. Charts and
page receive findings only, so nothing that is suppressed can reach their SVG or HTML.
"""
