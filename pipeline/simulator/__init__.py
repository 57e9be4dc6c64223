"""A made-up school district behind the HTTP protocol of Illuminate: the demo and the tests' server.

`District.make()` generates the data, `serving` and `serve_forever` serve them over real sockets,
and `Fault` makes responses go wrong. Of the pipeline only school years are used, so that the server
does not simply echo the client's beliefs.

The behaviour was observed in published clients of the real API, except for these ASSUMPTIONS. Each
is a default of `Protocol`, or is only listed here because no reader of the API depends on it:

- The catalogue is ordered by title.
- `date_taken_start` and `date_taken_end` filter, both days included; rows without a valid date
  never pass a filter.
- A new token does not invalidate earlier ones.
- A page or limit that is not a positive number, and an invalid date, count as missing.
- An unknown assessment has no results; without dates, results of all years are sent; without an
  assessment, those of all assessments, in the order of assessments (`WithoutAssessment`).
- The view of an unknown assessment is a 404; one that the catalogue does not list has a view.
  What is in views and in Enrollment, Roster and Users: see `district.definitions` and
  `district.schools`.
- Several grades of an assessment are joined by commas.
"""

from pipeline.simulator.credentials import Credentials
from pipeline.simulator.district.district import District
from pipeline.simulator.district.planning import DEMO, SMALL
from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.inputs import write_inputs
from pipeline.simulator.protocol import Protocol, WithoutAssessment
from pipeline.simulator.server import Server, serve_forever, serving

__all__ = [
    "DEMO",
    "SMALL",
    "Credentials",
    "District",
    "Fault",
    "Protocol",
    "Server",
    "WithoutAssessment",
    "serve_forever",
    "serving",
    "write_inputs",
]
