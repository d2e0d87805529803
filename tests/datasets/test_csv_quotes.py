"""The bits say of each byte what a look at one byte after the other says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.datasets.csv_dialect import CsvDialect
from pydp_cli.datasets.csv_quotes import bits_of, count_bits, count_byte, last_bit, quoting

DATA = st.text('"""",,\n\ra', max_size=300).map(str.encode) | st.lists(
    st.sampled_from(['"a",', '"",', '"a""b",', '"\n,"\n', "a,", '""""\r\n']), max_size=80
).map(lambda pieces: "".join(pieces).encode())


def positions(bits) -> list[int]:
    return np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little")).tolist()


@given(DATA)
def test_quotes_are_sound_where_each_has_the_right_neighbour(data: bytes):
    inside, sound, line_ends = False, True, []
    for place, byte in enumerate(data):
        if byte == ord('"'):
            inside = not inside
            before, after = data[place - 1 : place] if place else b"\n", data[place + 1 : place + 2] or b"\n"
            sound &= (before in b'",\n') if inside else (after in b'",\r\n')
        elif byte == ord("\n") and not inside:
            line_ends.append(place)
    found = quoting(np.frombuffer(data, np.uint8), CsvDialect())
    assert (found.sound, found.closed, positions(found.line_ends)) == (sound, not inside, line_ends)
    assert count_bits(found.line_ends) == len(line_ends)
    assert last_bit(found.line_ends) == (line_ends[-1] if line_ends else -1)


@given(st.integers(0, 3), st.integers(-2, 2))
def test_data_longer_than_a_window_is_seen_whole(windows: int, more: int):
    data = np.zeros(max(0, (windows << 18) + more), np.uint8)
    data[::7] = 1
    assert positions(bits_of(data, 1)) == list(range(0, len(data), 7))
    assert count_byte(data, 1) == len(range(0, len(data), 7))
