"""Find out how a CSV file is written from its first bytes: encoding, quote, delimiter and line ending."""

from __future__ import annotations

import codecs
import re
from itertools import islice

from pydp_cli.datasets.csv_dialect import LINE_ENDINGS, CsvDialect, CsvOptions, declared_by_name, plain_encoding
from pydp_cli.datasets.csv_records import scan_records
from pydp_cli.errors import InputError

SAMPLE_BYTES = 1 << 16
DELIMITERS = (",", ";", "\t", "|")
_RECORDS_LOOKED_AT = 200

_MARKS = (  # the longer ones first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def detect_encoding(head: bytes, options: CsvOptions, name: str) -> tuple[str, bytes]:
    """Give the codec and the byte-order mark that the file begins with.

    Without a mark and a declaration it is UTF-8. Raises `InputError` where mark and declaration differ.
    """
    mark, marked = next(((mark, encoding) for mark, encoding in _MARKS if head.startswith(mark)), (b"", None))
    if options.encoding is None:
        if marked is None and re.match(rb"(?:[^\0]\0){4}|(?:\0[^\0]){4}", head):
            raise InputError(
                "looks like UTF-16 without a byte-order mark",
                place=name,
                hint="declare it under csv:, for example encoding: utf-16-le",
            )
        return marked or "utf-8", mark
    declared, _ = plain_encoding(options.encoding)
    if marked is None or marked == declared or declared.replace("-le", "-be") == marked:
        return marked or declared, mark
    if marked == "utf-32-le" and declared == "utf-16-le":  # a NUL after the mark of UTF-16
        return declared, codecs.BOM_UTF16_LE
    raise InputError(
        f"begins with the byte-order mark of {marked}, but {options.encoding} is declared",
        place=name,
        hint="correct or leave out encoding: under csv:",
    )


def detect_dialect(
    sample: bytes, options: CsvOptions, name: str, *, encoding: str = "utf-8", bom: bool = False, complete: bool = True
) -> CsvDialect:
    """Find the dialect of a sample of UTF-8 text; what the options declare is taken as it is."""
    quote = _detect_quote(sample) if options.quote is None else options.quote
    delimiter = options.delimiter or declared_by_name(name)
    dialect = CsvDialect(
        delimiter=delimiter or _detect_delimiter(sample, quote, complete=complete),
        quote=quote,
        encoding=encoding,
        bom=bom,
        header=options.columns is None if options.header is None else options.header,
        null=options.null or "",
    )
    newline = LINE_ENDINGS[options.line_ending] if options.line_ending else _detect_newline(sample, dialect)
    return CsvDialect(**{**vars(dialect), "newline": newline})


def _detect_quote(sample: bytes) -> str:
    """Take single quotes for quotes only where they are around every field of the first line and no `"` is there."""
    first = sample.split(b"\n", 1)[0].rstrip(b"\r")
    single = rb"'[^']*'(?:([,;\t|])'[^']*'(?:\1'[^']*')*)?"
    return "'" if b'"' not in sample and re.fullmatch(single, first) else '"'


def _detect_delimiter(sample: bytes, quote: str, *, complete: bool) -> str:
    """Choose the delimiter that gives the most records as many fields as the first, and then the most fields."""
    best, chosen = (0.0, 1), ","
    for candidate in DELIMITERS:
        if candidate == quote:
            continue
        dialect = CsvDialect(delimiter=candidate, quote=quote)
        records = scan_records(sample, dialect, complete=complete)
        counts = [record.fields if record.problem is None else 0 for record in islice(records, _RECORDS_LOOKED_AT)]
        fields = counts[0] if counts else 0
        score = (counts.count(fields) / len(counts) if counts else 0.0, fields)
        if fields > 1 and score > best:
            best, chosen = score, candidate
    return chosen


def _detect_newline(sample: bytes, dialect: CsvDialect) -> str:
    first = next(scan_records(sample, dialect), None)
    return "\r\n" if first is not None and sample[first.start : first.end].endswith(b"\r\n") else "\n"
