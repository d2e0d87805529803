"""Shorten e-mail addresses for reading: the first letter, and a domain or its ending."""

from __future__ import annotations

from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pydp_cli.transforms.pseudonym_formats import mail_domains
from pydp_cli.transforms.registry import TransformOptions, transform
from pydp_cli.transforms.types import TEXT

_HIDDEN = "***"


@transform("email", takes=TEXT, reversible=False, leaks="the parts that are kept", main_option="local")
class Email(TransformOptions):
    """Shorten an address: `ada@example.com` becomes `a***@example.com`.

    The three stars do not tell how long the hidden part is. A local part of one character is hidden whole, and so is a
    value without `@`. Null stays null. A domain that one person uses tells who it is: keep only its ending with
    `domain: tld`. For addresses that are alike in all files, use `pseudonym` with `format: email`.
    """

    local: Annotated[
        Literal["first_letter", "redact", "keep"], Field(description="What is kept of the part before the last `@`.")
    ] = "first_letter"
    domain: Annotated[
        Literal["keep", "redact", "tld"],
        Field(description="What is kept of the part behind it: all, nothing, or its ending."),
    ] = "keep"

    def leak(self) -> str:
        """Name the parts that are kept."""
        local = {"first_letter": "the first letter", "redact": "", "keep": "the local part"}[self.local]
        domain = {"keep": "the mail domain", "redact": "", "tld": "the domain's ending"}[self.domain]
        return " and ".join(filter(None, [local, domain])) or "which values are missing"

    def apply(self, column: pa.StringArray) -> pa.StringArray:
        """Cut at the last `@` and hide what is not kept."""
        domain = mail_domains(column)
        if self.local == "keep":
            local = pc.replace_substring_regex(column, r"@[^@]*$", "")
        elif self.local == "first_letter":
            is_longer = pc.greater(pc.utf8_length(column), pc.add(pc.utf8_length(domain), 2))
            first = pc.utf8_slice_codeunits(column, 0, 1)
            local = pc.binary_join_element_wise(pc.if_else(is_longer, first, ""), _HIDDEN, "")
        else:
            local = _HIDDEN
        if self.domain == "tld":
            domain = pc.if_else(
                pc.match_substring(domain, "."), pc.replace_substring_regex(domain, r"^.*\.", f"{_HIDDEN}."), _HIDDEN
            )
        elif self.domain == "redact":
            domain = pa.scalar(_HIDDEN)
        joined = pc.binary_join_element_wise(local, domain, "@")
        return pc.if_else(pc.match_substring(column, "@"), joined, pc.if_else(pc.is_valid(column), _HIDDEN, None))
