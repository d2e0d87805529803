"""Identifiers as text that compares: canonical, whole numbers without a fraction, normalised as the identity says."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import UsageError
from pydp_cli.policy.column_types import dense_type
from pydp_cli.policy.model import Identity
from pydp_cli.transforms.canonical import canonical_text, has_canonical_text
from pydp_cli.transforms.normalize import normalize
from pydp_cli.transforms.types import is_text

_ANY = Identity()


def identity_text(column: pa.Array, identity: Identity | None = None) -> pa.StringArray:
    """Give a column of identifiers as text in which equal people have equal values.

    Null stays null; an empty or blank value, no number (NaN) and a value that people share become null, because none
    of them joins anybody. Values of whole-number identities lose leading zeros and a fraction of zeros, so that 7, 7.00
    and "007" are one; without a declared type, text stays as it is. Bytes that are text in UTF-8 are that text: some
    writers do not say so.
    """
    chosen = identity or _ANY
    if pa.types.is_dictionary(column.type):
        distinct = identity_text(column.dictionary, identity)
        return distinct.take(column.indices)
    dense = column if column.type == dense_type(column.type) else pc.cast(column, dense_type(column.type))
    text = _text_of_bytes(dense.cast(pa.binary())) if _is_bytes(dense.type) else canonical_text(dense)
    if not is_text(dense.type) and "." in _sample(dense.type):
        text = _without_fraction(text)
    if chosen.type is not None and pa.types.is_integer(chosen.type):
        text = pc.replace_substring_regex(_without_fraction(text), r"^\s*\+?0*([0-9]+)\s*$", r"\1")
    text = normalize(text, chosen.normalize)
    never = pc.or_(pc.equal(text, ""), pc.utf8_is_space(text))
    if chosen.shared:
        never = pc.or_(never, pc.is_in(text, value_set=pa.array(_shared(chosen), pa.string())))
    if pa.types.is_floating(dense.type):
        never = pc.or_(never, pc.is_nan(dense.cast(pa.float64())))
    return pc.if_else(never, pa.scalar(None, pa.string()), text)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _text_of_bytes(column: pa.BinaryArray) -> pa.StringArray:
    """Read bytes as text, and those that are none in base64; only where some are none are they looked at one by one."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        distinct = column.dictionary_encode()
    canonical = canonical_text(distinct.dictionary).to_pylist()
    texts = [
        _decoded(raw, otherwise) for raw, otherwise in zip(distinct.dictionary.to_pylist(), canonical, strict=True)
    ]
    return pa.array(texts, pa.string()).take(distinct.indices)


def _decoded(raw: bytes, otherwise: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return otherwise


def identity_value(text: str, identity: Identity | None = None) -> str | None:
    """Give one value as it compares; None where it never joins."""
    value: str | None = identity_text(pa.array([text], pa.string()), identity)[0].as_py()
    return value


def can_identify(kind: pa.DataType) -> bool:
    """Tell whether values of a type can be identifiers: nested ones cannot."""
    return has_canonical_text(kind)


def check_type(kind: pa.DataType, place: str) -> None:
    """Refuse a column whose values cannot be compared."""
    if not can_identify(kind):
        raise UsageError("a nested column cannot hold an identifier", place=place)


def _shared(identity: Identity) -> list[str | None]:
    plain = Identity(normalize=identity.normalize, type=identity.type)
    return [identity_value(value, plain) for value in identity.shared]


def _sample(kind: pa.DataType) -> str:
    """Show whether numbers of a type are written with a fraction."""
    return "0.0" if pa.types.is_decimal(kind) or pa.types.is_floating(kind) else "0"


def _without_fraction(text: pa.StringArray) -> pa.StringArray:
    trimmed = pc.replace_substring_regex(text, r"^([+-]?[0-9]+)\.0+$", r"\1")
    return pc.replace_substring_regex(trimmed, r"^([+-]?[0-9]+\.[0-9]*[1-9])0+$", r"\1")


def plain_text(column: pa.Array) -> pa.StringArray:
    """Give a flat column as canonical text, for showing it; null stays null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = dense_type(column.type)
    return canonical_text(column if column.type == kind else pc.cast(column, kind))
