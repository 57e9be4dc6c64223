"""Pages of charts and tables about a school year: counts of students, never a student.

    aggregates (true counts) ──► disclosure (figures) ──► findings ──► sections, charts ──► page

Only `aggregates` reads rows, and only `disclosure` decides what may be shown of a count. All that
follows is computed from figures, so nothing that is suppressed can reach the SVG or HTML.
"""
