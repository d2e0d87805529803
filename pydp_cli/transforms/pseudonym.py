"""Replace a value by a keyed pseudonym that is the same wherever the domain is the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from pydp_cli.crypto import cmac
from pydp_cli.transforms import pseudonym_formats as formats
from pydp_cli.transforms.canonical import CANONICAL, canonical_text
from pydp_cli.transforms.fake_values import FAKE_FORMATS, Locale, fake_values
from pydp_cli.transforms.normalize import is_rule, normalize, rule_names
from pydp_cli.transforms.registry import Binding, Rows, TransformOptions, transform

Format = Literal["id", "uuid", "integer", "email", "name", "first_name", "last_name", "city", "company", "street"]
_ID_BITS = 80  # among 10^9 people two share one with a probability of 4e-7
_INTEGER_BITS = 63
_NAME = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$"


@transform(
    "pseudonym",
    takes=CANONICAL,
    reversible=False,
    leaks="which values are equal, and so how often each occurs",
    main_option="domain",
    keyed=True,
)
class Pseudonym(TransformOptions):
    """Replace each value by a pseudonym, made with a key of the keyring (AES-CMAC), that nobody can make without it.

    Equal values have equal pseudonyms wherever the `domain` is equal: across columns, files, formats and runs. Between
    domains, and between releases, pseudonyms cannot be linked. What counts is a value's canonical text: the number 7
    and the text `7` are equal, `7` and `007` are not. The normalisation rules of the identity are applied first, for
    comparing only. Null stays null; the empty string is a value like any other.

    `format: id` writes 16 characters (80 bits) by default: among a billion people, two share a pseudonym with a
    probability of 4 in 10 million. `uuid` has 122 bits (RFC 9562, version 8), `integer` 63, as a 64-bit number, or in
    the column's own integer type where the bits fit it. `email` makes an address whose local part is an `id`. The
    fake values (`name`, `first_name`, `last_name`, `city`, `company`, `street`) are composed from the word lists of a
    `locale`. They look real, but there are few of them, so different people share one: do not join on them.
    """

    domain: Annotated[
        str | None,
        Field(min_length=1, description="Pseudonyms agree wherever this name does. The column's name by default."),
    ] = None
    format: Annotated[Format, Field(description="The shape of the pseudonym.")] = "id"
    bits: Annotated[
        int | None,
        Field(
            ge=8,
            le=128,
            description="Bits of an `id` (80 by default; a multiple of 5, or of 4 for hex), the local part of an "
            "`email`, or an `integer` (63 by default and at most).",
        ),
    ] = None
    encoding: Annotated[formats.Encoding, Field(description="How an `id` is written.")] = "base32"
    prefix: Annotated[str, Field(max_length=64, description="What an `id` or an address begins with.")] = ""
    mail_domain: Annotated[
        formats.MailDomain,
        Field(
            description="What follows the `@` of an `email`: the `replacement`, the value's own domain (which can "
            "single a person out), or a pseudonym of it under the `replacement`."
        ),
    ] = "replace"
    keep_domains: Annotated[
        tuple[str, ...],
        Field(
            description="Mail domains that are kept, such as those of large providers; all others are pseudonymised."
        ),
    ] = ()
    replacement: Annotated[
        str, Field(pattern=_NAME, description="The mail domain that stands for others; one that takes no mail.")
    ] = "example.org"
    locale: Annotated[Locale, Field(description="Whose word lists fake values come from.")] = "en_US"
    release: Annotated[
        str | None,
        Field(min_length=1, description="Makes other pseudonyms, which cannot be linked to those of other releases."),
    ] = None
    normalize: Annotated[
        tuple[str, ...] | None, Field(description="Normalisation rules, in place of those of the identity.")
    ] = None

    @field_validator("keep_domains")
    @classmethod
    def _fold(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(domain.lower() for domain in domains)

    @field_validator("normalize")
    @classmethod
    def _known(cls, rules: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for rule in rules or ():
            if not is_rule(rule):
                raise ValueError(f'unknown rule "{rule}"; one of: {", ".join(rule_names())}')
        return rules

    @model_validator(mode="after")
    def _fitting(self) -> Pseudonym:
        step, most = (4, 128) if self.encoding == "hex" else (5, 120)
        if self.bits is not None:
            if self.format in ("id", "email") and (self.bits % step or self.bits > most):
                raise ValueError(
                    f"bits of an {self.format} in {self.encoding} are a multiple of {step}, at most {most}"
                )
            if self.format == "integer" and self.bits > _INTEGER_BITS:
                raise ValueError(f"an integer has at most {_INTEGER_BITS} bits")
            if self.format not in ("id", "email", "integer"):
                raise ValueError(f"the bits of a {self.format} cannot be chosen")
        if self.keep_domains and self.mail_domain == "keep":
            raise ValueError("keep_domains says which are kept, mail_domain: keep keeps all; use one of them")
        return self

    def gives(self, taken: pa.DataType) -> pa.DataType:
        """Give text, or a whole number."""
        if self.format != "integer":
            return pa.string()
        if pa.types.is_integer(taken) and self._bits() <= taken.bit_width - pa.types.is_signed_integer(taken):
            return taken
        return pa.int64()

    def leak(self) -> str:
        """Add the mail domains that are kept."""
        if self.format == "email" and (self.mail_domain == "keep" or self.keep_domains):
            return f"{self.info.leaks}; the mail domains that are kept"
        return self.info.leaks

    def key_label(self, column: str) -> str:
        """Name the domain."""
        return f"pseudonym/{self.domain or column}"

    def space_bits(self) -> float:
        """Give log2 of the number of different pseudonyms, for a bound on collisions."""
        if self.format == "uuid":
            return 122.0
        if self.format in FAKE_FORMATS:
            return math.log2(fake_values(self.locale, self.format).count)
        return float(self._bits())

    def bind(self, binding: Binding) -> Pseudonymize:
        """Derive the domain's key."""
        domain = self.domain or binding.column
        release = self.release or binding.release
        label = f"release={release}" if release else ""
        key = binding.derive_key("pseudonym", domain, label, length=32)
        rules = binding.normalize(domain) if self.normalize is None else self.normalize
        mail_key = binding.derive_key("pseudonym", domain, f"mail-domain {label}", length=32)
        return Pseudonymize(key, rules, self._rendering(binding.taken, mail_key))

    def _bits(self) -> int:
        return self.bits or (_INTEGER_BITS if self.format == "integer" else _ID_BITS)

    def _rendering(self, taken: pa.DataType, mail_key: bytes) -> formats.Rendering:
        if self.format == "uuid":
            return formats.Uuid()
        if self.format == "integer":
            return formats.Integer(self._bits(), self.gives(taken))
        if self.format in FAKE_FORMATS:
            return formats.Fake(fake_values(self.locale, self.format))
        identifier = formats.Id(self._bits(), self.encoding, self.prefix)
        if self.format == "id":
            return identifier
        mail_domain: formats.MailDomain = "pseudonym" if self.keep_domains else self.mail_domain
        return formats.Email(identifier, mail_domain, frozenset(self.keep_domains), self.replacement, mail_key)


@dataclass(frozen=True)
class Pseudonymize:
    """A pseudonym transform bound to its domain's key."""

    key: bytes = field(repr=False)
    rules: tuple[str, ...]
    rendering: formats.Rendering

    def __call__(self, column: pa.Array, rows: Rows | None = None) -> pa.Array:
        """Pseudonymise a column."""
        del rows
        values = normalize(canonical_text(column), self.rules)
        return self.rendering(cmac.prf(self.key, values), values)
