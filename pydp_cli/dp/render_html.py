"""A release as one self-contained page: what it promises, bars with error bars, and the numbers; no scripts."""

from __future__ import annotations

from html import escape
from typing import Any

from pydp_cli.dp.outputs import long_rows, shown
from pydp_cli.dp.wording import promises

BAR, GAP, LABEL, WIDTH, NUMBER = 18, 12, 150, 340, 190
STYLE = """
:root { color-scheme: light dark; --ink: #1b2a33; --paper: #fff; --bar: #3f8f8a; --line: #1b2a33; --rule: #cbd5da }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf0; --paper: #14191c; --bar: #2f7f7a; --line: #e6edf0; --rule: #46525a }
}
@media print { :root { --ink: #000; --paper: #fff; --bar: #8fc1bd; --line: #000; --rule: #999 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 46rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem } figure { margin: 0; break-inside: avoid }
svg { width: 100%; height: auto } svg text { fill: var(--ink); font-size: 13px }
.bar { fill: var(--bar) } .error { stroke: var(--line); stroke-width: 1.5; fill: none } .axis { stroke: var(--rule) }
div.table { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid var(--rule); padding: .3rem .6rem; text-align: left }
th:nth-last-child(-n+3), td:nth-last-child(-n+3) { text-align: right } tr { break-inside: avoid }
"""


def page(release: dict[str, Any]) -> str:
    """Make the page."""
    title = f"{release['query']}: released statistics"
    parts = [
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>",
        "<h2>What this promises</h2>\n<ul>",
        *(f"<li>{escape(sentence)}</li>" for sentence in promises(release)),
        "</ul>",
        *(_chart(release, name) for name in release["names"] if release["rows"]),
        "<h2>All numbers, with 95 % intervals</h2>",
        _table(release),
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _chart(release: dict[str, Any], name: str) -> str:
    rows = [row for row in release["rows"] if row[name] is not None]
    lowest = min(0.0, *(float(row[f"{name}_low"]) for row in rows))
    span = max(0.0, *(float(row[f"{name}_high"]) for row in rows)) - lowest or 1.0

    def across(value: float) -> float:
        return round(LABEL + (value - lowest) / span * WIDTH, 1)

    zero, height = across(0), len(rows) * (BAR + GAP) + GAP
    drawn = [f'<line class="axis" x1="{zero}" x2="{zero}" y1="0" y2="{height}"/>']
    for place, row in enumerate(rows):
        top = GAP + place * (BAR + GAP)
        middle = top + BAR / 2
        label = ", ".join(row[group] for group in release["groups"]) or "all"
        value, low, high = (across(float(row[key])) for key in (name, f"{name}_low", f"{name}_high"))
        drawn += [
            f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(_short(label))}</text>',
            f'<rect class="bar" x="{min(zero, value)}" y="{top}" width="{abs(value - zero):.1f}" height="{BAR}"/>',
            f'<path class="error" d="M{low} {middle - 5}v10M{high} {middle - 5}v10M{low} {middle}H{high}"/>',
            (
                f'<text x="{LABEL + WIDTH + 10}" y="{middle + 4}">{shown(row[name])} ± '
                f"{shown(max(row[f'{name}_high'] - row[name], row[name] - row[f'{name}_low']))}</text>"
            ),
        ]
    box = f"0 0 {LABEL + WIDTH + NUMBER} {height}"
    described = (
        f"{name} by {', '.join(release['groups']) or 'all'}, with 95 % intervals; the table below has the numbers"
    )
    return (
        f"<figure>\n<h2>{escape(name)}</h2>\n"
        f'<svg viewBox="{box}" role="img" aria-label="{escape(described)}">{"".join(drawn)}</svg>\n</figure>'
    )


def _short(label: str) -> str:
    return label if len(label) <= 20 else label[:19] + "…"


def _table(release: dict[str, Any]) -> str:
    headings = [*release["groups"], "statistic", "value", "from", "to"]
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(str(row[name]))}</td>" for name in headings) + "</tr>\n"
        for row in long_rows(release)
    )
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in headings)
    return f'<div class="table"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table></div>'
