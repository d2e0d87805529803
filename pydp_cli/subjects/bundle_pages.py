"""The pages of a bundle that a person reads: README.txt, and index.html without any script."""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from typing import Any

from pydp_cli.subjects.durations import in_words
from pydp_cli.subjects.processing import RIGHTS
from pydp_cli.wording import counted

SHOWN_ROWS = 200
TABLE_COLUMNS = 6
"""More columns do not fit on a page, on paper least of all."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; }
th, td { border: 1px solid #8886; padding: .25rem .5rem; text-align: left; vertical-align: top; }
th { background: #8882; } .none, caption { opacity: .7; }
td { overflow-wrap: break-word; max-width: 30rem; } caption { text-align: left; }
table.record { display: table; width: 100%; break-inside: avoid; } .record th { width: 12rem; }
.record td { overflow-wrap: anywhere; }
td.count { text-align: right; font-variant-numeric: tabular-nums; }
@media (max-width: 30rem) { .record th { width: 7rem; } }
@media print { body { max-width: none; } table { font-size: 80%; } td { overflow-wrap: anywhere; } }
@media print { h2 { break-after: avoid; } }
"""


_ANSWERS = {"given": "agreed", "refused": "refused", "withdrawn": "took it back", "opted-out": "opted out"}


@dataclass(frozen=True)
class Section:
    """A dataset's part of the page: what it is for, its columns, and the first rows."""

    title: str
    about: dict[str, Any]
    files: int
    rows: int
    columns: tuple[str, ...]
    shown: Iterable[tuple[str, ...]]


def readme(facts: dict[str, Any], *, signed: bool) -> str:
    """Say in plain words what this is."""
    controller = facts["controller"]
    name = controller["name"] or "the organisation that sent you this"
    check = (
        "The file manifest.json lists every file with its SHA-256, and manifest.sig signs that list.\n"
        "`pydp export-user --verify FILE` checks both."
        if signed
        else "The file manifest.json lists every file with its SHA-256. It is not signed."
    )
    return f"""This is a copy of the data about you that {name} holds, as of {facts["as_of"]}.

Begin with index.html: it opens in any browser, also without a connection.

data/NAME.jsonl        the data, one JSON object a row; nothing is changed but what omissions.json tells
data/NAME.csv          the same as a table; a text that a spreadsheet would take for a formula has an
                       apostrophe in front
data/NAME.schema.json  what the columns are
processing.json        what the data is used for, and on what legal basis, how long it is kept, who gets it
consent/               what you agreed to, and withdrew
omissions.json         what was left out, and why

{RIGHTS}

Questions: {_contact(facts)}

{check}
"""


def index_page(
    facts: dict[str, Any],
    sections: Iterable[Section],
    omissions: list[dict[str, Any]],
    consent: Sequence[dict[str, Any]],
) -> Iterator[bytes]:
    """Write the page, section by section; every value is escaped, and nothing is loaded."""
    name = facts["controller"]["name"]
    found = list(sections)
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width"><title>Your data</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>{escape(f'Your data at {name}' if name else 'Your data')}</h1>\n"
        f"<p>As of {escape(_day(facts['as_of']))}. Request {escape(facts['request'])}.</p>\n<p>{escape(RIGHTS)}</p>\n"
    ).encode()
    yield from _overview(found)
    for number, section in enumerate(found):
        yield from _section(number, section)
    yield from _said(consent)
    if omissions:
        yield b"<h2>What was left out</h2>\n<ul>\n"
        for one in omissions:
            yield f"<li>{escape(one['dataset'])}: {escape(one['what'])} ({escape(one['why'])})</li>\n".encode()
        yield b"</ul>\n"
    yield f"<h2>Questions</h2>\n<p>Write to {escape(_contact(facts))}.</p>\n</body></html>\n".encode()


def _said(consent: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """List what the person agreed to and took back."""
    if not consent:
        return
    yield b"<h2>What you agreed to, and refused</h2>\n<table><thead><tr>"
    yield b'<th scope="col">Purpose</th><th scope="col">You</th><th scope="col">When</th></tr></thead><tbody>\n'
    for event in consent:
        until = f", until {_day(event['until'])}" if event.get("until") else ""
        cells = (event["purpose"], _ANSWERS[event["status"]], _day(event["at"]) + until)
        yield f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in cells)}</tr>\n".encode()
    yield b"</tbody></table>\n"


def _contact(facts: dict[str, Any]) -> str:
    controller = facts["controller"]
    return str(controller.get("dpo") or controller.get("address") or "the address that you wrote to")


def _day(moment: str) -> str:
    """Write a moment as people read it; the month by its name, for the order of numbers differs by country."""
    at = datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(timezone.utc)
    return f"{at.day} {month_name[at.month]} {at.year}, {at:%H:%M} UTC"


def _plain(category: str) -> str:
    """Write a term of a vocabulary in words: `pd:EmailAddress` is "email address"."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", category.rpartition(":")[2]).lower()


def _overview(sections: Sequence[Section]) -> Iterator[bytes]:
    yield b'<table><thead><tr><th scope="col">Where</th><th scope="col">Found</th></tr></thead><tbody>\n'
    for number, section in enumerate(sections):
        rows = "nothing" if not section.rows else counted(section.rows, "row")
        link = f'<a href="#d{number}">{escape(section.title)}</a>'
        yield f'<tr><td>{link}</td><td class="count">{rows}</td></tr>\n'.encode()
    yield b"</tbody></table>\n"


def _section(number: int, section: Section) -> Iterator[bytes]:
    yield f'<h2 id="d{number}">{escape(section.title)}</h2>\n'.encode()
    purposes = "; ".join(
        f"{purpose['description'] or purpose['name']} ({purpose['basis'] or 'no legal basis is named'})"
        for purpose in section.about["purposes"]
    )
    if purposes:
        yield f"<p>Used for: {escape(purposes)}.</p>\n".encode()
    if section.about["categories"]:
        categories = ", ".join(map(_plain, section.about["categories"]))
        yield f"<p>What it is: {escape(categories)}.</p>\n".encode()
    if section.about["recipients"]:
        yield f"<p>Passed on to: {escape(', '.join(section.about['recipients']))}.</p>\n".encode()
    if section.about["retention"]:
        yield f"<p>Kept for {escape(in_words(section.about['retention']['keep']))}.</p>\n".encode()
    for column, rule in section.about["retention_of_columns"].items():
        yield f"<p>{escape(column)} is kept for {escape(in_words(rule['keep']))}.</p>\n".encode()
    if not section.rows:
        searched = "1 file was" if section.files == 1 else f"{section.files:,} files were"
        yield f'<p class="none">{searched} searched, and nothing about you was found.</p>\n'.encode()
        return
    yield from _table(section) if len(section.columns) <= TABLE_COLUMNS else _records(section)
    if section.rows > SHOWN_ROWS:
        yield f"<p>{section.rows:,} rows in all; the rest is in the data folder.</p>\n".encode()


def _table(section: Section) -> Iterator[bytes]:
    yield b"<table><thead><tr>"
    yield "".join(f'<th scope="col">{escape(name)}</th>' for name in section.columns).encode()
    yield b"</tr></thead><tbody>\n"
    for row in section.shown:
        cells = "".join(f"<td>{escape(text)}</td>" for text in row)
        yield f"<tr>{cells}</tr>\n".encode("utf-8", "backslashreplace")
    yield b"</tbody></table>\n"


def _records(section: Section) -> Iterator[bytes]:
    """Write each row as a table of its own, with a line for each column: a page is not wide enough for the columns."""
    for number, row in enumerate(section.shown, start=1):
        yield f'<table class="record"><caption>{number:,} of {section.rows:,}</caption><tbody>\n'.encode()
        for name, text in zip(section.columns, row, strict=False):
            line = f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>\n'
            yield line.encode("utf-8", "backslashreplace")
        yield b"</tbody></table>\n"
