"""How a CSV file is written: what a policy may say about it, and what was found out in the end."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pydp_cli.errors import UsageError

LINE_ENDINGS = {"lf": "\n", "crlf": "\r\n"}


class CsvOptions(BaseModel):
    """What a policy may say about a dataset's CSV files; what it leaves out is detected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delimiter: Annotated[str | None, Field(description="The one ASCII character between two fields.")] = None
    quote: Annotated[
        str | None, Field(description="The one ASCII character around quoted fields; empty: quotes mean nothing.")
    ] = None
    encoding: Annotated[
        str | None, Field(description="utf-8, utf-16, cp1252, latin-1 or any other text encoding of Python.")
    ] = None
    null: Annotated[
        str | None, Field(description="The unquoted text that stands for a missing value; an empty field by default.")
    ] = None
    header: Annotated[bool | None, Field(description="Whether the first line holds the names of the columns.")] = None
    line_ending: Annotated[
        Literal["lf", "crlf"] | None, Field(description="How lines end on output; as in the input by default.")
    ] = None
    columns: Annotated[
        tuple[str, ...] | None, Field(min_length=1, description="The names of the columns of a file without a header.")
    ] = None

    @field_validator("delimiter", "quote")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value and (len(value) > 1 or not value.isascii() or value in "\r\n\0"):
            raise ValueError("must be one ASCII character, and not a line ending")
        return value

    @field_validator("delimiter")
    @classmethod
    def _some_delimiter(cls, value: str | None) -> str | None:
        if value == "":
            raise ValueError("must be one ASCII character, and not a line ending")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                codecs.lookup(value)
                "".encode(value)
            except LookupError:
                raise ValueError("is not a known text encoding") from None
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> CsvOptions:
        quote = '"' if self.quote is None else self.quote
        if self.delimiter is not None and self.delimiter == quote:
            raise ValueError("`delimiter` and `quote` must differ")
        structural = {"\r", "\n", '"', quote or "\n", self.delimiter or "\n"}
        if self.null and not structural.isdisjoint(self.null):
            raise ValueError("`null` must not hold a delimiter, a quote or a line ending")
        if self.columns is not None:
            if self.header:
                raise ValueError("`columns` names the columns of a file without a header")
            if len(set(self.columns)) < len(self.columns):
                raise ValueError("`columns` names a column twice")
        return self


@dataclass(frozen=True)
class CsvDialect:
    """How a CSV file is written, fully resolved, so that the output can be written the same way.

    `quote` is empty where quotes mean nothing. `encoding` is a Python codec without a byte-order mark of its own.
    `final_newline` tells whether the last line ends like the others.
    """

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    bom: bool = False
    newline: str = "\n"
    header: bool = True
    null: str = ""
    final_newline: bool = True

    def __post_init__(self) -> None:
        if self.null and (self.delimiter in self.null or (self.quote and self.quote in self.null)):
            raise UsageError(
                "the text for missing values holds the delimiter or the quote character",
                hint="declare another null: or delimiter: under csv:",
            )


def dialect_of_new_file(options: CsvOptions, name: str) -> CsvDialect:
    """Give the dialect to write a CSV file in that has no CSV file as its model."""
    encoding, bom = plain_encoding(options.encoding or "utf-8")
    return CsvDialect(
        delimiter=options.delimiter or declared_by_name(name) or ",",
        quote='"' if options.quote is None else options.quote,
        encoding=encoding,
        bom=bom,
        newline=LINE_ENDINGS[options.line_ending or "lf"],
        header=options.header is not False,
        null=options.null or "",
    )


def declared_by_name(name: str) -> str | None:
    """Tell the delimiter that a file's name promises: a tab for `.tsv`, compressed or not."""
    lowered = name.lower()
    return "\t" if lowered.endswith((".tsv", ".tab")) or ".tsv." in lowered else None


def plain_encoding(encoding: str) -> tuple[str, bool]:
    """Name the codec that reads and writes no byte-order mark by itself, and tell whether the given one writes one."""
    name = codecs.lookup(encoding).name
    return {"utf-8-sig": ("utf-8", True), "utf-16": ("utf-16-le", True), "utf-32": ("utf-32-le", True)}.get(
        name, (name, False)
    )
