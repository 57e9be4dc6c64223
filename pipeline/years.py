"""School years, and the window of dates that a run requests."""

import datetime as dt
import re
from dataclasses import dataclass

from pipeline.errors import YearError

HISTORICAL = "_historical"
"""Suffix of the tables of earlier years."""

UNKNOWN_DAY = "an unknown day"
"""What to say of a day that files of earlier versions do not give."""

_SPELLINGS = re.compile(r"(?:20)?([0-9]{2})-(?:20)?([0-9]{2})")
_JULY = 7


def today() -> dt.date:
    """Return today in the school's own time zone."""
    return dt.date.today()  # noqa: DTZ011


@dataclass(frozen=True, order=True)
class SchoolYear:
    """A school year, 1 July to 30 June; `start` is the calendar year it begins in."""

    start: int

    @classmethod
    def parse(cls, text: str) -> "SchoolYear":
        """Parse `23-24`, `2023-24` or `2023-2024`.

        Raises:
            YearError: The text is something else, or its years are not consecutive.
        """
        text = text.strip()
        if re.fullmatch(r"[0-9]{4}", text):
            before, after = cls(int(text) - 1), cls(int(text))
            raise YearError(
                f"{text} could mean the school year {before} or {after}: write one of these."
            )
        match = _SPELLINGS.fullmatch(text)
        if match is None:
            raise YearError(f"{text!r} is not a school year: write it like 23-24.")
        start, end = int(match[1]), int(match[2])
        if end != start + 1:
            raise YearError(
                f"{text!r} is not a school year: its two years must be consecutive, like 23-24."
            )
        return cls(2000 + start)

    @classmethod
    def of(cls, day: dt.date) -> "SchoolYear":
        """Return the school year that contains a day."""
        return cls(day.year if day.month >= _JULY else day.year - 1)

    def __str__(self) -> str:
        return f"{self.start % 100:02}-{(self.start + 1) % 100:02}"

    @property
    def first_day(self) -> dt.date:
        """Return 1 July of the year it begins in."""
        return dt.date(self.start, _JULY, 1)

    @property
    def last_day(self) -> dt.date:
        """Return 30 June of the year it ends in."""
        return dt.date(self.start + 1, 6, 30)

    def window(self, as_of: dt.date) -> "Window":
        """Return the dates to request on the day `as_of`, clamped to the end of the year."""
        return Window(self.first_day, min(as_of, self.last_day))

    def settles_on(self, day: str) -> dt.date:
        """Return the first `day`, written `09-30`, after the end of the year.

        Raises:
            ValueError: there is no such day in every year.
        """
        found = dt.datetime.strptime(f"{self.start + 1}-{day}", "%Y-%m-%d").date()  # noqa: DTZ007
        return found if found > self.last_day else found.replace(year=found.year + 1)

    def suffix(self, historical_before: "SchoolYear") -> str:
        """Return the suffix of this year's tables: `_historical` if it is before that one."""
        return HISTORICAL if self < historical_before else ""


@dataclass(frozen=True)
class Window:
    """The first and last `date_taken` that a run requests, both included."""

    start: dt.date
    end: dt.date

    @property
    def is_empty(self) -> bool:
        """Return True before the first day of the year, when there is nothing to request."""
        return self.end < self.start
