"""Measure how much of a labelled text `free_text` finds, and how much of what it finds is right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydp_cli.errors import InputError
from pydp_cli.transforms.folding import fold
from pydp_cli.transforms.free_text_patterns import KINDS, Span, disjoint, find
from pydp_cli.transforms.own_values import find_own, folded_value

_MARK = re.compile(r"\[\[(\w+)\|(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True)
class LabelledText:
    """A text, what is to be found in it, and the row's own values by column."""

    text: str
    spans: tuple[Span, ...]
    own: dict[str, str]
    country: str
    language: str


@dataclass(frozen=True)
class Accuracy:
    """How well one kind of identifier is found."""

    kind: str
    labelled: int
    found: int  # of the labelled: all of it, under its kind
    hidden: int  # of the labelled: all of it, under whatever kind
    claimed: int  # spans reported under this kind
    right: int  # of the claimed: those that touch a label of the kind

    @property
    def precision(self) -> float:
        """The share of what is reported that is right; 1 where nothing is reported."""
        return self.right / self.claimed if self.claimed else 1.0

    @property
    def recall(self) -> float:
        """The share of labels that is found under its kind; 1 where there is nothing to find."""
        return self.found / self.labelled if self.labelled else 1.0

    @property
    def coverage(self) -> float:
        """The share of labels of which no character is left to read."""
        return self.hidden / self.labelled if self.labelled else 1.0


def read_labelled(path: Path) -> list[LabelledText]:
    """Read a labelled set: one JSON object a line, with identifiers marked as `[[kind|value]]` in `text`.

    `own` maps columns to the row's values (labels of a column's name mark them), `country` is the one whose national
    ids and phone numbers are looked for. Raises `InputError` with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise InputError("not UTF-8", place=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=str(path)) from error
    return [_read_line(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line]


def _read_line(line: str, place: str) -> LabelledText:
    try:
        entry = json.loads(line)
        text, spans = _unmarked(entry["text"])
        own = {str(column): str(value) for column, value in entry.get("own", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    else:
        return LabelledText(text, spans, own, entry.get("country", ""), entry.get("language", ""))
    raise InputError(
        "not a line of a labelled set", place=place, hint='a line is like {"text": "call [[phone|030 901820]]"}'
    )


def measure(labelled: Iterable[LabelledText]) -> list[Accuracy]:
    """Count, for each kind and for all together (`all`, last), what is found in a labelled set."""
    counts: dict[str, list[int]] = {}
    for line in labelled:
        predicted = predict(line)
        for span in line.spans:
            same = any(_covers(other, span) and other.kind == span.kind for other in predicted)
            hidden = _is_hidden(line.text, span, predicted)
            _count(counts, span.kind, 1, int(same), int(hidden), 0, 0)
        for span in predicted:
            right = any(
                other.kind == span.kind and other.start < span.end and span.start < other.end for other in line.spans
            )
            _count(counts, span.kind, 0, 0, 0, 1, int(right))
    result = [Accuracy(kind, *numbers) for kind, numbers in sorted(counts.items())]
    return (
        [*result, Accuracy("all", *(sum(numbers) for numbers in zip(*counts.values(), strict=True)))] if counts else []
    )


def predict(line: LabelledText) -> list[Span]:
    """Find what `free_text` would find in a line, its own values included."""
    folded = fold(line.text)
    own = []
    for column, value in line.own.items():
        for first, last in find_own(folded.text, folded_value(value), parts=True):
            start, end = folded.span(first, last)
            own.append(Span(start, end, column))
    return disjoint([*find(line.text, KINDS, (line.country,) if line.country else ()), *own])


def _unmarked(marked: str) -> tuple[str, tuple[Span, ...]]:
    pieces: list[str] = []
    spans: list[Span] = []
    done, length = 0, 0
    for match in _MARK.finditer(marked):
        before, value = marked[done : match.start()], match[2]
        length += len(before)
        spans.append(Span(length, length + len(value), match[1]))
        length += len(value)
        pieces += [before, value]
        done = match.end()
    return "".join([*pieces, marked[done:]]), tuple(spans)


def _covers(outer: Span, inner: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _is_hidden(text: str, span: Span, predicted: list[Span]) -> bool:
    return all(
        not text[place].isalnum() or any(other.start <= place < other.end for other in predicted)
        for place in range(span.start, span.end)
    )


def _count(counts: dict[str, list[int]], kind: str, *numbers: int) -> None:
    row = counts.setdefault(kind, [0] * len(numbers))
    for place, number in enumerate(numbers):
        row[place] += number
