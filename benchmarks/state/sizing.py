"""Arithmetic of sizes: what a night of many districts takes, from what was measured of one.

It adds up what a night does one after the other, also where some of it overlaps, and rounds up.
"""

import math
from dataclasses import dataclass

# From the tables Growth and Memory of docs/performance.md, which a test compares with them.
_FIRST_REQUESTS, _PER_ASSESSMENT, _PER_ROW = 50, 0.034, 0.00103
_FIRST_SECONDS, _SECONDS_PER_ASSESSMENT, _SECONDS_PER_ROW = 1.5, 0.0009, 7e-6


@dataclass(frozen=True)
class Figures:
    """What was measured of a large district, for each row that was fetched.

    Attributes:
        staging: seconds of a worker that publishes its tables with those of others.
        folder: bytes of the district's own folder: shards, tables and views.
        delta: bytes of the tables of all districts.
        rows: rows of the tables of all districts.
        overhead: seconds that one more item takes on a cluster.
    """

    staging: float
    folder: float
    delta: float
    rows: float
    overhead: float


@dataclass(frozen=True)
class Night:
    """A state run over districts that all have new rows.

    Attributes:
        districts: how many.
        assessments: of each district.
        rows: results of each district, of the whole year.
        workers: how many districts are run at once.
        latency: seconds of a request.
        threads: requests of a district at the same time.
        rate: the most requests of a district in a second; 0: any number.
    """

    districts: int
    assessments: int
    rows: int
    workers: int
    latency: float = 0.3
    threads: int = 10
    rate: float = 0.0

    @property
    def requests(self) -> int:
        """Requests of one district: a year that is not settled is read as a whole, every night."""
        return requests_of(self.assessments, self.rows)

    @property
    def waiting(self) -> float:
        """Seconds that one district waits for its server."""
        limited = self.requests / self.rate if self.rate else 0.0
        return max(self.requests * self.latency / self.threads, limited)

    @property
    def computing(self) -> float:
        """Seconds that one district takes besides, with two cores to itself."""
        return computing_of(self.assessments, self.rows)

    def hours(self, figures: Figures) -> float:
        """Hours from the start of the state run until readers see everything."""
        in_a_row = math.ceil(self.districts / self.workers)
        district = self.waiting + self.computing + figures.staging * self.rows
        return (in_a_row * district + self.districts * figures.overhead) / 3600

    def limit(self, figures: Figures) -> str:
        """What takes most of it."""
        slowed = self.rate and self.requests / self.rate >= self.waiting
        shares = {
            "the rate of requests" if slowed else "latency": self.waiting,
            "processors": self.computing + figures.staging * self.rows,
        }
        return max(shares, key=lambda name: shares[name])


def requests_of(assessments: int, rows: int) -> int:
    """Requests of a run that reads a school year by page, a thousand rows each."""
    return round(_FIRST_REQUESTS + _PER_ASSESSMENT * assessments + _PER_ROW * rows)


def computing_of(assessments: int, rows: int) -> float:
    """Seconds of a run without latency: fetching, and tables."""
    return _FIRST_SECONDS + _SECONDS_PER_ASSESSMENT * assessments + _SECONDS_PER_ROW * rows
