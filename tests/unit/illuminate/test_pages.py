"""Pages: the rows of a reply come out exactly once, or the reply is refused."""

import itertools
import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.errors import (
    IlluminateError,
    PaginationError,
    ResponseError,
    TooManyPagesError,
    TransientError,
)
from pipeline.illuminate import pages
from pipeline.illuminate.endpoints import CATALOGUE, OVERALL, STANDARD, group
from pipeline.illuminate.pages import decode, read_all
from tests import canaries


def row(number: int, **more: object) -> dict[str, object]:
    return {"assessment_id": str(number), "title": f"Title {number}", **more}


def envelopes(*split: list[dict[str, object]]) -> list[dict[str, object]]:
    """The pages of an honest reply whose rows are split like this."""
    total = sum(map(len, split))
    return [
        {
            "page": number,
            "num_pages": len(split),
            "num_results": total,
            "results": [{**each, "__count": str(total)} for each in rows],
        }
        for number, rows in enumerate(split, start=1)
    ]


def encoded(envelope: object) -> bytes:
    return json.dumps(envelope, ensure_ascii=False).encode()


LIMIT = 1000
EMPTY = {"num_pages": 0, "num_results": 0, "results": []}


def getter(*replies: list[dict[str, object]]):
    """Serves one reply in each walk, then the last one's rows on pages as small as requested.

    A page beyond the end is empty.
    """
    walks = iter([*replies])
    current: list[dict[str, object]] = []

    def get(number: int, limit: int) -> pages.Page:
        nonlocal current
        if number == 1:
            rows = [each for page in current for each in page["results"]]
            split = [rows[start : start + limit] for start in range(0, len(rows), limit)]
            current = next(walks, envelopes(*split))
        envelope = current[number - 1] if number <= len(current) else {"page": number, **EMPTY}
        return decode(encoded(envelope), CATALOGUE, number)

    return get


def refused(*replies: list[dict[str, object]]) -> str:
    with pytest.raises(IlluminateError) as error:
        read_all(getter(*replies), LIMIT)
    return str(error.value)


def as_dicts(result: pages.Result) -> list[dict[str, str | None]]:
    """Rows without the fields that are null."""
    return [
        {name: value for name, value in each.items() if value is not None}
        for each in result.rows.to_dicts()
    ]


def one_page(results: str, total: int = 1) -> bytes:
    return f'{{"page":1,"num_pages":1,"num_results":{total},"results":{results}}}'.encode()


def value_of(literal: str) -> str | None:
    """What becomes of a JSON value in a row."""
    page = decode(one_page(f'[{{"assessment_id":"1","title":{literal}}}]'), CATALOGUE, 1)
    return page.rows["title"].item()


# Any rows, split in any way.

UNKNOWN = ("alpha", "Omega", "zeta", "__x", "éa")
VALUES = st.none() | st.text(max_size=3) | st.sampled_from(["a", "b", '"', "\n", "ü", "\x00"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"assessment_id": st.sampled_from("123"), "title": VALUES},
        optional=dict.fromkeys(UNKNOWN, VALUES),
    ),
    max_size=12,
)


@st.composite
def splits(draw):
    """Rows on pages of any size; no two pages with the same rows, which are refused on purpose."""
    rows = draw(ROWS)
    cuts = draw(st.sets(st.integers(1, len(rows) - 1))) if len(rows) > 1 else set()
    ends = [0, *sorted(cuts), len(rows)]
    split = [rows[start:end] for start, end in itertools.pairwise(ends)]
    alike = {json.dumps(sorted(json.dumps(with_nulls(r)) for r in page)) for page in split}
    assume(len(alike) == len(split))
    return split


def with_nulls(each: dict[str, str | None]) -> list[str | None]:
    return [each.get(name) for name in ("assessment_id", "title", *UNKNOWN)]


@given(splits())
def test_any_split_gives_the_distinct_rows_and_the_counts(split):
    result = read_all(getter(envelopes(*split)), LIMIT)
    sent = [{k: v for k, v in each.items() if v is not None} for page in split for each in page]
    distinct = [each for index, each in enumerate(sent) if each not in sent[:index]]
    assert as_dicts(result) == distinct
    assert len(result.rows) == len(set(result.rows.rows()))
    assert (result.declared, result.pages) == (len(sent), len(split))
    assert result.duplicates == len(sent) - len(distinct)


@given(splits())
@example([[row(1, alpha="a", zeta="z")], [row(2, beta="b")]])
def test_unknown_fields_follow_the_known_in_alphabetical_order_however_rows_are_split(split):
    result = read_all(getter(envelopes(*split)), LIMIT)
    names = {name for page in split for each in page for name in each}
    known = CATALOGUE.fields
    assert result.rows.columns == [*known, *sorted(names - set(known))]


def test_known_fields_come_first_though_a_page_lacks_one():
    fields = [name for name in OVERALL.fields if name != "version"]
    bare = dict.fromkeys(fields, "x")
    replies = envelopes([bare | {"a": "1", "b": "2"}], [bare | {"version": "1"}])
    result = read_all(
        lambda number, _: decode(encoded(replies[number - 1]), OVERALL, number), LIMIT
    )
    assert result.rows.columns == [*OVERALL.fields, "a", "b"]
    assert result.rows["version"].to_list() == [None, "1"]


def test_a_reply_without_rows_is_a_result_without_rows():
    for num_pages in (0, 1):
        reply = {"page": 1, "num_pages": num_pages, "num_results": 0, "results": []}
        result = read_all(getter([reply]), LIMIT)
        numbers = (result.rows.height, result.declared, result.pages, result.duplicates)
        assert numbers == (0, 0, 1, 0)


def test_each_page_is_requested_once_and_in_order():
    requested = []
    get = getter(envelopes([row(1)], [row(2)], [row(3)]))
    read_all(lambda number, limit: requested.append(number) or get(number, limit), LIMIT)
    assert requested == [1, 2, 3]


# Lies.

THREE = ([row(1), row(2)], [row(3), row(4)], [row(5)])


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "by"),
    [("num_results", 1), ("num_results", -1), ("num_pages", 1), ("num_pages", -1), ("page", 1),
     ("page", -1)],
)  # fmt: skip
def test_a_page_with_a_number_of_its_own_is_refused(number, name, by):
    reply = envelopes(*THREE)
    reply[number][name] += by
    refused(reply)


@pytest.mark.parametrize("by", [1, -1, 5])
@pytest.mark.parametrize("count_follows", [True, False])
def test_num_results_that_is_wrong_on_every_page_is_refused(by, count_follows):
    reply = envelopes(*THREE)
    for page in reply:
        page["num_results"] += by
        if count_follows:
            for each in page["results"]:
                each["__count"] = str(page["num_results"])
    refused(reply)


@pytest.mark.parametrize("num_pages", [0, 1, 2, 4, 5, 6, 10**12, -1])
def test_num_pages_that_is_wrong_on_every_page_is_refused(num_pages):
    reply = envelopes(*THREE)
    for page in reply:
        page["num_pages"] = num_pages
    refused(reply)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("count", ["4", "6", "", None, 4, "5.0"])
def test_a_row_with_another_count_is_refused(number, count):
    reply = envelopes(*THREE)
    reply[number]["results"][-1]["__count"] = count
    refused(reply)


def test_a_count_that_is_a_json_number_is_the_same_count():
    reply = envelopes(*THREE)
    for page in reply:
        for each in page["results"]:
            each["__count"] = 5
    assert read_all(getter(reply), LIMIT).declared == 5


@pytest.mark.parametrize(("gone", "instead"), list(itertools.permutations(range(3), 2)))
def test_a_page_that_repeats_another_is_refused(gone, instead):
    split = list(THREE)
    split[gone] = split[instead]
    total = sum(map(len, THREE))
    reply = [{**page, "num_results": total} for page in envelopes(*split)]
    for page in reply:
        page["results"] = [{**each, "__count": str(total)} for each in page["results"]]
    refused(reply)


def test_a_page_that_repeats_another_of_the_same_size_is_refused():
    refused(envelopes([row(1), row(2)], [row(1), row(2)]))


def test_a_page_that_repeats_another_in_another_order_is_refused():
    refused(envelopes([row(1), row(2)], [row(2), row(1)]))


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_page_is_refused(lost):
    rest = envelopes(*[page for number, page in enumerate(THREE) if number != lost])
    reply = [{**page, "num_results": 5} for page in rest]
    for page in reply:
        page["results"] = [{**each, "__count": "5"} for each in page["results"]]
    refused(reply)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_lost_row_is_refused(number):
    reply = envelopes(*THREE)
    reply[number]["results"].pop()
    refused(reply)


def test_a_row_that_moved_to_the_next_page_while_pages_were_read_is_refused():
    """Row 2 came twice and row 3 never: the numbers agree, a second walk does not."""
    moved = envelopes([row(1), row(2)], [row(2), row(4)])
    assert "moved" in refused(moved, envelopes([row(1)], [row(2)], [row(3)], [row(4)]))


def test_rows_that_are_on_two_pages_in_two_walks_are_the_servers_own_duplicates():
    reply = envelopes([row(1), row(2)], [row(2), row(3)])
    smaller = envelopes([row(1)], [row(2)], [row(2)], [row(3)])
    result = read_all(getter(reply, smaller), LIMIT)
    assert result.rows["assessment_id"].to_list() == ["1", "2", "3"]
    assert (result.declared, result.duplicates) == (4, 1)


def test_a_second_walk_of_pages_that_are_not_smaller_proves_nothing():
    """The same row may have moved again, so another may be missing again."""
    moved = envelopes([row(1), row(2)], [row(2), row(4)])
    assert "ignores the limit" in refused(moved, moved)


@pytest.mark.parametrize("other", [{}, {"unknown": 1}])
def test_a_page_whose_keys_occur_twice_is_read_by_one_rule(other):
    """What is checked is what is published: the last value, of the envelope and of each row."""
    (reply,) = envelopes([row(1, **other)])
    text = json.dumps(reply)
    twice = text.replace('{"assessment_id"', '{"assessment_id": "777", "assessment_id"')
    twice = twice.replace('{"page"', '{"num_results": 9, "results": [], "page"', 1)
    assert twice.count("assessment_id") == 2
    page = decode(twice.encode(), CATALOGUE, 1)
    assert page.rows["assessment_id"].to_list() == ["1"]
    assert page.num_results == 1
    last = text.replace('"assessment_id": "1"', '"assessment_id": "1", "assessment_id": "777"')
    assert decode(last.encode(), CATALOGUE, 1).rows["assessment_id"].to_list() == ["777"]


def test_rows_of_a_second_walk_that_contradicts_itself_are_refused():
    reply = envelopes([row(1), row(2)], [row(2), row(3)])
    smaller = envelopes([row(1)], [row(2)], [row(2)], [row(3)])
    last = {**smaller[3], "num_results": 5, "results": [row(3, __count="5")]}
    assert "declared" in refused(reply, [*smaller[:3], last])


def test_duplicates_on_one_page_need_no_second_walk():
    requested = []
    get = getter(envelopes([row(1), row(1)], [row(2)]))
    result = read_all(lambda number, limit: requested.append(number) or get(number, limit), LIMIT)
    assert result.duplicates == 1
    assert requested == [1, 2]


def test_a_server_that_promises_pages_without_end_is_left_at_the_first_empty_one():
    def get(number, _):
        reply = {"page": number, "num_pages": 10**12, "num_results": 10**12}
        rows = [{**row(number), "__count": str(10**12)}] if number < 4 else []
        return decode(encoded({**reply, "results": rows}), CATALOGUE, number)

    with pytest.raises(PaginationError, match="page 4 of 1000000000000 is empty"):
        read_all(get, LIMIT)


def test_pages_after_the_first_are_read_by_whoever_helps():
    requested = []

    def map_pages(get, numbers):
        requested.append(numbers)
        return [get(number) for number in reversed(numbers)][::-1]

    result = read_all(getter(envelopes([row(1)], [row(2)], [row(3)])), LIMIT, map_pages)
    assert requested == [range(2, 4)]
    assert result.rows["assessment_id"].to_list() == ["1", "2", "3"]


def test_requests_end_with_the_reading_whoever_keeps_its_error():
    """Left to the garbage collector, they could end in a thread that then waits for itself."""
    ended = []

    def map_pages(get, numbers):
        try:
            yield from map(get, numbers)
        finally:
            ended.append(numbers)

    reply = envelopes([row(1)], [row(2)], [row(3)])
    with pytest.raises(TooManyPagesError) as too_many:  # it holds all that it passed through
        read_all(getter(reply), LIMIT, map_pages, 2, most_pages=2)
    assert ended == [range(1, 3)]
    reply[1] = envelopes([row(1)], [row(2)], [row(3), row(4)])[1]
    with pytest.raises(PaginationError) as contradiction:
        read_all(getter(reply), LIMIT, map_pages)
    assert ended == [range(1, 3), range(2, 4)]
    assert too_many.value
    assert contradiction.value


TEXT = st.none() | st.text(max_size=5) | st.sampled_from(["", "\x00", 'a"b\\', "\u2028", "😀"])
KNOWN = st.fixed_dictionaries(dict.fromkeys(OVERALL.required, TEXT), optional={"version": TEXT})


@given(st.lists(KNOWN, min_size=1, max_size=4), st.booleans())
def test_both_ways_to_read_a_page_read_the_same(rows, as_ascii):
    """A page of known texts is read one way, and another way once a row has something else."""
    plain = envelopes(rows)[0]
    extra = envelopes([{**rows[0], "extra": 1}, *rows[1:]])[0]
    page, other = (
        decode(json.dumps(each, ensure_ascii=as_ascii).encode(), OVERALL, 1)
        for each in (plain, extra)
    )
    assert page.rows.equals(other.rows.drop("extra"))
    assert page.rows.to_dicts() == [
        {name: each.get(name) for name in OVERALL.fields} for each in rows
    ]


def test_a_walk_says_what_was_promised_and_what_came():
    reply = envelopes(*THREE)
    reply[2]["results"] = []
    assert "5" in refused(reply)
    assert "4" in refused(reply)


@pytest.mark.parametrize("pages_declared", [1, 2, 3])
def test_no_more_pages_are_requested_than_page_1_declared(pages_declared):
    requested = []
    get = getter(envelopes(*[[row(number)] for number in range(pages_declared)]))
    read_all(lambda number, limit: requested.append((number, limit)) or get(number, limit), LIMIT)
    assert requested == [(number, LIMIT) for number in range(1, pages_declared + 1)]


# Broken bodies.

GOOD = encoded(
    {
        "page": 1,
        "num_pages": 1,
        "num_results": 2,
        "results": [
            row(1, a='Zoë "Z" \\', b=None, __count="2"),
            row(2, a={"n": [1.5, None, True]}, b=-1e-7, __count=2),
        ],
    }
)


def test_every_byte_prefix_of_a_good_reply_is_refused():
    assert len(decode(GOOD, CATALOGUE, 1).rows) == 2
    for length in range(len(GOOD)):
        with pytest.raises(TransientError):
            decode(GOOD[:length], CATALOGUE, 1)


@pytest.mark.parametrize("tail", [b"}", b"x", b"{}", b"\x00", b"\xef\xbb\xbf", b"<!-- -->"])
def test_anything_behind_a_reply_is_refused(tail):
    with pytest.raises(TransientError):
        decode(GOOD + tail, CATALOGUE, 1)


def test_a_byte_order_mark_is_accepted():
    with_mark = decode(b"\xef\xbb\xbf" + GOOD, CATALOGUE, 1)
    assert with_mark.rows.equals(decode(GOOD, CATALOGUE, 1).rows)


LATIN = '{{"page":1,"num_pages":1,"num_results":1,{}"results":[{{"assessment_id":"1",{}}}]}}'


@pytest.mark.parametrize(
    ("envelope", "inside"),
    [
        ("", '"title":"José"'),
        ("", '"title":"a","é":"a"'),
        ("", '"title":"a","nested":["é"]'),
        ('"é":1,', '"title":"a"'),
        ('"note":"é",', '"title":"a"'),
    ],
)
def test_bytes_that_are_not_utf8_are_refused_wherever_they_are(envelope, inside):
    text = LATIN.format(envelope, inside)
    assert decode(text.encode(), CATALOGUE, 1).rows.height == 1
    with pytest.raises(TransientError):
        decode(text.encode("latin-1"), CATALOGUE, 1)


def test_nor_are_they_taken_on_a_page_without_rows():
    text = '{"page":1,"num_pages":0,"num_results":0,"note":"é","results":[]}'
    assert decode(text.encode(), CATALOGUE, 1).rows.height == 0
    with pytest.raises(TransientError):
        decode(text.encode("latin-1"), CATALOGUE, 1)


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", "nan", "01", "1.", ".5", "+1", "'a'", "tru", '"\\ud800"',
     '"\x00"', "9" * 5000, "[" * 100_000, '{"a":NaN}'],
)  # fmt: skip
def test_what_is_no_json_value_is_refused(literal):
    with pytest.raises(TransientError):
        value_of(literal)


@pytest.mark.parametrize(
    "content",
    [
        b"", b" ", b"null", b"5", b"[]", b'"page"', b"{}",
        b'{"page":1,"num_pages":0,"num_results":0}',
        b'{"page":1,"num_pages":0,"num_results":0,"results":null}',
        b'{"page":1,"num_pages":0,"num_results":0,"results":{}}',
        b'{"page":1,"num_pages":1,"num_results":1,"results":[null]}',
        b'{"page":1,"num_pages":1,"num_results":1,"results":[[]]}',
        b'{"page":"1","num_pages":0,"num_results":0,"results":[]}',
        b'{"page":1,"num_pages":null,"num_results":0,"results":[]}',
        b'{"page":1,"num_pages":0,"num_results":"0","results":[]}',
        b'{"page":1,"num_pages":0,"num_results":-1,"results":[]}',
        b'{"page":1,"num_pages":-1,"num_results":0,"results":[]}',
        b'{"page":1,"num_pages":2,"num_results":0,"results":[]}',
        b'{"page":1.5,"num_pages":0,"num_results":0,"results":[]}',
        b'{"page":true,"num_pages":0,"num_results":0,"results":[]}',
        b'{"num_pages":0,"num_results":0,"results":[]}',
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused(content):
    with pytest.raises(TransientError):
        decode(content, CATALOGUE, 1)


def test_unknown_fields_of_the_envelope_are_ignored():
    reply = {"extra": {"page": 7}, **envelopes([row(1)])[0]}
    assert decode(encoded(reply), CATALOGUE, 1).number == 1


# What becomes of values.

DIGITS = r"(0|-?[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?"


@given(st.from_regex(DIGITS, fullmatch=True))
@example("1.50")
@example("100.0")
@example("1e400")
@example("0.1000000000000000055511151231257827")
@example("18446744073709551616")
def test_numbers_keep_the_digits_that_were_sent(literal):
    assert value_of(literal) == literal


@given(st.text())
def test_text_is_kept_as_it_is(text):
    assert value_of(json.dumps(text, ensure_ascii=False)) == text
    assert value_of(json.dumps(text)) == text


@pytest.mark.parametrize(
    ("literal", "text"), [("true", "true"), ("false", "false"), ("null", None)]
)
def test_truth_values_become_words_and_null_stays_null(literal, text):
    assert value_of(literal) == text


@pytest.mark.parametrize(
    "nested",
    [[], {}, [1, None, True, "é"], {"b": {"a": "1"}, "a": []}, {"half": 1.5}, [[0.25]], [10**30]],
)
def test_nested_values_become_json_that_says_the_same(nested):
    assert json.loads(value_of(json.dumps(nested, ensure_ascii=False))) == nested


def test_a_row_with_a_number_does_not_change_the_rows_beside_it():
    reply = envelopes([row(1, points=1.50), row(2, points="1.50"), row(3)])[0]
    page = decode(encoded(reply), CATALOGUE, 1)
    assert page.rows.columns == ["assessment_id", "title", "points"]
    assert page.rows["points"].to_list() == ["1.5", "1.50", None]


# Fields.

RESULTS = (OVERALL, STANDARD, group())


def test_count_is_no_column():
    assert "__count" not in decode(GOOD, CATALOGUE, 1).rows.columns


def test_unknown_fields_are_kept_behind_the_known_by_name():
    page = decode(encoded(envelopes([{"z": "1", **row(1), "B": "2", "a": "3"}])[0]), CATALOGUE, 1)
    assert page.rows.columns == ["assessment_id", "title", "B", "a", "z"]
    assert page.rows.rows() == [("1", "Title 1", "2", "3", "1")]


@given(names=st.sets(st.text(max_size=70), max_size=4))
@example(names={"\0points"})
@example(names={"Title"})
@example(names={" title"})
@example(names={"Straße", "STRASSE"})
@example(names={"__Count"})
@example(names={""})
@example(names={"  "})
@example(names={"a\nb"})
@example(names={"\x1b[32mok"})
@example(names={"a\u2028b"})
@example(names={"a\u202eb"})
@example(names={"x" * 64})
@example(names={"ü" * 32})
@example(names={"x" * 63, "points ", "=1+1", 'a"b', "a,b", "ü"})
def test_a_field_becomes_a_column_that_can_be_told_from_all_others_or_is_refused_by_name(names):
    assume(not names & {"__count", "assessment_id", "title"})
    content = json.dumps(envelopes([{**dict.fromkeys(names, "x"), **row(1)}])[0]).encode()
    folded = [name.strip().casefold() for name in (*names, "__count", "assessment_id", "title")]
    fits = [name.isprintable() and 0 < len(name.encode()) < 64 for name in names]
    if all(fits) and all(folded) and len({*folded}) == len(folded):
        columns = decode(content, CATALOGUE, 1).rows.columns
        assert columns == ["assessment_id", "title", *sorted(names)]
        return
    with pytest.raises(ResponseError) as error:
        decode(content, CATALOGUE, 1)
    assert str(error.value).isprintable()
    assert any(repr(name[:63]) in str(error.value) for name in names)


def test_a_field_that_has_the_name_that_another_field_gets_is_refused():
    endpoint = group("rg_id", "rg")
    row_of_group = {**dict.fromkeys(endpoint.fields, "x"), "reporting_group": "y"}
    with pytest.raises(ResponseError, match="told from the column 'reporting_group'"):
        decode(encoded(envelopes([row_of_group])[0]), endpoint, 1)


@pytest.mark.parametrize("endpoint", RESULTS, ids=lambda endpoint: endpoint.name)
def test_a_row_without_a_required_field_is_refused_by_the_name_of_the_field(endpoint):
    whole = dict.fromkeys(endpoint.fields, "canary")
    for field, place in itertools.product(sorted(endpoint.required), range(3)):
        rows = [dict(whole) for _ in range(3)]
        del rows[place][field]
        with pytest.raises(TransientError, match=field) as error:
            decode(encoded(envelopes(rows)[0]), endpoint, 1)
        assert "canary" not in str(error.value)


def test_fields_that_are_not_required_may_be_missing():
    for endpoint in RESULTS:
        bare = dict.fromkeys(sorted(endpoint.required), "x")
        assert len(decode(encoded(envelopes([bare])[0]), endpoint, 1).rows) == 1


def test_refusals_hold_no_value_of_a_row():
    canary = "c4nary9f2c-Zz9"
    bad = [
        encoded({"page": 1, "num_pages": 1, "num_results": 1, "results": [canary]}),
        encoded({"page": canary, "num_pages": 1, "num_results": 1, "results": []}),
        encoded(envelopes([row(1, a=canary, b=[canary], __count="9")])[0])[:-1],
        one_page(json.dumps([{"title": canary, canary: canary}])),
        one_page(json.dumps([{**row(1, a=canary), "__count": canary}])),
    ]
    for content in bad:
        with pytest.raises(IlluminateError) as error:
            decode(content, CATALOGUE, 1)
        assert canaries.found([canary], str(error.value)) == set()


def test_a_count_that_differs_calls_for_a_fresh_walk():
    reply = envelopes([row(1)])[0]
    reply["results"][0]["__count"] = "2"
    with pytest.raises(PaginationError):
        decode(encoded(reply), CATALOGUE, 1)


def test_a_reply_of_too_many_pages_costs_one_request():
    requested = []

    def get(number: int, limit: int) -> pages.Page:
        requested.append(number)
        return getter(envelopes([row(1)], [row(2)], [row(3)]))(number, limit)

    with pytest.raises(TooManyPagesError) as error:
        read_all(get, LIMIT, most_pages=2)
    assert (error.value.pages, requested) == (3, [1])


def test_as_many_pages_as_allowed_are_read_and_a_second_reading_may_have_more():
    three = envelopes([row(1), row(2)], [row(2), row(3)])
    assert read_all(getter(three), LIMIT, most_pages=2).declared == 4


def test_duplicates_can_be_kept():
    reply = envelopes([row(1), row(2)], [row(2), row(3)])
    result = read_all(getter(reply), LIMIT, keep_duplicates=True)
    assert as_dicts(result) == [row(1), row(2), row(2), row(3)]
    assert (result.declared, result.duplicates) == (4, 0)


@pytest.mark.parametrize("likely", range(1, 7))
def test_likely_pages_are_requested_together_and_all_rows_come_anyway(likely):
    reply = envelopes(*([row(2 * n), row(2 * n + 1)] for n in range(4)))
    together = []

    def map_pages(get, numbers):
        together.append(numbers)
        return map(get, numbers)

    result = read_all(getter(reply), LIMIT, map_pages, likely)
    assert [each["assessment_id"] for each in as_dicts(result)] == [str(n) for n in range(8)]
    assert (result.pages, result.declared) == (4, 8)
    first, rest = range(1, likely + 1), range(likely + 1, 5)
    assert together == ([first, rest] if likely > 1 else [rest])


def test_more_pages_than_are_likely_may_be_too_many():
    reply = envelopes([row(1)], [row(2)], [row(3)])
    with pytest.raises(TooManyPagesError):
        read_all(getter(reply), LIMIT, likely_pages=2, most_pages=2)
    assert read_all(getter(reply), LIMIT, likely_pages=2, most_pages=3).declared == 3


def test_a_reply_of_no_pages_has_no_rows_however_many_are_likely():
    assert read_all(getter([{"page": 1, **EMPTY}]), LIMIT, likely_pages=3).declared == 0
