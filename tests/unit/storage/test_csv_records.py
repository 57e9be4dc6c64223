"""Records are counted by the rules of CSV."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.csv_records import RecordCounter

cells = st.one_of(st.none(), st.text(st.sampled_from('a"\n\r, é'), max_size=6))


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=8), st.integers(1, 7))
def test_records_are_those_of_csv_wherever_blocks_end(rows, length):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    content, counter = text.getvalue().encode(), RecordCounter()
    for at in range(0, len(content), length):
        counter.update(content[at : at + length])
    assert counter.records == len(rows)
