"""Ids of students and assessments, as tables and roster have them: without white space around."""

COLUMNS = ("assessment_id", "local_student_id")
"""The columns that hold them."""

WHITE_SPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""All of it, because libraries differ in what they call so."""


def trim(text: str) -> str:
    """Return an id without the white space around it."""
    return text.strip(WHITE_SPACE)
