"""`pydp certificate`: check what an erasure certified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.wording import counted

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, help="Check certificates of erasure."
)


@app.callback()
def certificate() -> None:
    """Check certificates of erasure."""


@app.command(
    epilog="""\b
Example:
  pydp certificate verify .pydp/certificates/1f2e3d4c5b6a7988.json
  pydp certificate verify leavers.json -p pydp.yml --key-file pydp.key
"""
)
@with_access
def verify(
    file: Annotated[Path, typer.Argument(help="The certificate, NAME.json.")],
    *,
    access: Access,
    key: Annotated[
        str | None, typer.Option("--key", metavar="VKEY", help="The public key that must have signed it.")
    ] = None,
    json: opt.Json = False,
) -> None:
    """Check that a certificate is as it was signed, and so is the page beside it. Needs no data and no network.

    With a keyring, it must be signed by one of its keys; with --key, by that one; else the key that it names is taken
    at its word. A certificate of an incomplete erasure is told as such, and ends with exit code 3.
    """
    load_arrow()
    from importlib.metadata import version

    from pydp_cli.audit.notes import read_verifier
    from pydp_cli.cli.render import note, print_json
    from pydp_cli.errors import InputError, Refused
    from pydp_cli.subjects.certificate import verify_certificate
    from pydp_cli.subjects.certificate_page import check_page

    trusted: list[bytes] | None = None
    if key is not None:
        trusted = [read_verifier(key).public]
    elif access.brings_something():
        from pydp_cli.audit.signing import public_keys_of
        from pydp_cli.cli.rights import open_keyring_of

        trusted = public_keys_of(open_keyring_of(opt.find_and_load_policy(access.policy), access), "certificate")
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=str(file)) from error
    said = verify_certificate(raw, str(file), public_keys=trusted)
    check_page(said, file.with_suffix(".html"), tool=f"pydp {version('pydp-cli')}")
    if json:
        print_json(said)
    else:
        totals = said["totals"]
        by = "a key that is trusted" if trusted is not None else "the key that it names"
        note(f"{file}: as it was signed on {said['made']}, by {by}")
        deleted = f"{counted(totals['deleted'], 'row')} deleted in {counted(totals['files'], 'file')}"
        note(f"{deleted}, {totals['held']:,} under a legal hold")
    if said["verdict"] != "erased":
        raise Refused("the erasure that it tells of was not complete", place=str(file))
