"""Tables, labels and SQL escape the same texts, and lose none of them."""

import duckdb
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage import formulas

DUCKDB = duckdb.connect()


@given(st.text(st.sampled_from("'a \n=+-@\t\r\uff1d\uff0b\uff0d\uff20"), max_size=5))
def test_every_form_of_escaping_agrees_and_can_be_undone(original):
    escaped = formulas.escape_text(original)
    assert formulas.unescape_text(escaped) == original
    frame = pl.DataFrame({"original": [original], "escaped": [escaped]})
    assert frame.select(formulas.escape(pl.col("original"))).item() == escaped
    assert frame.select(formulas.unescape(pl.col("escaped"))).item() == original
    sql = f"SELECT {formulas.escape_sql('$a')}, {formulas.unescape_sql('$b')}"
    assert DUCKDB.execute(sql, {"a": original, "b": escaped}).fetchall() == [(escaped, original)]
