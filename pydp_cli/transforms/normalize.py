"""Normalise identifiers before they are looked up or pseudonymised, so that two spellings of one identifier agree.

A rule is a function of the value alone. The fast way for ASCII values and the exact way for all others give the same
result, so that it never depends on a value's neighbours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pydp_cli.errors import UsageError

_ASCII_BLANKS = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"  # what str.strip takes for blank within ASCII
_PLUS_TAG = re.compile(r"\+[^@]*@")


def nfkc(text: str) -> str:
    """Replace compatibility characters (full-width digits, ligatures) by their plain forms; compose accents."""
    return unicodedata.normalize("NFKC", text)


def digits(text: str) -> str:
    """Keep ASCII digits only."""
    return re.sub(r"[^0-9]", "", text)


def alphanumeric(text: str) -> str:
    """Keep letters and digits only: for IBANs, number plates and other numbers written in groups."""
    return "".join(filter(str.isalnum, text))


def plus_tag(text: str) -> str:
    """Drop the `+tag` of an e-mail address's local part."""
    return _PLUS_TAG.sub("@", text, count=1)


RULES: dict[str, Callable[[str], str]] = {
    "nfkc": nfkc,
    "strip": str.strip,
    "casefold": str.casefold,
    "digits": digits,
    "alphanumeric": alphanumeric,
    "plus_tag": plus_tag,
}
_ON_ASCII: dict[str, Callable[[pa.StringArray], pa.StringArray]] = {
    "nfkc": lambda column: column,
    "strip": lambda column: pc.ascii_trim(column, characters=_ASCII_BLANKS) if _has_blanks(column) else column,
    "casefold": pc.ascii_lower,
    "digits": lambda column: pc.replace_substring_regex(column, "[^0-9]+", ""),
    "alphanumeric": lambda column: pc.replace_substring_regex(column, "[^0-9A-Za-z]+", ""),
    "plus_tag": lambda column: pc.replace_substring_regex(column, r"\+[^@]*@", "@", max_replacements=1),
}
E164 = "e164"


def rule_names() -> tuple[str, ...]:
    """Name the rules that a policy may use; `e164` may carry a region, as in `e164:DE`."""
    return (*RULES, E164)


def is_rule(rule: str) -> bool:
    """Tell whether a policy may use a rule."""
    return rule in RULES or re.fullmatch(r"e164(:[A-Z]{2})?", rule) is not None


def normalize(column: pa.StringArray, rules: Iterable[str]) -> pa.StringArray:
    """Apply rules in their order to a text column; null stays null.

    Where both `nfkc` and `casefold` are asked for, NFKC is applied once more at the end, because folding can undo it.
    A telephone number that cannot be read for `e164` stays as it is written. Raises `UsageError` for an unknown rule.
    """
    rules = tuple(rules)
    for rule in rules:
        if not is_rule(rule):
            raise UsageError(f'unknown rule "{rule}" in normalize', hint=f"one of: {', '.join(rule_names())}")
    if not rules or len(column) == 0:
        return column
    if {"nfkc", "casefold"} <= set(rules):
        rules = (*rules, "nfkc")
    if all(rule in _ON_ASCII for rule in rules):
        if _all_ascii(column):
            return _normalize_ascii(column, rules)
        plain = pc.fill_null(pc.string_is_ascii(column), fill_value=True)
        fast = _normalize_ascii(pc.if_else(plain, column, None), rules)
        return pc.replace_with_mask(fast, pc.invert(plain), _normalize_distinct(column.filter(pc.invert(plain)), rules))
    return _normalize_distinct(column, rules)


def normalize_value(text: str, rules: Iterable[str]) -> str:
    """Apply rules to one value."""
    result: str = normalize(pa.array([text]), rules)[0].as_py()
    return result


def _normalize_ascii(column: pa.StringArray, rules: tuple[str, ...]) -> pa.StringArray:
    for rule in rules:
        column = _ON_ASCII[rule](column)
    return column


def _normalize_distinct(column: pa.StringArray, rules: tuple[str, ...]) -> pa.StringArray:
    encoded = column.dictionary_encode()
    functions = [_function(rule) for rule in rules]
    results = []
    for value in encoded.dictionary.to_pylist():
        text = value
        for function in functions:
            text = function(text)
        results.append(text)
    return pa.array(results, pa.string()).take(encoded.indices)


def _function(rule: str) -> Callable[[str], str]:
    if rule in RULES:
        return RULES[rule]
    _name, _colon, region = rule.partition(":")
    return _to_e164(region or None)


def _to_e164(region: str | None) -> Callable[[str], str]:
    import phonenumbers

    def write(text: str) -> str:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            return text
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))

    return write


def _content(column: pa.StringArray) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Give the bytes of all values, without copying them."""
    _valid, offsets, data = column.buffers()
    if data is None:
        return np.empty(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)
    return np.frombuffer(data, np.uint8)[ends[column.offset] : ends[column.offset + len(column)]]


def _all_ascii(column: pa.StringArray) -> bool:
    content = _content(column)
    return len(content) == 0 or int(content.max()) < 128


def _has_blanks(column: pa.StringArray) -> bool:
    content = _content(column)
    return len(content) > 0 and int(content.min()) <= ord(" ")
