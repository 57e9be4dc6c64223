"""Parameters of tasks: school years, days and the district."""

import contextlib
import datetime as dt
from collections.abc import Iterable

import luigi

from pipeline.config import settings
from pipeline.errors import SettingsError, YearError
from pipeline.years import SchoolYear


def today() -> dt.date:
    """Return today in the school's own time zone."""
    return dt.date.today()  # noqa: DTZ011


class SchoolYearParameter(luigi.Parameter[SchoolYear]):
    """A school year, written `23-24`; without one it is `[years] current`."""

    def __init__(self, description: str) -> None:
        # The default is only known when settings are read, so normalize() fills it in.
        super().__init__(default=None, description=description)  # type: ignore[arg-type]

    def parse(self, text: str) -> SchoolYear:
        """Return a school year, or raise YearError."""
        return SchoolYear.parse(text)

    def normalize(self, value: SchoolYear | str | None) -> SchoolYear:
        """Return the school year that is given as one, as text, or not at all."""
        if isinstance(value, SchoolYear):
            return value
        return self.parse(value) if value else settings.current_year()


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


class DayParameter(luigi.DateParameter):
    """A day; without one it is today, read once, when the requested task is made."""

    def __init__(self, description: str, *, significant: bool = True) -> None:
        super().__init__(
            default=None,  # type: ignore[arg-type]
            description=description,
            significant=significant,
        )

    def normalize(self, value: dt.date | None) -> dt.date:
        """Return the day, or today."""
        if value is None:
            return today()
        day: dt.date = super().normalize(value)
        return day


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
