"""`pydp keys export` and `import`: give away the key of one column, so that others open its cells and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access
from pydp_cli.cli.keys.group import subcommand, tell
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.crypto.cells import Place
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.keys.tink_format import TinkKey

Tink = Annotated[bool, typer.Option("--tink", help="As a keyset of Tink, in JSON and in clear text.")]
Column = Annotated[str | None, typer.Option("--column", metavar="DATASET.COLUMN", help="The column whose key it is.")]
Domain = Annotated[
    str | None,
    typer.Option("--domain", metavar="NAME", help="The domain, where the policy encrypts the column in one."),
]


@subcommand("export", "pydp keys export --tink --column customers.email -o email.keyset --key-file ../secrets/pydp.key")
def export(
    *,
    access: Access,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="PATH", help="The file to make (0600); never over another.")
    ],
    tink: Tink = False,
    column: Column = None,
    domain: Domain = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write the key of one column for other software.

    Tink, in any of its languages, opens deterministic cells of that column with it, and BigQuery does in SQL. The
    associated data is told: Tink asks for it. Whoever has the file opens the column, for as long as it lives.
    """
    from pydp_cli.keys.tink_format import keyset
    from pydp_cli.keys.unlock import write_private_file

    _only_tink(tink=tink)
    place = _place(column, domain)
    ring = access.open()
    keys = _column_keys(ring, place)
    primary = ring.column_key("cell", *place.scope).key_id
    write_private_file(output, keyset(keys, primary), "keyset")
    associated = {key.key_id.hex(): place.encode(b"\x01" + key.key_id).hex() for key in keys}
    tell(
        ring,
        f"wrote {output} with {len(keys)} keys; the associated data is, in hexadecimal:\n"
        + "\n".join(f"      {data}  (cells under key {key_id})" for key_id, data in associated.items()),
        json=json,
        quiet=quiet,
        file=str(output),
        associated_data=associated,
    )


@subcommand("import", "pydp keys import --tink email.keyset --column customers.email --key-file ../secrets/pydp.key")
def import_keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The keyset; refused where others can read it.")],
    *,
    access: Access,
    tink: Tink = False,
    column: Column = None,
    domain: Domain = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Add the key of one column that another keyring exported.

    `pydp decrypt` then opens that column, and no other one. Such a key makes no new data.
    """
    from pydp_cli.keys import changes
    from pydp_cli.keys.tink_format import MOST_BYTES, parse_keyset
    from pydp_cli.keys.unlock import read_private_file

    _only_tink(tink=tink)
    place = _place(column, domain)
    text = read_private_file(file, "keyset", most=MOST_BYTES).decode("utf-8", errors="replace")
    keys = parse_keyset(text, str(file))
    ring = access.open()
    known = {version.key_id for version in ring.versions()}
    new = [key for key in keys if key.key_id not in known]
    for key in new:
        ring = changes.import_column_key(ring, key.key_id, key.key, place.scope)
    ids = [key.key_id.hex() for key in new]
    already = f"; {len(keys) - len(new)} were there already" if len(new) < len(keys) else ""
    tell(ring, f"imported {len(new)} keys{already}", json=json, quiet=quiet, ids=ids)


def _only_tink(*, tink: bool) -> None:
    if not tink:
        raise UsageError("say in which format: --tink", hint="whole keyrings are copied by `pydp keys backup`")


def _place(column: str | None, domain: str | None) -> Place:
    """Give the place of the cells that are meant."""
    from pydp_cli.crypto.cells import Place

    if (column is None) == (domain is None):
        raise UsageError("name the column (--column DATASET.COLUMN) or the domain (--domain NAME)")
    if domain is not None:
        return Place("", "", domain)
    dataset, dot, name = str(column).partition(".")
    if not (dataset and dot and name):
        raise UsageError("a column is written DATASET.COLUMN", hint="for example customers.email")
    return Place(dataset, name)


def _column_keys(ring: Keyring, place: Place) -> list[TinkKey]:
    """Derive the column's key from every version that may have made its cells."""
    from pydp_cli.keys.tink_format import TinkKey

    usable = [
        version
        for version in ring.versions()
        if version.name.split("/")[0] == "cell" and version.state in {"primary", "enabled"}
    ]
    derived = [ring.column_key("cell", *place.scope, version=version.key_id) for version in usable]
    return [TinkKey(key.key_id, key.key) for key in derived]
