import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.errors import UnsupportedType
from pydp_cli.transforms.canonical import canonical_text, has_canonical_text
from pydp_cli.transforms.parse import parse_text

UTC = timezone.utc
MOMENT = datetime(2024, 2, 29, 13, 5, 0, 250000)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("007 ü", pa.string(), "007 ü"),
        ("a", pa.large_string(), "a"),
        ("a", pa.dictionary(pa.int8(), pa.string()), "a"),
        (5, pa.dictionary(pa.int8(), pa.int64()), "5"),
        (7, pa.int8(), "7"),
        (-7, pa.int64(), "-7"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (7.0, pa.float64(), "7"),
        (123456789012345.0, pa.float64(), "123456789012345"),
        (9007199254740991.0, pa.float64(), "9007199254740991"),
        (9007199254740992.0, pa.float64(), "9.007199254740992e+15"),
        (12345678901.5, pa.float64(), "1.23456789015e+10"),
        (0.1, pa.float64(), "0.1"),
        (0.1, pa.float32(), "0.1"),
        (np.float16(0.5), pa.float16(), "0.5"),
        (1e20, pa.float64(), "1e+20"),
        (1e-7, pa.float64(), "1e-7"),
        (-0.0, pa.float64(), "-0"),
        (float("nan"), pa.float64(), "nan"),
        (float("-inf"), pa.float64(), "-inf"),
        (Decimal("3.10"), pa.decimal128(5, 2), "3.10"),
        (Decimal("3.10"), pa.decimal32(5, 2), "3.10"),
        (Decimal("3.10"), pa.decimal256(50, 2), "3.10"),
        (Decimal("0.0000000001"), pa.decimal128(20, 10), "0.0000000001"),
        (Decimal(1200), pa.decimal128(5, -2), "1200"),
        (True, pa.bool_(), "true"),
        (date(2024, 2, 29), pa.date32(), "2024-02-29"),
        (date(2024, 2, 29), pa.date64(), "2024-02-29"),
        (MOMENT, pa.timestamp("us"), "2024-02-29T13:05:00.25"),
        (MOMENT, pa.timestamp("ns"), "2024-02-29T13:05:00.25"),
        (MOMENT.replace(microsecond=0), pa.timestamp("s"), "2024-02-29T13:05:00"),
        (MOMENT.replace(microsecond=0), pa.timestamp("ms"), "2024-02-29T13:05:00"),
        (MOMENT.replace(tzinfo=UTC), pa.timestamp("us", "Asia/Tokyo"), "2024-02-29T13:05:00.25Z"),
        (time(13, 5), pa.time32("s"), "13:05:00"),
        (time(13, 5, 0, 500000), pa.time64("us"), "13:05:00.5"),
        (timedelta(seconds=90), pa.duration("us"), "PT90S"),
        (timedelta(seconds=-0.25), pa.duration("ns"), "PT-0.25S"),
        (timedelta(seconds=90), pa.duration("s"), "PT90S"),
        (b"\xff\x00", pa.binary(), "/wA="),
        (b"abc", pa.binary(3), "YWJj"),
        (b"a", pa.large_binary(), "YQ=="),
        (uuid.UUID(int=10).bytes, pa.uuid(), "00000000-0000-0000-0000-00000000000a"),
    ],
)
def test_writes_each_type_in_its_one_way(value, kind, text):
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    column = pa.array([None, value, None, value], storage)
    if storage is not kind:
        column = pa.ExtensionArray.from_storage(kind, column)
    written = canonical_text(column[1:])
    written.validate(full=True)
    assert written.type == pa.string()
    assert written.to_pylist() == [text, None, text]
    assert canonical_text(column[:0]).to_pylist() == []
    assert has_canonical_text(kind)


def test_a_null_column_stays_null():
    assert canonical_text(pa.nulls(2)).to_pylist() == [None, None]


@pytest.mark.parametrize("kind", [pa.list_(pa.int8()), pa.struct([("a", pa.int8())]), pa.month_day_nano_interval()])
def test_refuses_what_has_no_canonical_text(kind):
    assert not has_canonical_text(kind)
    with pytest.raises(UnsupportedType):
        canonical_text(pa.nulls(1, kind))


KINDS = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.float32(): st.floats(width=32, allow_nan=False, allow_infinity=False),
    pa.decimal128(38, 10): st.decimals(-(10**20), 10**20, places=10),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "Europe/Berlin"): st.datetimes(timezones=st.just(UTC)),
    pa.large_binary(): st.binary(max_size=10),
}


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(st.data())
def test_is_read_back_as_what_it_was(kind, data):
    column = pa.array(data.draw(st.lists(st.none() | KINDS[kind], max_size=20)), kind)
    assert parse_text(canonical_text(column), kind) == column
