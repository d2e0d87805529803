"""YAML 1.2 scalars as the policy and `--set` read them.

Two readings differ from YAML's core schema, because policies speak of data: digits that begin with a zero stay text
(`007` is a postcode), and dates stay text. `NO` is a country.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

MOST_DIGITS = 64
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("null", "Null", "NULL", "~"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)", re.ASCII)
_HEX = re.compile(r"0x[0-9A-Fa-f]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)?(\.[0-9]+|(?<=[0-9])\.?)([eE][-+]?[0-9]{1,3})?", re.ASCII)
_ITEM = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[\[\]{},]|[^\[\]{},'"]+|.""", re.DOTALL)


def plain_scalar(text: str) -> Scalar:
    """Read a scalar that is written without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= MOST_DIGITS:
        if _INTEGER.fullmatch(text):
            return int(text.replace("_", ""))
        if _HEX.fullmatch(text):
            return int(text, 16)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def flow_value(text: str) -> Scalar | list[Scalar] | dict[str, Scalar]:
    """Read a value as it is written in `--set`: a scalar, quoted or not, `[a, b]`, or `{a: b, c: d}`.

    Raises `ValueError` where quotes or brackets are not closed.
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return [_scalar(item) for item in split_outside(text[1:-1])] if text[1:-1].strip() else []
    if text.startswith("{") and text.endswith("}"):
        pairs = [item.partition(":") for item in split_outside(text[1:-1])] if text[1:-1].strip() else []
        if not all(colon for _, colon, _ in pairs):
            raise ValueError("a mapping is written {key: value}")
        return {str(_scalar(key)) if _quoted(key) else key.strip(): _scalar(value) for key, _, value in pairs}
    return _scalar(text)


def split_outside(text: str) -> list[str]:
    """Split at commas that are not within quotes or brackets; raises `ValueError` where one is not closed."""
    parts, depth = [""], 0
    for piece in _ITEM.findall(text):
        if piece in ("'", '"'):
            raise ValueError("a quote is not closed")
        depth += (piece in "[{") - (piece in "]}") if len(piece) == 1 else 0
        if depth < 0:
            raise ValueError("a bracket is closed that was not opened")
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    if depth:
        raise ValueError("a bracket is not closed")
    return parts


def _scalar(text: str) -> Scalar:
    text = text.strip()
    if not _quoted(text):
        return plain_scalar(text)
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)


def _quoted(text: str) -> bool:
    text = text.strip()
    return len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
