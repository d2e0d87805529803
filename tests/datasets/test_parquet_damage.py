import io
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydp_cli.datasets.parquet_read import open_parquet
from pydp_cli.errors import InputError, Refused

TABLE = pa.table(
    {
        "id": list(range(500)),
        "text": [f"secret-{number}" for number in range(500)],
        "few": pa.array(["a", "b", None, "c", "d"] * 100),
        "list": [[number, None] for number in range(500)],
    }
)


def parquet(**options):
    out = io.BytesIO()
    pq.write_table(TABLE, out, row_group_size=200, **options)
    return out.getvalue()


CHECKED = {version: parquet(write_page_checksum=True, data_page_version=version) for version in ("1.0", "2.0")}
UNCHECKED = parquet(compression="zstd")


def read(data):
    batches = [b for chunk in open_parquet(io.BytesIO(data), "in.parquet").chunks() for b in chunk.read()]
    return pa.Table.from_batches(batches)


def page_ranges(data):
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            start = min(column.dictionary_page_offset or column.data_page_offset, column.data_page_offset)
            yield group, start, start + column.total_compressed_size


@given(st.sampled_from(["1.0", "2.0"]), st.data())
@settings(max_examples=200, deadline=None)
def test_a_flipped_byte_in_a_page_with_a_checksum_never_passes(version, data):
    whole = CHECKED[version]
    _, start, end = data.draw(st.sampled_from(list(page_ranges(whole))))
    at = data.draw(st.integers(start, end - 1))
    damaged = bytearray(whole)
    damaged[at] ^= data.draw(st.integers(1, 255))
    try:
        table = read(bytes(damaged))
    except (InputError, Refused) as error:
        assert "secret" not in str(error)  # noqa: PT017
    else:
        # A header field that nobody needs (a statistic, a count of nulls) may differ; a value may not.
        assert table.equals(read(whole))


def test_a_wrong_checksum_is_refused_with_its_row_group():
    whole = CHECKED["1.0"]
    group, _, end = next(item for item in page_ranges(whole) if item[0] == 1)
    damaged = bytearray(whole)
    damaged[end - 3] ^= 1
    with pytest.raises(Refused, match="checksum") as caught:
        read(bytes(damaged))
    assert caught.value.place == "in.parquet, row group 2"
    assert caught.value.exit_code == 3
    assert group == 1


@given(st.integers(0, len(UNCHECKED) - 1))
@settings(max_examples=200, deadline=None)
def test_a_file_that_is_cut_off_is_an_input_error(length):
    with pytest.raises(InputError) as caught:
        read(UNCHECKED[:length])
    assert caught.value.exit_code == 2


@given(st.lists(st.tuples(st.integers(0, len(UNCHECKED) - 1), st.integers(1, 255)), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_flipped_bytes_anywhere_end_in_a_clear_error_or_a_readable_table(flips):
    damaged = bytearray(UNCHECKED)
    for at, mask in flips:
        damaged[at] ^= mask
    try:
        read(bytes(damaged))
    except (InputError, Refused) as error:
        assert "secret" not in str(error)  # noqa: PT017
        assert "in.parquet" in str(error)  # noqa: PT017


def test_damage_never_kills_the_process(tmp_path):
    """Many damaged files in a process of its own, so that a crash inside the library would be seen as one."""
    (tmp_path / "whole.parquet").write_bytes(parquet())
    script = """
import io, random, sys
from pydp_cli.datasets.parquet_read import open_parquet
from pydp_cli.errors import PydpError
whole = open(sys.argv[1], "rb").read()
chance = random.Random(7)
footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
flips = [(at, mask) for at in range(footer, len(whole)) for mask in (1, 64)]
for at, mask in flips:
    damaged = bytearray(whole)
    damaged[at] ^= mask
    try:
        open_parquet(io.BytesIO(bytes(damaged)), "x")
    except PydpError:
        pass
for _ in range(400):
    damaged = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 20])):
        # The footer is where lengths and offsets are.
        at = chance.randrange(len(whole) // 2, len(whole)) if chance.random() < 0.7 else chance.randrange(len(whole))
        damaged[at] = chance.randrange(256)
    try:
        for chunk in open_parquet(io.BytesIO(bytes(damaged)), "x").chunks():
            list(chunk.read())
    except PydpError:
        pass
print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "whole.parquet")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "alive\n", done.stderr[-2000:]


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"PAR1PAR1", b"a,b\n1,2\n", b"\0" * 100, b"PAR1" + b"\0" * 50 + b"PAR1"]
)
def test_what_is_no_parquet_file_is_an_input_error(data):
    with pytest.raises(InputError):
        open_parquet(io.BytesIO(data), "in.parquet")


def test_an_encrypted_footer_is_named_as_such():
    with pytest.raises(InputError, match="encrypted"):
        open_parquet(io.BytesIO(b"PARE" + b"\0" * 40 + b"PARE"), "in.parquet")


def test_invalid_text_in_a_string_column_is_an_input_error():
    out = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([b"\xff\xfe", b"ok"])}), out, store_schema=False)
    bad = pa.Array.from_buffers(pa.string(), 1, [None, *pa.array([b"\xff"]).buffers()[1:]])
    out = io.BytesIO()
    pq.write_table(pa.table({"a": bad}), out)
    with pytest.raises(InputError, match="row group 1"):
        read(out.getvalue())


def test_two_columns_of_one_name_are_an_input_error():
    out = io.BytesIO()
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), out)
    with pytest.raises(InputError, match='"a"'):
        open_parquet(io.BytesIO(out.getvalue()), "in.parquet")


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError):
        open_parquet(str(tmp_path / "none.parquet"), "none.parquet")
