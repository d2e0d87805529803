import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydp_cli.transforms.ip import Ip
from tests.transforms.columns import text_columns, treat, treat_all


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_v4_address_is_cut_to_its_network(address, bits):
    [treated] = treat_all(Ip(v4=bits, show_bits=True), str(address))

    assert treated == str(ipaddress.ip_network((address, bits), strict=False))


@given(st.ip_addresses(v=6), st.integers(0, 128))
def test_a_v6_address_is_cut_to_its_network(address, bits):
    if address.ipv4_mapped is None and address.sixtofour is None:
        for text in (str(address), address.exploded, str(address).upper()):
            [treated] = treat_all(Ip(v6=bits, show_bits=True), text)
            assert treated == str(ipaddress.ip_network((address, bits), strict=False))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("2002:cb00:714d::1", "2002:cb00:7100::"),
        ("fe80::1%eth0", "fe80::"),
        ("01.2.3.4", "[redacted]"),
        ("1.2.3", "[redacted]"),
        ("1.2.3.4/24", "[redacted]"),
        ("", "[redacted]"),
        (None, None),
    ],
)
def test_examples(address, expected):
    assert treat_all(Ip(), address) == [expected]


@given(text_columns)
def test_other_text_is_never_shown(column):
    for before, after in zip(column.to_pylist(), treat(Ip(), column).to_pylist(), strict=True):
        assert (before is None) == (after is None)
        if before is not None and after != "[redacted]":
            ipaddress.ip_address(after)


def test_says_what_is_kept():
    assert Ip(v4=16).leak() == "the network (v4: /16, v6: /48)"
    assert Ip(on_invalid="null").makes_null()
