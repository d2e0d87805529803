"""Compressed streams come back whole, and a damaged one is an error that names the file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess

import pytest
import zstandard

from pydp_cli.datasets.compression import (
    EXTENSIONS,
    compression_of,
    open_compressed,
    open_decompressed,
    without_compression,
)
from pydp_cli.errors import InputError

KINDS = sorted(EXTENSIONS.values())
PLAIN = b"".join(b"%d,some text\n" % number for number in range(40_000))
COMPRESS = {"gzip": gzip.compress, "zstd": zstandard.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def read(data: bytes, kind: str) -> bytes:
    return open_decompressed(io.BytesIO(data), kind, "f.csv").read()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_reads_back(kind):
    inner = io.BytesIO()
    stream = open_compressed(inner, kind)
    for start in range(0, len(PLAIN), 70_001):
        stream.write(memoryview(PLAIN)[start : start + 70_001])
    stream.close()
    assert not inner.closed
    assert len(inner.getvalue()) < len(PLAIN) / 3
    assert read(inner.getvalue(), kind) == PLAIN


@pytest.mark.parametrize(("kind", "tool"), [("gzip", "gzip"), ("bzip2", "bzip2"), ("xz", "xz")])
def test_the_usual_tool_reads_what_is_written(kind, tool):
    inner = io.BytesIO()
    stream = open_compressed(inner, kind)
    stream.write(PLAIN)
    stream.close()
    try:
        done = subprocess.run([tool, "-dc"], input=inner.getvalue(), capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip(f"{tool} is not installed")
    assert done.stdout == PLAIN


@pytest.mark.parametrize("kind", KINDS)
def test_members_in_a_row_are_one_stream(kind):
    half = len(PLAIN) // 2
    compress = COMPRESS[kind]
    assert read(compress(PLAIN[:half]) + compress(b"") + compress(PLAIN[half:]), kind) == PLAIN


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [0.1, 0.5, 0.999])
def test_a_stream_that_was_cut_off_is_refused(kind, left):
    data = COMPRESS[kind](PLAIN)
    with pytest.raises(InputError) as caught:
        read(data[: int(len(data) * left)], kind)
    assert str(caught.value) == f"f.csv: the {kind} data ends too early"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_second_member_is_refused(kind):
    data = COMPRESS[kind](PLAIN)
    with pytest.raises(InputError, match="ends too early"):
        read(data + data[:-5], kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_stream_is_refused(kind):
    inner = io.BytesIO()
    stream = open_compressed(inner, kind)
    stream.write(PLAIN)
    stream.close()
    data = bytearray(inner.getvalue())
    for place in range(len(data) // 2, len(data) // 2 + 8):
        data[place] ^= 0x55
    with pytest.raises(InputError, match=r"^f.csv: (not valid .* data|the .* data ends too early)$"):
        read(bytes(data), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_compressed_is_refused(kind):
    with pytest.raises(InputError) as caught:
        read(b"a,b\n1,2\n" * 100, kind)
    assert str(caught.value) == f"f.csv: not valid {kind} data"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_gives_the_same_bytes(kind):
    def write() -> bytes:
        inner = io.BytesIO()
        stream = open_compressed(inner, kind)
        stream.write(PLAIN)
        stream.close()
        return inner.getvalue()

    assert write() == write()


def test_what_expands_a_lot_does_not_fill_the_memory():
    frame = zstandard.compress(bytes(1 << 28))
    stream = open_decompressed(io.BytesIO(frame), "zstd", "f.csv")
    import tracemalloc

    tracemalloc.start()
    try:
        for _ in range(200):
            assert not any(stream.read(1 << 18))
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


def test_the_extension_tells_the_compression():
    assert compression_of("a/b.csv.GZ") == "gzip"
    assert compression_of("b.csv") is None
    assert without_compression("a/b.csv.zst") == "a/b.csv"
    assert without_compression("b.csv") == "b.csv"


def test_without_compression_streams_stay_as_they_are():
    inner = io.BytesIO()
    stream = open_compressed(inner, None)
    stream.write(b"x")
    stream.close()
    assert inner.getvalue() == b"x"
    assert open_decompressed(inner, None, "f.csv") is inner
