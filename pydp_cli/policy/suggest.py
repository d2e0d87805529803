"""Suggest what a column holds and how to treat it, where its name and content make that plain."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.policy.column_types import dense_type
from pydp_cli.transforms.types import NUMBER, TEMPORAL, is_text

MOST_VALUES = 1000
MASKED_EXAMPLES = 3
MASKED_LENGTH = 40


@dataclass(frozen=True)
class Suggestion:
    """A treatment as the policy writes it, in words what it is for, and the identity that the column is."""

    treatment: Any
    reason: str
    identity: str | None = None


Check = Callable[[str], bool]


@dataclass(frozen=True)
class Kind:
    """A kind of column: the words of its name, what its text looks like, and what is suggested."""

    words: str
    pattern: str | None
    suggestion: Suggestion
    check: Check | None = None
    takes: Callable[[pa.DataType], bool] = is_text
    whole_name: bool = False


def _luhn(text: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(re.sub(r"[ -]", "", text)))


def _iban(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text))


def _ip(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


KINDS = (
    Kind(
        "e?-?mails?|mail_?address",
        r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        Suggestion({"pseudonym": {"domain": "email", "format": "email"}}, "an e-mail address", "email"),
    ),
    Kind("ibans?", r"^[A-Z]{2}[0-9]{2}[A-Z0-9 ]{10,36}$", Suggestion("iban", "an IBAN"), _iban),
    Kind("cards?|pan|credit_?card|card_?number", r"^[0-9][0-9 -]{11,22}$", Suggestion("card", "a card number"), _luhn),
    Kind("ips?|ip_?addr(ess)?", r"^[0-9a-fA-F.:]{7,45}$", Suggestion("ip", "an IP address"), _ip),
    Kind("urls?|uri|link|website|referr?er", r"^[a-z]+://", Suggestion("url", "a web address")),
    Kind(
        "phones?|tel|telephone|mobile|cell|fax|phone_?(no|number)",
        r"^[+(]?[0-9][0-9 ()/.-]{5,20}$",
        Suggestion({"mask": {"keep_last": 4}}, "a phone number"),
    ),
    Kind(
        "birth|dob|date_?of_?birth|birth_?(date|day)|born",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}",
        Suggestion([{"date": "year"}, {"top_code": {"max_age": 89}}], "a birth date"),
        takes=lambda kind: is_text(kind) or TEMPORAL.accepts(kind),
    ),
    Kind(
        "zip|zip_?code|postal?_?code|postcode|plz",
        r"^[0-9A-Za-z][0-9A-Za-z -]{2,9}$",
        Suggestion({"prefix": 3}, "a postcode"),
    ),
    Kind(
        "((full|customer|user|person|contact|last|first|sur|family|given|maiden|client|patient)_?)?names?|surname",
        r"^[^\d@]{1,80}$",
        Suggestion({"name": "initials"}, "a name"),
        whole_name=True,  # a product has a name, too
    ),
)
NEEDS_NAME = frozenset({"a phone number", "a birth date", "a postcode", "a name"})
"""What content alone does not tell: dates are not all birth dates."""
ENOUGH = 0.8


def values_of(column: pa.Array | pa.ChunkedArray) -> list[str]:
    """Give the first distinct values of a text column that are neither null nor empty."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not is_text(column.type):
        return []
    distinct = pc.unique(column.cast(pa.string()).slice(0, 100 * MOST_VALUES).drop_null())
    return [value for value in distinct.slice(0, MOST_VALUES).to_pylist() if value.strip()]


def suggest(name: str, kind: pa.DataType, values: list[str]) -> Suggestion | None:
    """Suggest a treatment for a column; None where neither name nor content makes it plain."""
    kind = dense_type(kind)
    for candidate in KINDS:
        if not candidate.takes(kind):
            continue
        around = ("", "") if candidate.whole_name else ("(.*_)?", "(_.*)?")
        named = re.fullmatch(f"{around[0]}({candidate.words}){around[1]}", _snake(name)) is not None
        share = _share(candidate, values) if is_text(kind) else 1.0
        needs_name = candidate.suggestion.reason in NEEDS_NAME
        if (named and (share >= ENOUGH or not values)) or (values and share >= ENOUGH and not needs_name):
            return candidate.suggestion
    if is_text(kind) and _is_prose(values):
        return Suggestion("free_text", "free text")
    return None


def is_key_name(name: str) -> bool:
    """Tell whether a column's name says that it identifies something."""
    return re.fullmatch(r"(.*_)?(id|uuid|key|no|number|nr)", _snake(name)) is not None


def can_identify(kind: pa.DataType) -> bool:
    """Tell whether a type is one that identifiers have."""
    return is_text(kind) or bool(pa.types.is_integer(kind))


def _snake(name: str) -> str:
    return re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()


def _share(kind: Kind, values: list[str]) -> float:
    """Give the share of values that look like a kind."""
    if not values or kind.pattern is None:
        return 0.0
    pattern = re.compile(kind.pattern)
    fitting = [value for value in values if pattern.match(value.strip())]
    if kind.check is not None:
        fitting = [value for value in fitting if kind.check(value.strip())]
    return len(fitting) / len(values)


def _is_prose(values: list[str]) -> bool:
    wordy = [value for value in values if value.count(" ") >= 4]
    return len(wordy) >= max(1, len(values) // 3)


def masked_examples(column: pa.Array | pa.ChunkedArray) -> list[str]:
    """Show the shape of a few values: letters as `x` and `X`, digits as `9`; never a value."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if is_text(kind):
        values = values_of(column)
    elif NUMBER.accepts(kind) or TEMPORAL.accepts(kind):
        values = [str(value) for value in pc.unique(column.slice(0, MOST_VALUES).drop_null()).to_pylist()]
    else:
        return []
    shapes = dict.fromkeys(mask_shape(value) for value in values)
    return list(shapes)[:MASKED_EXAMPLES]


def mask_shape(value: str) -> str:
    """Replace every letter and digit, of any script; what is neither and not plain punctuation becomes `?`."""
    shown = "".join(map(_mask_character, value[:MASKED_LENGTH]))
    return shown + "…" * (len(value) > MASKED_LENGTH)


def _mask_character(character: str) -> str:
    if character.isdigit() or character.isnumeric():
        return "9"
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return character if character in " .,;:@/+-_()" else "?"
