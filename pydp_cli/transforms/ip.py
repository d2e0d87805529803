"""Cut IP addresses to their network."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from pydp_cli.transforms.invalid import OnInvalid, over_distinct, settle
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

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
        """Treat each distinct address once."""
        return settle(column, over_distinct(column, self._treat), self.on_invalid, "an IP address")

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
