"""Replace the identifiers that stand in prose, and leave the rest of the text as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from pydp_cli.crypto import cmac
from pydp_cli.transforms.canonical import canonical_text
from pydp_cli.transforms.fixed_text import base32
from pydp_cli.transforms.folding import fold
from pydp_cli.transforms.free_text_patterns import (
    CANDIDATE,
    KINDS,
    Span,
    address_of,
    disjoint,
    find_folded,
)
from pydp_cli.transforms.own_values import find_own, folded_value
from pydp_cli.transforms.pseudonym import Pseudonym, Pseudonymize
from pydp_cli.transforms.registry import Binding, Rows, TransformOptions, transform
from pydp_cli.transforms.types import TEXT

Kind = Literal["url", "email", "iban", "national_id", "card", "ip", "date", "phone"]
_OWN = "own "  # the kind of a span that holds a value of the row's column of that name
_NUMBERS = frozenset({"phone", "card"})


@transform(
    "free_text",
    takes=TEXT,
    reversible=False,
    leaks="everything that is said in other words: names and places that no column of the row holds, and whatever the "
    "patterns miss",
)
class FreeText(TransformOptions):
    """Replace e-mail addresses, phone numbers, IBANs, cards, IP addresses, URLs, dates and national ids in prose.

    Card numbers and IBANs count only where their check digits are right, national ids by the rules of each of the
    `countries`, phone numbers by their number plans. Full-width digits, accents, dashes and invisible characters hide
    nothing. The values of the row's own columns named in `also` are replaced wherever they stand, in any case, by what
    those columns are treated to; `name_parts` finds the words of a name alone, too. A value of `also` that its own
    treatment keeps or drops becomes a mark, such as `[NAME]`.

    A found identifier becomes a mark of its kind, such as `[PHONE]`; with `marks: pseudonym` the mark tells equal ones
    apart from others (`[PHONE-k2vq7xma]`). With `email_domain` an address becomes the pseudonym that a column of this
    domain with `format: email` has. Null stays null. No pattern finds all: the accuracy on a labelled set is measured,
    and is not that on your data.
    """

    find: Annotated[tuple[Kind, ...], Field(description="The kinds of identifiers to replace.")] = KINDS  # type: ignore[assignment]
    countries: Annotated[
        tuple[str, ...],
        Field(description="Whose national ids to look for, and whose phone numbers without an international prefix."),
    ] = ()
    also: Annotated[tuple[str, ...], Field(description="Columns whose value is replaced in the same row's text.")] = ()
    name_parts: Annotated[bool, Field(description="Replace single words of the values of `also`, too.")] = True
    marks: Annotated[Literal["kind", "pseudonym"], Field(description="What a mark tells.")] = "kind"
    email_domain: Annotated[
        str | None, Field(min_length=1, description="The domain of pseudonyms that addresses are replaced by.")
    ] = None
    domain: Annotated[
        str | None,
        Field(min_length=1, description="Where it agrees, marks with pseudonyms do. The column's name by default."),
    ] = None

    @field_validator("countries")
    @classmethod
    def _are_countries(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        for country in countries:
            if not re.fullmatch(r"[A-Z]{2}", country):
                raise ValueError(f'"{country}" is not a country code of two capitals, such as DE')

        return countries

    @model_validator(mode="after")
    def _finds_something(self) -> FreeText:
        if not self.find and not self.also:
            raise ValueError("nothing to find: name kinds in find, or columns in also")
        return self

    def key_label(self, column: str) -> str | None:
        """Name the domains of the pseudonyms that are written, if any are."""
        domains = [self.email_domain] if self.email_domain else []
        if self.marks == "pseudonym":
            domains.append(self.domain or column)
        return ", ".join(f"pseudonym/{domain}" for domain in domains) or None

    def reads(self) -> tuple[str, ...]:
        """Read the columns whose values are looked for."""
        return self.also

    def bind(self, binding: Binding) -> ReplaceInText:
        """Derive keys where pseudonyms are asked for."""
        mark_key = None
        if self.marks == "pseudonym":
            label = f"free_text release={binding.release}" if binding.release else "free_text"
            mark_key = binding.derive_key("pseudonym", self.domain or binding.column, label, length=32)
        emails = Pseudonym(domain=self.email_domain, format="email").bind(binding) if self.email_domain else None
        return ReplaceInText(self, mark_key, emails)


@dataclass(frozen=True)
class ReplaceInText:
    """A free-text transform, bound to its keys."""

    options: FreeText
    mark_key: bytes | None = field(repr=False)
    emails: Pseudonymize | None

    def __call__(self, column: pa.StringArray, rows: Rows) -> pa.StringArray:
        """Replace identifiers in a column: in distinct texts first, then in rows that hold values of their own."""
        encoded = column.dictionary_encode()
        texts: list[str] = encoded.dictionary.to_pylist()
        found = self._found(encoded.dictionary)
        own = self._own(encoded, texts, rows)
        spans = {place: kinds for place, kinds in enumerate(found) if kinds}
        by_row = {row: disjoint_own(found[place], mine) for row, (place, mine) in own.items()}
        if not spans and not by_row:
            return column
        indices = encoded.indices
        every = [(texts[place], kinds) for place, kinds in spans.items()]
        every += [(texts[own[row][0]], kinds) for row, kinds in by_row.items()]
        marks = self._marks(every)
        changed = [replace(text, found[place], marks) for place, text in enumerate(texts)]
        result = pa.array(changed, pa.string()).take(indices)
        if not by_row:
            return result
        treated = {name: canonical_text(rows.treated(name)) for name in self.options.also}
        mask = np.zeros(len(column), bool)
        mask[list(by_row)] = True
        special = [
            replace(texts[own[row][0]], by_row[row], marks, self._own_texts(row, by_row[row], treated, rows))
            for row in sorted(by_row)
        ]
        return pc.replace_with_mask(result, pa.array(mask), pa.array(special, pa.string()))

    def _found(self, texts: pa.StringArray) -> list[list[Span]]:
        options = self.options
        if not options.find:
            return [[]] * len(texts)
        candidates = pc.match_substring_regex(texts, CANDIDATE)
        return [
            find_folded(fold(text), options.find, options.countries) if candidate else []
            for text, candidate in zip(texts.to_pylist(), candidates.to_pylist(), strict=True)
        ]

    def _own(self, encoded: pa.DictionaryArray, texts: list[str], rows: Rows) -> dict[int, tuple[int, list[Span]]]:
        """Find each row's own values; gives the place of the row's text among the distinct ones, and the spans."""
        if not self.options.also:
            return {}
        folded = [fold(text) for text in texts]
        places = encoded.indices.to_pylist()
        own: dict[int, tuple[int, list[Span]]] = {}
        for name in self.options.also:
            values = canonical_text(rows.original(name)).dictionary_encode()
            looked_for = [folded_value(value) for value in values.dictionary.to_pylist()]
            for row, (place, value) in enumerate(zip(places, values.indices.to_pylist(), strict=True)):
                if place is None or value is None:
                    continue
                for first, last in find_own(folded[place].text, looked_for[value], parts=self.options.name_parts):
                    start, end = folded[place].span(first, last)
                    own.setdefault(row, (place, []))[1].append(Span(start, end, _OWN + name))
        return own

    def _own_texts(self, row: int, spans: list[Span], treated: dict[str, pa.StringArray], rows: Rows) -> dict[str, str]:
        """Say what stands for each of a row's own values: the treated value, or a mark where there is no other."""
        texts = {}
        for name in {span.kind.removeprefix(_OWN) for span in spans if span.kind.startswith(_OWN)}:
            before = canonical_text(rows.original(name).slice(row, 1))[0].as_py()
            after = treated[name][row].as_py()
            is_hidden = after is not None and folded_value(before) not in folded_value(after)
            texts[name] = after if is_hidden else f"[{name.upper()}]"
        return texts

    def _marks(self, every: Iterable[tuple[str, list[Span]]]) -> dict[tuple[str, str], str]:
        """Make the mark of each found identifier, all in one go."""
        written = sorted(
            {(span.kind, text[span.start : span.end]) for text, spans in every for span in spans if span.kind in KINDS}
        )
        marks = {(kind, value): f"[{kind.upper()}]" for kind, value in written}
        if self.mark_key is not None:
            values = pa.array([f"{kind} {_comparable(kind, value)}" for kind, value in written], pa.string())
            for key, digits in zip(written, base32(cmac.prf(self.mark_key, values), 8), strict=True):
                marks[key] = f"[{key[0].upper()}-{bytes(digits).decode()}]"
        if self.emails is not None:
            addresses = [key for key in written if key[0] == "email"]
            made = self.emails(pa.array([address_of(value) for _kind, value in addresses], pa.string()))
            marks.update(zip(addresses, made.to_pylist(), strict=True))
        return marks


def disjoint_own(found: list[Span], own: list[Span]) -> list[Span]:
    """Unite the spans of patterns and of own values; an own value goes before the pattern that it fills."""
    own = disjoint(own)
    covered = [span for span in found if not any(mine.start <= span.start and span.end <= mine.end for mine in own)]
    return disjoint([*covered, *own])


def replace(text: str, spans: list[Span], marks: dict[tuple[str, str], str], own: dict[str, str] | None = None) -> str:
    """Put marks in the place of the spans of a text."""
    pieces: list[str] = []
    done = 0
    for span in spans:
        pieces.append(text[done : span.start])
        if span.kind.startswith(_OWN):
            pieces.append((own or {})[span.kind.removeprefix(_OWN)])
        else:
            pieces.append(marks.get((span.kind, text[span.start : span.end]), f"[{span.kind.upper()}]"))
        done = span.end
    return "".join([*pieces, text[done:]])


def _comparable(kind: str, value: str) -> str:
    folded = fold(value).text
    if kind in _NUMBERS:
        return re.sub(r"\D", "", folded)
    if kind in ("iban", "national_id"):
        return re.sub(r"[\W_]", "", folded)
    return address_of(folded) if kind == "email" else folded
