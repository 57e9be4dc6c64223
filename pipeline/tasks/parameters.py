"""Parameters of tasks: school years, days and the district."""

import contextlib
import datetime as dt
from collections.abc import Iterable
from typing import Any

import luigi

from pipeline.config import settings
from pipeline.errors import SettingsError, YearError
from pipeline.storage.paths import ALL_YEARS
from pipeline.years import SchoolYear, today


def fill_in_days(values: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the values of a task's parameters; those that are None follow from today.

    The clock is read once, so that they agree at midnight too.
    """
    given = dict(values)
    day = given["today"] or today()
    defaults = {"today": day, "as_of": day, "year": SchoolYear.of(day)}
    return [(name, defaults.get(name) if value is None else value) for name, value in given.items()]


class SchoolYearParameter(luigi.Parameter[SchoolYear]):
    """A school year, written `23-24`; without one, or empty, it is the one of today."""

    def __init__(self, description: str) -> None:
        # `fill_in_days` gives the default, which is another one each year.
        super().__init__(default=None, description=description)  # type: ignore[arg-type]

    def parse(self, text: str) -> SchoolYear:
        """Return a school year, or raise YearError."""
        return SchoolYear.parse(text)

    def normalize(self, value: SchoolYear | str | None) -> SchoolYear | None:
        """Return the school year that is given as one or as text, if there is one."""
        if not value:
            return None
        return value if isinstance(value, SchoolYear) else self.parse(value)


class PublishedParameter(luigi.Parameter[SchoolYear | str]):
    """A school year, or `all` for the tables of all years; without one it is that of today."""

    def __init__(self) -> None:
        super().__init__(
            default=None,  # type: ignore[arg-type]
            description="school year, like 23-24, or all; default today's",
        )

    def normalize(self, value: SchoolYear | str | None) -> SchoolYear | str | None:
        """Return the school year, or `all`, if one is given; or raise YearError."""
        if not value or isinstance(value, SchoolYear):
            return value or None
        return value if value == ALL_YEARS else SchoolYear.parse(value)


class SchoolYearsParameter(luigi.Parameter[tuple[SchoolYear, ...]]):
    """School years, written `22-23,23-24`; in their order, each once."""

    def __init__(self, description: str) -> None:
        # Without any, normalize() says in a sentence that they are missing.
        super().__init__(default=(), description=description)

    def parse(self, text: str) -> tuple[SchoolYear, ...]:
        """Return school years separated by commas or spaces, or raise YearError."""
        return tuple(SchoolYear.parse(part) for part in text.replace(",", " ").split())

    def serialize(self, years: tuple[SchoolYear, ...]) -> str:
        """Return them as text that `parse` reads."""
        return ",".join(map(str, years))

    def normalize(self, years: str | Iterable[str | SchoolYear]) -> tuple[SchoolYear, ...]:
        """Return them in order.

        Raises:
            YearError: there are none, or one is no school year.
        """
        years = self.parse(years if isinstance(years, str) else ",".join(map(str, years)))
        if not years:
            raise YearError("Which school years? Write them like --years 22-23,23-24.")
        return tuple(sorted(set(years)))


class EarlierYearsParameter(SchoolYearsParameter):
    """Earlier school years of the same run, often none; a report waits for their figures."""

    def __init__(self) -> None:
        super().__init__("earlier school years of the same run; the report waits for their figures")
        self.significant = False  # the page is the same, whether or not it waited

    def normalize(self, years: str | Iterable[str | SchoolYear]) -> tuple[SchoolYear, ...]:
        """Return them in order, if there are any."""
        return super().normalize(years) if years else ()


class DayParameter(luigi.DateParameter):
    """A day; without one it is today, when the requested task is made (see `fill_in_days`)."""

    def __init__(self, description: str, *, significant: bool = True) -> None:
        super().__init__(
            default=None,  # type: ignore[arg-type]
            description=description,
            significant=significant,
        )

    def parse(self, text: str) -> dt.date:
        """Return the day, or raise SettingsError."""
        try:
            day: dt.date = super().parse(text)
        except ValueError:
            raise SettingsError(f"{text!r} is not a day: write it like 2024-01-31.") from None
        return day

    def normalize(self, value: dt.date | None) -> dt.date | None:
        """Return the day, if there is one."""
        return None if value is None else super().normalize(value)


class DistrictParameter(luigi.Parameter[str]):
    """The district's name in task ids; without one it is the configured source's."""

    def __init__(self) -> None:
        super().__init__(
            default=None,  # type: ignore[arg-type]
            description="the district's name in task ids; default the configured source",
        )

    def normalize(self, value: str | None) -> str:
        """Return the name, or that of the source."""
        if value:
            return value
        with settings.frozen(), contextlib.suppress(SettingsError):
            return settings.source_name()
        return "unknown"  # the step that needs the address fails with the reason
