"""The whole-file envelope: opens with the right key, name and context, and with nothing else."""

import io
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.crypto import container
from pydp_cli.crypto.container import (
    HEADER_BYTES,
    decrypt_stream,
    encrypt_stream,
    inspect_envelope,
    is_envelope,
    rewrap,
)
from pydp_cli.crypto.container_header import COPY_BYTES, Stanza, parse_header
from pydp_cli.errors import Refused, Tampered, UsageError, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.file_keys import (
    recipient_id,
    rewrap_envelope,
    unwrap_with,
    unwrap_with_keyring,
    wrap_to,
    wrap_with_keyring,
)
from pydp_cli.keys.identities import new_identity, read_identity_file
from pydp_cli.keys.keyring import open_keyring
from pydp_cli.keys.unlock import Unlock
from tests.keys.rings import make_place

GOLDEN = Path(__file__).parent / "golden"
RING_GOLDEN = Path(__file__).parents[1] / "keys" / "golden"
PLAIN = bytes(range(256)) * 200  # more than three chunks


def wrap(file_key, file_id):
    return Stanza(1, b"test", file_key[::-1])


def unwrap(stanza, file_id):
    return stanza.body[::-1] if stanza.kind == 1 else None


def sealed(plain=PLAIN, wraps=(wrap,), **named):
    sink = io.BytesIO()
    encrypt_stream(io.BytesIO(plain), sink, wraps, created=1_700_000_000, **named)
    return sink.getvalue()


def opened(raw, unwraps=(unwrap,), **named):
    sink = io.BytesIO()
    decrypt_stream(io.BytesIO(raw), sink, unwraps, **named)
    return sink.getvalue()


class Dribble(io.BytesIO):
    """Gives a few bytes at a time, as a pipe does."""

    def readinto(self, buffer, /):
        return super().readinto(memoryview(buffer)[:777])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("ring"))


@given(st.binary(max_size=40_000), st.binary(max_size=255), st.none() | st.binary(max_size=50))
def test_comes_back_as_it_was(plain, name, context):
    raw = sealed(plain, name=name, context=context)

    assert opened(raw, name=name, context=context) == plain


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 32_768, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sizes_around_the_blocks_come_back(size):
    plain = os.urandom(size)

    raw = sealed(plain)

    assert opened(raw) == plain
    sink = io.BytesIO()
    decrypt_stream(Dribble(raw), sink, [unwrap])
    assert sink.getvalue() == plain


def test_the_same_file_is_never_encrypted_alike():
    assert sealed()[HEADER_BYTES:] != sealed()[HEADER_BYTES:]


def test_every_byte_of_one_header_copy_may_be_lost_but_not_of_both():
    raw = sealed(b"plain", name=b"a.txt", context=b"c")

    for position in range(COPY_BYTES):
        for places in ([0], [1], [0, 1]):
            altered = bytearray(raw)
            for copy in places:
                altered[copy * COPY_BYTES + position] ^= 1 << position % 8
            if len(places) == 1:
                assert opened(altered, name=b"a.txt", context=b"c") == b"plain"
            else:
                with pytest.raises(Refused):
                    opened(altered, name=b"a.txt", context=b"c")


def test_every_altered_byte_of_the_body_is_refused():
    raw = sealed()

    for position in [*range(HEADER_BYTES, HEADER_BYTES + 80), *range(HEADER_BYTES + 80, len(raw), 601), len(raw) - 1]:
        altered = bytearray(raw)
        altered[position] ^= 1 << position % 8
        with pytest.raises(Tampered):
            opened(altered)


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 16_400, 16_401])
def test_a_truncated_file_is_refused(cut):
    with pytest.raises(Tampered):
        opened(sealed()[:-cut])


@pytest.mark.parametrize("length", [0, 7, 8, 4095, 4096, 8191, 8192, 8192 + 55, 8192 + 71])
def test_a_file_cut_in_its_head_is_refused(length):
    with pytest.raises(Refused):
        opened(sealed(b"plain")[:length])


@pytest.mark.parametrize("more", [b"\0", b"\0" * 16, b"\0" * 16_400])
def test_an_extended_file_is_refused(more):
    with pytest.raises(Tampered):
        opened(sealed() + more)


def test_chunks_cannot_be_swapped_repeated_or_dropped():
    raw = sealed(os.urandom(16_384 * 4))
    head, body = raw[: HEADER_BYTES + 56], raw[HEADER_BYTES + 56 :]
    first, second, third, rest = body[:16_400], body[16_400:32_800], body[32_800:49_200], body[49_200:]

    for chunks in ([second, first, third], [first, first, third], [first, third], [first, second, second, third]):
        with pytest.raises(Tampered):
            opened(head + b"".join(chunks) + rest)


def test_the_body_of_another_file_is_refused():
    one, other = sealed(), sealed()

    with pytest.raises(Tampered):
        opened(one[:HEADER_BYTES] + other[HEADER_BYTES:])


def test_the_body_belongs_to_its_header_even_under_the_same_file_key(monkeypatch):
    monkeypatch.setattr(container, "token_bytes", lambda size: b"k" * size)
    one, other = sealed(name=b"one"), sealed(name=b"other")

    with pytest.raises(Tampered):
        opened(one[:HEADER_BYTES] + other[HEADER_BYTES:])


def test_nothing_unauthenticated_is_released():
    raw = bytearray(sealed(bytes(16_384 * 4)))
    raw[HEADER_BYTES + 56 + 16_400 * 2] ^= 1
    sink = io.BytesIO()

    with pytest.raises(Tampered):
        decrypt_stream(Dribble(raw), sink, [unwrap])

    assert sink.getvalue() == bytes(16_384 * 2)


def test_another_name_is_refused_and_the_original_is_told():
    raw = sealed(name=b"a.csv")

    with pytest.raises(Refused, match=r"a\.csv") as caught:
        opened(raw, name=b"b.csv")

    assert "--name" in caught.value.hint
    assert opened(raw, name=b"a.csv") == opened(raw, name=None) == PLAIN
    assert opened(sealed(), name=b"anything") == PLAIN


@pytest.mark.parametrize(("made", "said"), [(b"a", b"b"), (b"a", None), (None, b"a"), (b"", None), (None, b"")])
def test_another_context_is_refused(made, said):
    with pytest.raises(Refused):
        opened(sealed(context=made), context=said)


def test_too_many_recipients_are_refused_and_40_of_x25519_are_not():
    recipients = [new_identity("x25519").recipient() for _ in range(50)]

    assert is_envelope(sealed(wraps=[wrap_to(one) for one in recipients[:40]]))
    with pytest.raises(UsageError, match="room"):
        sealed(wraps=[wrap_to(one) for one in recipients])
    hybrid = [wrap_to(new_identity("mlkem768x25519").recipient()) for _ in range(4)]
    assert is_envelope(sealed(wraps=hybrid[:3]))
    with pytest.raises(UsageError, match="room"):
        sealed(wraps=hybrid)


@given(st.binary(min_size=COPY_BYTES - 9, max_size=COPY_BYTES - 9), st.integers(0, 4000))
def test_any_bytes_are_parsed_or_not_but_never_end_in_an_error(raw, zeros):
    parse_header(b"PYDPF1\r\n\x01" + raw[zeros:] + bytes(zeros))


def test_a_keyring_a_recipient_and_a_hybrid_recipient_each_open_a_file(place):
    ring = place.open()
    curve, hybrid = new_identity("x25519"), new_identity("mlkem768x25519")
    raw = sealed(wraps=[wrap_with_keyring(ring), wrap_to(curve.recipient()), wrap_to(hybrid.recipient())])

    for one in (unwrap_with_keyring(ring), unwrap_with(curve), unwrap_with(hybrid)):
        assert opened(raw, [one]) == PLAIN
    with pytest.raises(WrongKey):
        opened(raw, [unwrap_with(new_identity("x25519"))])


def test_a_stanza_of_another_file_is_refused(place):
    ring = place.open()
    identity = new_identity("x25519")
    one, other = sealed(wraps=[wrap_with_keyring(ring)]), sealed(wraps=[wrap_with_keyring(ring)])
    stanza = parse_header(other[:COPY_BYTES]).stanzas[0]

    with pytest.raises(Tampered):
        unwrap_with_keyring(ring)(stanza, parse_header(one[:COPY_BYTES]).file_id)
    sealed_to = wrap_to(identity.recipient())(b"k" * 32, b"a" * 16)
    with pytest.raises(WrongKey):
        unwrap_with(identity)(sealed_to, b"b" * 16)


@pytest.fixture
def envelope(place, tmp_path):
    path = tmp_path / "a.pydp"
    path.write_bytes(sealed(wraps=[wrap_with_keyring(place.open())], name=b"a"))
    return path


@pytest.fixture
def rings(tmp_path):
    """A ring before and after its file key was rotated."""
    place = make_place(tmp_path)
    old = place.open()
    return old, changes.new_version(old, "file")


def made_under(ring, path, *others):
    path.write_bytes(sealed(wraps=[wrap_with_keyring(ring), *others], name=b"a"))
    return path.read_bytes()


def test_a_rewrap_changes_the_header_only(rings, tmp_path):
    old, new = rings
    path = tmp_path / "a.pydp"
    before = made_under(old, path)

    assert rewrap_envelope(path, new)

    after = path.read_bytes()
    assert after[HEADER_BYTES:] == before[HEADER_BYTES:]
    assert opened(after, [unwrap_with_keyring(new)], name=b"a") == PLAIN
    assert [[one.key_id for one in copy.stanzas] for copy in inspect_envelope(path)] == [
        [new.primary("file").key_id]
    ] * 2
    assert [copy.generation for copy in inspect_envelope(path)] == [2, 2]


def test_the_old_key_opens_nothing_after_a_rewrap(rings, tmp_path):
    old, new = rings
    path = tmp_path / "a.pydp"
    made_under(old, path)
    rewrap_envelope(path, new)
    destroyed = changes.disable(new, old.primary("file").key_id)

    assert opened(path.read_bytes(), [unwrap_with_keyring(destroyed)]) == PLAIN
    with pytest.raises(WrongKey):
        opened(path.read_bytes(), [unwrap_with_keyring(old)])


def test_a_rewrap_of_what_is_up_to_date_writes_nothing(rings, tmp_path):
    _, new = rings
    path = tmp_path / "a.pydp"
    before = made_under(new, path)

    assert not rewrap_envelope(path, new)

    assert path.read_bytes() == before


def test_a_rewrap_repairs_a_damaged_copy(rings, tmp_path):
    _, new = rings
    path = tmp_path / "a.pydp"
    raw = bytearray(made_under(new, path))
    raw[100] ^= 1
    path.write_bytes(raw)

    assert rewrap_envelope(path, new)

    after = path.read_bytes()
    assert after[:COPY_BYTES] == after[COPY_BYTES:HEADER_BYTES]


def test_recipients_stay_or_are_replaced(rings, tmp_path):
    old, new = rings
    path = tmp_path / "a.pydp"
    first, second = new_identity("x25519"), new_identity("mlkem768x25519")
    made_under(old, path, wrap_to(first.recipient()))

    rewrap_envelope(path, new)
    assert opened(path.read_bytes(), [unwrap_with(first)]) == PLAIN

    rewrap_envelope(path, new, recipients=[second.recipient()])
    assert opened(path.read_bytes(), [unwrap_with(second)]) == PLAIN
    with pytest.raises(WrongKey):
        opened(path.read_bytes(), [unwrap_with(first)])
    assert recipient_id(second.recipient()) in {one.key_id for one in inspect_envelope(path)[0].stanzas}


@pytest.mark.parametrize("call", range(2))
@pytest.mark.parametrize("torn", [0, 1, 8, 100, 4000, 4095])
def test_a_rewrap_that_is_killed_while_it_writes_leaves_a_file_that_opens(rings, tmp_path, monkeypatch, call, torn):
    old, new = rings
    path = tmp_path / "a.pydp"
    made_under(old, path)
    written, pwrite = [], os.pwrite

    def killed(handle, data, place):
        written.append(place)
        if len(written) > call:
            pwrite(handle, data[:torn], place)
            raise KeyboardInterrupt
        return pwrite(handle, data, place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", killed)
        with pytest.raises(KeyboardInterrupt):
            rewrap_envelope(path, new)

    assert opened(path.read_bytes(), [unwrap_with_keyring(new)], name=b"a") == PLAIN
    assert rewrap_envelope(path, new)
    assert opened(path.read_bytes(), [unwrap_with_keyring(new)], name=b"a") == PLAIN
    copies = inspect_envelope(path)
    assert copies[0] == copies[1]


@pytest.mark.parametrize("damaged", [0, 1])
def test_the_only_sound_copy_is_touched_last(rings, tmp_path, monkeypatch, damaged):
    old, new = rings
    path = tmp_path / "a.pydp"
    raw = bytearray(made_under(old, path))
    raw[damaged * COPY_BYTES + 100] ^= 1
    path.write_bytes(raw)

    pwrite = os.pwrite

    def killed(handle, _, place):
        pwrite(handle, bytes(9), place)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", killed)
        with pytest.raises(KeyboardInterrupt):
            rewrap_envelope(path, new)

    assert opened(path.read_bytes(), [unwrap_with_keyring(new)]) == PLAIN


def test_the_newest_copy_counts(rings, tmp_path):
    old, new = rings
    path = tmp_path / "a.pydp"
    before = made_under(old, path)
    rewrap_envelope(path, new)
    after = path.read_bytes()

    for raw in (before[:COPY_BYTES] + after[COPY_BYTES:], after[:COPY_BYTES] + before[COPY_BYTES:]):
        found = decrypt_stream(io.BytesIO(raw), io.BytesIO(), [unwrap_with_keyring(new)])
        assert found.header.generation == 2
        assert len(found.sound) == 1


def test_a_rewrap_writes_one_copy_durably_before_it_touches_the_other(rings, tmp_path, monkeypatch):
    old, new = rings
    path = tmp_path / "a.pydp"
    made_under(old, path)
    calls = []
    for name in ("pwrite", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, name=name, real=real: (calls.append(name), real(*given))[1])

    rewrap_envelope(path, new)

    assert calls == ["pwrite", "fdatasync", "pwrite", "fdatasync"]


def test_a_rewrap_with_nothing_that_opens_is_refused(envelope):
    before = envelope.read_bytes()

    with pytest.raises(Refused) as caught:
        rewrap(envelope, [unwrap], [wrap])

    assert caught.value.place == str(envelope)
    assert envelope.read_bytes() == before


@pytest.fixture
def golden(tmp_path):
    """The golden keyring and identities with the permissions that git does not keep."""
    folder = tmp_path / "golden"
    shutil.copytree(RING_GOLDEN, folder)
    for path in folder.iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


@pytest.mark.parametrize("way", ["keyring", "x25519", "mlkem768x25519"])
def test_envelopes_of_earlier_versions_open_for_ever(golden, way):
    if way == "keyring":
        one = unwrap_with_keyring(open_keyring(golden / "plain-1.keyring", Unlock(key_file=golden / "golden-1.key")))
    else:
        one = unwrap_with(read_identity_file(golden / f"{way}-1.identity"))

    for name in ("envelope-1.bin.pydp", "rewrapped-1.bin.pydp"):
        raw = (GOLDEN / name).read_bytes()
        assert opened(raw, [one], name=b"envelope-1.bin", context=b"golden") == PLAIN[:20_000]
