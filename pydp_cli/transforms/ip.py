"""Cut IP addresses to their network."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.invalid import OnInvalid, over_distinct, settle
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN_V4 = rf"^{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}$"
_OCTETS = pa.array([str(octet) for octet in range(256)])
_PREFIX_OF_6TO4 = 16  # 2002:… carries a whole v4 address in the next 32 bits


@transform("ip", takes=TEXT, reversible=False, leaks="the network, by default /24 or /48", main_option="v4")
class Ip(TransformOptions):
    """Zero the end of an address: `client: ip` makes `203.0.113.0` of `203.0.113.77`.

    Of `2001:db8:1:2::3` it makes `2001:db8:1::`. Null stays null. A v4 address inside a v6 one (`::ffff:203.0.113.77`,
    6to4) is cut as v4, and a zone (`%eth0`) goes.
    """

    v4: Annotated[int, Field(ge=0, le=32, description="How many bits of a v4 address are kept.")] = 24
    v6: Annotated[int, Field(ge=0, le=128, description="How many bits of a v6 address are kept.")] = 48
    show_bits: Annotated[bool, Field(description="Whether the network's length is added: 203.0.113.0/24.")] = False
    on_invalid: OnInvalid = "redact"

    def leak(self) -> str:
        """Name the networks."""
        return f"the network (v4: /{self.v4}, v6: /{self.v6})"

    def makes_null(self) -> bool:
        """Say whether an invalid address becomes null."""
        return self.on_invalid == "null"

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Cut plain v4 addresses all at once, and each distinct other text in Python."""
        plain = pc.fill_null(pc.match_substring_regex(column, _PLAIN_V4), fill_value=False)
        if not pc.any(plain).as_py():
            treated = over_distinct(column, self._treat)
        else:
            others = pc.if_else(plain, pa.scalar(None, pa.string()), column)
            treated = pc.replace_with_mask(
                over_distinct(others, self._treat), plain, self._cut_plain(column.filter(plain))
            )
        return settle(column, treated, self.on_invalid, "an IP address")

    def _cut_plain(self, addresses: pa.StringArray) -> pa.StringArray:
        parts = pc.split_pattern(addresses, ".").flatten().cast(pa.uint8()).to_numpy().reshape(-1, 4)
        mask = np.frombuffer((0xFFFFFFFF >> (32 - self.v4) << (32 - self.v4)).to_bytes(4, "big"), np.uint8)
        cut = _OCTETS.take(pa.array((parts & mask).reshape(-1)))
        numbers = [cut.take(pa.array(np.arange(place, len(cut), 4))) for place in range(4)]
        network = pc.binary_join_element_wise(*numbers, ".")
        return pc.binary_join_element_wise(network, f"/{self.v4}", "") if self.show_bits else network

    def _treat(self, text: str) -> str | None:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return None
        kept = self.v4
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is not None:
                address = address.ipv4_mapped
            elif address.sixtofour is not None:
                kept = min(self.v6, _PREFIX_OF_6TO4 + self.v4)
            else:
                kept = self.v6
        hidden = address.max_prefixlen - kept
        network = type(address)(int(address) >> hidden << hidden)
        return f"{network}/{kept}" if self.show_bits else str(network)
