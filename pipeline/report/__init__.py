"""One page of charts and tables about a school year; counts of students, never a student.

    aggregates (true counts) ──► findings (what may be shown) ──► charts, page

Only `aggregates` sees rows and only `disclosure` says what of a count may be shown. Charts and page
are given findings, so that nothing which is hidden can stand in their SVG or HTML.
"""
