"""A made-up school district behind the HTTP protocol of Illuminate: the demo, and tests' server.

`District.make()` makes the data, `serving` and `serve_forever` answer for it over real sockets,
and `Fault` makes the answers go wrong. Nothing of the pipeline is used but school years, so that
what the server says is no echo of what the client believes.

What the server does was seen in published clients of the real API, except for these ASSUMPTIONS.
Each is a setting of `Protocol`, or stands here because no reader of the API depends on it:

- `default_limit`, `cap`: pages have 50 rows where no limit is asked for, and 1000 at most.
- `beyond_end`: a page after the last one is empty and says `num_results` 0.
- `group_id_field`, `group_label_field`: the names of the two fields that only group results have.
- `row_order`: the catalogue is ordered by title, standard results by standard code.
- `honour_start_date`: `start_date` and `end_date` are ignored; `date_taken_start` and
  `date_taken_end` filter, both days included; rows without a proper date never pass a filter.
- `numbers_as_json`: values of rows are text or null, never JSON numbers.
- `ascii_json`: letters beyond ASCII are sent as UTF-8, not as escapes.
- `error_body`: errors have an empty body.
- `token_seconds`, `token_requests_limit`: a token is good for an hour and for any number of
  requests, and a new one does not end those before it.
- `gzip`: bodies are not compressed, even for clients that would take it.
- A page or limit that is no positive number, and a date that is none, count as not given.
- An assessment that the server does not know has no results; without dates, results of all years
  are sent; without an assessment, those of all assessments are.
- Several grades of an assessment are joined by commas.
"""

from pipeline.simulator.credentials import Credentials
from pipeline.simulator.district.district import District
from pipeline.simulator.district.size import DEMO, SMALL, Size
from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.inputs import write_inputs
from pipeline.simulator.log import LoggedRequest
from pipeline.simulator.protocol import Protocol
from pipeline.simulator.server import Server, serve_forever, serving

__all__ = [
    "DEMO",
    "SMALL",
    "Credentials",
    "District",
    "Fault",
    "LoggedRequest",
    "Protocol",
    "Server",
    "Size",
    "serve_forever",
    "serving",
    "write_inputs",
]
