"""A certificate as one page of HTML, to read and to print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from pydp_cli.errors import Refused
from pydp_cli.subjects.bundle_pages import STYLE

_PIECE = 16


def check_page(said: Mapping[str, Any], path: Path, *, tool: str) -> bool:
    """Tell whether there is a page that could be compared; raises `Refused` where it does not show the certificate.

    Another version of pydp may have written the same differently, so that its pages are not compared.
    """
    if said.get("tool") != tool or not path.exists():
        return False
    if path.read_bytes() != certificate_page(said):
        raise Refused("the page was altered: it does not show what was signed", place=str(path))
    return True


def certificate_page(said: Mapping[str, Any]) -> bytes:
    """Write the page; it loads nothing and runs nothing."""
    totals = said["totals"]
    done = said["verdict"] == "erased"
    title = "Certificate of erasure" if done else "Report of an incomplete erasure"
    name = said["controller"]["name"] or "The controller"
    facts = {
        "Erasure": said["id"],
        "Request": said["request"] or "none named",
        "Made": said["made"],
        "People": f"{len(said['people']):,}, by keyed hashes",
        "Rows deleted": f"{totals['deleted']:,} in {totals['files']:,} files",
        "Cells changed": ", ".join(f"{count:,} of {column}" for column, count in totals["changed"].items()) or "none",
        "Rows kept": f"{totals['kept']:,}",
        "Rows under a legal hold": f"{totals['held']:,} ({', '.join(said['holds'])})" if said["holds"] else "none",
        "Rows to be looked at by hand": f"{totals['review']:,}",
        **_keys(said.get("shredded")),
        "Policy": said["policy"],
        "Signed by": said["signed_by"],
    }
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{STYLE} td {{ overflow-wrap: break-word; }}</style></head><body>\n<h1>{title}</h1>\n"
    )
    intro = (
        f"<p>{escape(name)} erased personal data on request. This page shows what pydp measured; the signed document "
        "beside it is what counts, and <code>pydp certificate verify</code> checks it.</p>\n"
    )
    parts = [
        head,
        intro,
        _table((), facts.items()),
        "<h2>A fresh search afterwards</h2>\n",
        _found(said["found"]),
        _section(
            "What may be left",
            ("dataset", "place", "what"),
            [(one["dataset"], one["path"], one["what"]) for one in said.get("unclear", ())],
        ),
        _section(
            "Files that changed",
            ("dataset", "file", "deleted", "changed", "SHA-256 before", "SHA-256 after"),
            [
                (one["dataset"], one["path"], one["deleted"], sum(one["changed"].values()), one["before"], one["after"])
                for one in said["files"]
            ],
        ),
        _section(
            "What stayed, and why",
            ("dataset", "file", "rows", "why"),
            [(one["dataset"], one["path"], _staying(one), _why(one)) for one in said["staying"]],
        ),
        _section(
            "What was not searched",
            ("dataset", "file", "why"),
            [(one["dataset"], one.get("path", "all"), one["why"]) for one in said["not_searched"]],
        ),
        _list("Who received the data, and is to be told", said["recipients"]),
        _list("Models that were trained on it", said["models"]),
        _list("What this cannot reach", said["limits"]),
        "</body></html>\n",
    ]
    return "".join(parts).encode()


def _keys(shredded: Mapping[str, Any] | None) -> dict[str, str]:
    """Tell what became of people's own keys, where there is a store of them."""
    if shredded is None:
        return {}
    holds = f" ({', '.join(shredded['holds'])})" if shredded["holds"] else ""
    kept = f"; those of {shredded['people_kept']:,} people stay{holds}" if shredded["people_kept"] else ""
    return {"Keys of people destroyed": f"{shredded['keys']:,}{kept}"}


def _found(findings: list[dict[str, Any]]) -> str:
    if not findings:
        return "<p>Nothing was found any more.</p>\n"
    rows = [(one.get("dataset", ""), one["path"], one["what"]) for one in findings]
    return "<p><strong>This is still there:</strong></p>\n" + _table(("dataset", "place", "what"), rows)


def _staying(one: Mapping[str, Any]) -> int:
    return int(one["kept"] + one["review"] + sum(one["held"].values()))


def _why(one: Mapping[str, Any]) -> str:
    reasons = [f"legal hold {hold}" for hold in one["held"]]
    if one["kept"]:
        reasons.append(one["because"] or "the rule does not cover them")
    if one["review"]:
        reasons.append("to be looked at by hand")
    return "; ".join(reasons)


def _section(title: str, headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    return f"<h2>{title}</h2>\n{_table(headings, rows)}" if rows else ""


def _list(title: str, items: Iterable[str]) -> str:
    lines = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<h2>{title}</h2>\n<ul>{lines}</ul>\n" if lines else ""


def _broken(text: str) -> str:
    """Let long words, as digests are, break into pieces, and no others."""
    words = (
        "<wbr>".join(escape(word[at : at + _PIECE]) for at in range(0, len(word), _PIECE))
        if len(word) > 2 * _PIECE
        else escape(word)
        for word in text.split(" ")
    )
    return " ".join(words)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in headings)
    body = "".join("<tr>" + "".join(f"<td>{_broken(str(cell))}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table>{'<thead><tr>' + head + '</tr></thead>' if head else ''}<tbody>\n{body}</tbody></table>\n"
