"""Shares of a keyring: k of n people open it, a typo is noticed, a share that is not genuine is named."""

import re
from itertools import combinations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pydp_cli.errors import KeyringError, UsageError, WrongKey
from pydp_cli.keys import changes
from pydp_cli.keys.keyring import create_keyring, open_keyring
from pydp_cli.keys.protectors import protect
from pydp_cli.keys.secret import Secret
from pydp_cli.keys.shares import Share, parse_share, split_ring
from pydp_cli.keys.unlock import Unlock

SHARES = st.builds(
    Share,
    st.binary(min_size=4, max_size=4),
    st.integers(2, 255),
    st.integers(1, 255),
    st.binary(min_size=32, max_size=32).map(Secret),
)


def with_shares(*texts):
    return Unlock(shares=lambda: texts)


@given(SHARES)
def test_a_share_is_read_as_it_was_written(share):
    assert parse_share(share.to_text()) == share


@given(SHARES)
def test_a_share_may_be_typed_in_any_case_and_grouping(share):
    typed = share.to_text().lower().replace("pydp-share", " Pydp  Share:").replace(" ", "-\n")

    assert parse_share(typed.replace("o", "0")) == share


@given(SHARES, st.integers(0, 79), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_wrong_letter_is_noticed(share, position, letter):
    letters = share.to_text().removeprefix("PYDP-SHARE").replace(" ", "")
    typed = letters[:position] + letter + letters[position + 1 :]

    if typed != letters:
        with pytest.raises(KeyringError, match="mistyped") as raised:
            parse_share("PYDP-SHARE " + typed)
        assert not re.search("[A-Z2-7]{8}", str(raised.value))


@pytest.mark.parametrize("text", ["", "PYDP-SHARE", "PYDP-SHARE AAAA", "hello", "PYDP-SHARE " + "ü" * 80, "\0" * 90])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(KeyringError):
        parse_share(text)


def test_a_share_does_not_show_itself(place):
    _, texts = split_ring(place.open(), threshold=2, shares=2)
    share = parse_share(texts[0])

    assert bytes(share.part).hex() not in repr(share)
    assert repr(bytes(share.part))[2:-1] not in repr(share)


def test_any_k_people_open_the_ring_and_fewer_do_not(place):
    ring, texts = split_ring(place.open(), threshold=2, shares=4, label="board")

    for chosen in combinations(texts, 2):
        assert open_keyring(place.path, with_shares(*chosen)).root == ring.root
    assert open_keyring(place.path, with_shares(*texts)).root == ring.root
    for too_few in ((texts[0],), (texts[0], texts[0])):
        with pytest.raises(WrongKey, match="1 different shares were given, and it takes 2"):
            open_keyring(place.path, with_shares(*too_few))
    with pytest.raises(WrongKey):
        open_keyring(place.path, with_shares())


def test_a_share_that_is_not_genuine_is_named(place):
    _, texts = split_ring(place.open(), threshold=2, shares=3)
    good = parse_share(texts[1])
    forged = Share(good.slot_id, 2, 2, Secret(bytes(32))).to_text()
    renumbered = Share(good.slot_id, 2, 3, good.part).to_text()
    invented = Share(good.slot_id, 2, 9, good.part).to_text()

    for wrong, number in ((forged, 2), (renumbered, 3), (invented, 9)):
        with pytest.raises(WrongKey, match=f"share {number} is not"):
            open_keyring(place.path, with_shares(texts[0], wrong))


def test_shares_of_another_ring_are_told_apart(place, tmp_path):
    split_ring(place.open(), threshold=2, shares=2)
    other = create_keyring(tmp_path / "other", protect("key-file", place.unlock))
    _, theirs = split_ring(other, threshold=2, shares=2)

    with pytest.raises(WrongKey, match="of another keyring"):
        open_keyring(place.path, with_shares(*theirs))


def test_shares_are_withdrawn_by_removing_their_protector(place):
    ring, first = split_ring(place.open(), threshold=2, shares=2)
    ring, second = split_ring(ring, threshold=2, shares=3)
    changes.remove_protector(ring, ring.slots[1]["id"])

    with pytest.raises(WrongKey, match="withdrawn"):
        open_keyring(place.path, with_shares(*first))
    assert open_keyring(place.path, with_shares(*first, *second[1:]))


def test_shares_follow_to_a_new_root_when_they_are_there(place):
    ring, texts = split_ring(place.open(), threshold=2, shares=2)

    with pytest.raises(UsageError, match="cannot follow"):
        changes.new_root(ring, [place.unlock])
    changes.new_root(ring, [place.unlock, with_shares(*texts)])

    assert open_keyring(place.path, with_shares(*texts)).root == place.open().root


def test_the_ring_itself_holds_no_share(place):
    _, texts = split_ring(place.open(), threshold=2, shares=2)
    from base64 import b64encode

    raw = place.path.read_bytes()

    assert not any(b64encode(parse_share(text).part) in raw for text in texts)
    with pytest.raises(UsageError, match="splitting"):
        protect("shares", Unlock())
