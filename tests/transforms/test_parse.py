import base64
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import BadValue, UnsupportedType
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.parse import parse_text
from tests.transforms.columns import columns

ROUND_TRIPS = [
    (st.integers(-128, 127), pa.int8()),
    (st.integers(0, 2**64 - 1), pa.uint64()),
    (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    (st.floats(allow_nan=False), pa.float64()),
    (st.floats(allow_nan=False, width=32), pa.float32()),
    (st.decimals(-999, 999, places=2), pa.decimal128(5, 2)),
    (st.booleans(), pa.bool_()),
    (st.dates(), pa.date32()),
    (st.datetimes(), pa.timestamp("us")),
    (st.datetimes(timezones=st.just(timezone.utc)), pa.timestamp("us", "UTC")),
    (st.times(), pa.time64("us")),
    (st.timedeltas(timedelta(-99999), timedelta(99999)), pa.duration("us")),
    (st.uuids().map(lambda value: value.bytes), pa.uuid()),
    (st.binary(), pa.binary()),
    (st.binary(), pa.large_binary()),
    (st.binary(min_size=4, max_size=4), pa.binary(4)),
]


@pytest.mark.parametrize(("values", "kind"), ROUND_TRIPS, ids=[str(kind) for _, kind in ROUND_TRIPS])
@given(data=st.data())
def test_canonical_text_is_read_back_as_it_was(data, values, kind):
    column = data.draw(columns(values, kind))

    parsed = parse_text(canonical_text(column), kind)

    parsed.validate(full=True)
    assert parsed.equals(column)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("007", pa.int64(), 7),
        ("+5", pa.int64(), 5),
        ("1e5", pa.float64(), 1e5),
        ("Infinity", pa.float64(), float("inf")),
        ("1e-400", pa.float64(), 0.0),
        ("3.1", pa.decimal128(5, 2), Decimal("3.10")),
        ("3.100", pa.decimal128(5, 2), Decimal("3.10")),
        ("TRUE", pa.bool_(), True),
        ("f", pa.bool_(), False),
        ("0", pa.bool_(), False),
        ("2024-01-31", pa.date32(), date(2024, 1, 31)),
        ("2024-01-31T23:30:00.123456789+14:00", pa.date32(), date(2024, 1, 31)),
        ("2024-01-31 23:30Z", pa.date32(), date(2024, 1, 31)),
        ("2024-01-31", pa.timestamp("us"), datetime(2024, 1, 31)),  # noqa: DTZ001 - a type without a zone
        ("2024-01-31T23:30:00+02:00", pa.timestamp("us"), datetime(2024, 1, 31, 23, 30)),  # noqa: DTZ001
        ("2024-01-31 23:30:00 +0200", pa.timestamp("us"), datetime(2024, 1, 31, 23, 30)),  # noqa: DTZ001
        ("2024-01-31T23:30:00+02:00", pa.timestamp("s", "UTC"), datetime(2024, 1, 31, 21, 30, tzinfo=timezone.utc)),
        ("2024-07-31T02:00", pa.timestamp("s", "Europe/Berlin"), datetime(2024, 7, 31, 0, 0, tzinfo=timezone.utc)),
        ("13:05", pa.time32("s"), time(13, 5)),
        ("", pa.binary(), b""),
        ("", pa.string(), ""),
    ],
)
def test_reads(text, kind, value):
    assert parse_text(pa.array([text, None]), kind).to_pylist() == [value, None]


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (pa.int64(), ["", " 5", "5 ", "0x1F", "1_0", "5.0", "--5", "+-5", "9223372036854775808", "٣"]),
        (pa.uint8(), ["-1", "256"]),
        (pa.float64(), ["", "1e400", "-1e400", "0x1p3", "1,5", " 1", "5%"]),
        (pa.float32(), ["1e39"]),
        (pa.decimal128(5, 2), ["", "1.234", "1000", "nan", "1e400", "1e-3"]),
        (pa.bool_(), ["", "yes", "2", "truee"]),
        (pa.date32(), ["", "2024-02-30", "31.01.2024", "2024-1-31", "0000-01-01", "2024-01-31x", "2024-01-31T25:00"]),
        (pa.timestamp("us"), ["", "2024-01-31T24:00:00", "2024-01-31T10:00:00+25:00", "0000-01-01T00:00:00"]),
        (pa.timestamp("s"), ["2024-01-31T10:00:00.5"]),
        (pa.timestamp("ns"), ["2500-01-01"]),
        (pa.timestamp("us", "Europe/Berlin"), ["2024-03-31T02:30:00", "2024-10-27T02:30:00", "x"]),
        (pa.binary(), ["A", "AA", "A===", "====", "AB==", "AA==AA==", "A A=", "AA-_", "=AAA"]),
        (pa.binary(3), ["AA=="]),
        (pa.time32("s"), ["", "13", "24:00", "13:00Z", "13:00:00.5"]),
        (pa.duration("s"), ["", "90", "PT1M", "PT0.5S", "PT9999999999999999999S"]),
        (pa.uuid(), ["", "00000000-0000-0000-0000-00000000000g", "00000000000000000000000000000000"]),
    ],
    ids=str,
)
def test_refuses(kind, texts):
    for text in texts:
        with pytest.raises(BadValue) as raised:
            parse_text(pa.array([None, text]), kind)
        assert raised.value.rows == (1,), text


def test_names_the_first_five_rows_of_the_slice_and_no_value():
    column = pa.array(["skipped", "1", None, *["secret"] * 9]).slice(1)

    with pytest.raises(BadValue) as raised:
        parse_text(column, pa.int64())

    assert raised.value.rows == (2, 3, 4, 5, 6)
    assert "secret" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__} {raised.value.__context__}"


def test_finds_one_bad_row_among_many():
    texts = ["1"] * 10_000
    texts[7_777] = "x"

    with pytest.raises(BadValue) as raised:
        parse_text(pa.array(texts), pa.float64())

    assert raised.value.rows == (7_777,)


@pytest.mark.parametrize("kind", [kind for _, kind in ROUND_TRIPS], ids=str)
def test_empty_and_all_null_columns_become_typed(kind):
    assert parse_text(pa.array([], pa.string()), kind).type == kind
    assert parse_text(pa.nulls(3, pa.string()), kind).null_count == 3


def test_bytes_come_out_of_slices_with_nulls():
    values = [None if row % 7 == 3 else bytes(range(row % 9)) for row in range(40)]
    column = pa.array([None if value is None else base64.b64encode(value).decode() for value in values])

    assert parse_text(column.slice(3, 20), pa.binary()).to_pylist() == values[3:23]


def test_a_nested_type_is_not_for_text():
    with pytest.raises(UnsupportedType, match="text cannot be read as"):
        parse_text(pa.array(["x"]), pa.list_(pa.int8()))
