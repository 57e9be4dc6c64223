"""The grades that rosters, overrides and tables of prior years spell; anything else is a code."""

# PowerSchool counts down from kindergarten: -1 is the year before it, -2 the one before that.
_NAMED = {"K": 0, "KG": 0, "KN": 0, "PK": -1, "TK": -1, "P4": -1, "P3": -2}

GRADES = _NAMED | {
    spelling: grade
    for grade in range(-3, 15)
    for spelling in (f"{grade}", f"{grade:02}", f"{grade}.0")
}
"""The grade of each spelling in capital letters; K = 0. Codes like 99 and UG are no grades."""

SPELLINGS = "K, KG, PK, TK, or a whole number from -3 to 14"
"""What a grade may be, for a message."""
