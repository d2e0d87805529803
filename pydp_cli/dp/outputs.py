"""A release as a table: for the terminal with intervals in one cell, and for files with a column each."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from pydp_cli.datasets.formats import format_of_name, open_sink
from pydp_cli.datasets.publish import staged
from pydp_cli.dp.wording import promises
from pydp_cli.errors import UsageError


def table_rows(release: dict[str, Any]) -> list[dict[str, Any]]:
    """Give a line for each group, each number with its interval."""
    return [
        {
            **{name: row[name] for name in release["groups"]},
            **{
                name: ""
                if row[name] is None
                else f"{shown(row[name])} [{shown(row[f'{name}_low'])}, {shown(row[f'{name}_high'])}]"
                for name in release["names"]
            },
        }
        for row in release["rows"]
    ]


def long_rows(release: dict[str, Any]) -> list[dict[str, Any]]:
    """Give a line for each number: what `table_rows` gives, for paper and terminals that are not wide enough for it."""
    return [
        {
            **{group: row[group] for group in release["groups"]},
            "statistic": name,
            "value": shown(row[name]),
            "from": shown(row[f"{name}_low"]),
            "to": shown(row[f"{name}_high"]),
        }
        for name in release["names"]
        for row in release["rows"]
        if row[name] is not None
    ]


def shown(value: float) -> str:
    """Write a number for people: thousands apart, no more digits than it has."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def write_table(release: dict[str, Any], target: str, *, force: bool) -> None:
    """Write the release as CSV, Parquet or JSON, by the name of the file."""
    if target.endswith(".json"):
        with staged(target, force=force) as stream:
            stream.write(
                (json.dumps({**release, "promises": promises(release)}, indent=2, ensure_ascii=False) + "\n").encode()
            )
        return
    form = format_of_name("x.csv" if target == "-" else target)
    if form is None:
        raise UsageError("the name does not tell a format", place=target, hint="end it in .csv, .parquet or .json")
    table = as_table(release, text=form.name != "parquet")
    with staged(target, force=force) as stream:
        sink = open_sink(stream, form, table.schema)
        for batch in table.to_batches():
            sink.write(sink.encoder.encode(batch), None)
        sink.close()


def as_table(release: dict[str, Any], *, text: bool) -> pa.Table:
    """Make the table: group keys, then for each statistic `name`, `name_low`, `name_high`."""
    names = list(release["groups"])
    for name in release["names"]:
        names += [name, f"{name}_low", f"{name}_high"]
    columns = {name: [row[name] for row in release["rows"]] for name in names}
    if text:
        arrays = {
            name: pa.array([None if value is None else str(value) for value in values], pa.string())
            for name, values in columns.items()
        }
    else:
        kinds = {name: pa.string() if name in release["groups"] else None for name in names}
        arrays = {name: pa.array(values, kinds[name]) for name, values in columns.items()}
        arrays = {n: a if a.type != pa.null() else a.cast(pa.float64()) for n, a in arrays.items()}
    metadata = {b"pydp.promises": "\n".join(promises(release)).encode()}
    return pa.table(arrays).replace_schema_metadata(metadata)
