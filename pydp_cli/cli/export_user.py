"""`pydp export-user`: a copy of a person's data, as one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.rights import Merge, Subjects, SubjectsFile
from pydp_cli.errors import UsageError
from pydp_cli.wording import counted

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.policy.model import Policy
    from pydp_cli.subjects.export import Exported, ExportRequest
    from pydp_cli.subjects.resolution import Resolution

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="""\b
Example:
  pydp export-user -p fixtures/pydp.yml --subject customer_id=001822 -o copy.zip
  pydp export-user --verify copy.zip
"""
)
@with_access
def export_user(
    *,
    access: Access,
    subject: Subjects = None,
    subjects: SubjectsFile = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="PATH", help="NAME.zip, a new folder, or for --subjects a folder of zip files."
        ),
    ] = None,
    merge: Merge = False,
    encrypt_to: Annotated[
        list[str] | None, typer.Option("--encrypt-to", metavar="AGE1…", help="Encrypt the zip to an age recipient.")
    ] = None,
    request: Annotated[
        str | None, typer.Option("--request", metavar="NUMBER", help="The number of the request, for the bundle.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", metavar="FILE", help="Verify a bundle instead of making one.")
    ] = None,
    force: opt.Force = False,
    as_of: opt.AsOf = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Find a person's data in every dataset of the policy, and write a copy of it for them.

    The bundle has a page to read, the data as JSON lines and CSV, what it is used for, what was left out and why, and
    a signed list of all files. Datasets in which nothing was found are named too. It is readable by its owner alone.
    """
    load_arrow()
    if verify is not None:
        _verify(verify, access, json=json)
        return
    if output is None:
        raise UsageError("say where the copy goes", hint="-o NAME.zip")
    from importlib.metadata import version

    from pydp_cli.cli import rights
    from pydp_cli.cli.render import note, print_json
    from pydp_cli.subjects.catalogue import catalogue_of
    from pydp_cli.subjects.export import ExportRequest
    from pydp_cli.subjects.resolve import resolve

    policy = opt.find_and_load_policy(access.policy)
    catalogue = catalogue_of(policy)
    people = rights.subjects_of(catalogue, subject, subjects)
    keyring = rights.keyring_if_any(policy, access)
    found = resolve(catalogue, people, keyring=keyring, merge=merge)
    if not quiet and len(found.people) == 1:
        for step in found.trail:
            note(str(step))
    found.require_unambiguous()
    asked = ExportRequest(
        catalogue,
        found,
        rights.moment_of(as_of),
        version("pydp-cli"),
        request=request,
        keyring=keyring,
        signer=rights.signer_if_any(keyring, "export"),
        recipients=encrypt_to or (),
        force=force,
        consent=_consent(policy, found, keyring),
    )
    made = _write(asked, output, several=subjects is not None)
    rows = sum(one.rows for one in made)
    details = {"people": len(made), "rows": rows, "subjects": [one.reference for one in made[:1000]]}
    rights.record(policy, "export-user.done", {**details, "manifests": [one.manifest for one in made[:1000]]}, keyring)
    if json:
        print_json([vars(one) for one in made])
    elif not quiet:
        for one in made:
            left_out = f", {one.omissions} left out (omissions.json)" if one.omissions else ""
            told = f"{counted(one.rows, 'row')} of {counted(one.datasets, 'dataset')}"
            note(f"{one.path}: {told}{left_out}")
        if keyring is None:
            note("the bundle is not signed: unlock the keyring with --key-file or --passphrase-file to sign it")


def _consent(policy: Policy, found: Resolution, keyring: Keyring | None) -> dict[int, list[dict[str, Any]]]:
    """Give what each person said, where something is recorded and the keyring can tell whose it is."""
    from pydp_cli.subjects.consent import consent_folder, events_of

    if keyring is None or not consent_folder(policy.state_dir).exists():
        return {}
    identities = [person.identities for person in found.people]
    return dict(enumerate(events_of(policy.state_dir, keyring, identities)))


def _write(asked: ExportRequest, output: str, *, several: bool) -> list[Exported]:
    from pydp_cli.subjects.export import export_people, export_person

    if not several:
        return [export_person(asked, 0, Path(output))]
    folder = Path(output)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ending = ".zip.age" if asked.recipients else ".zip"
    width = len(str(len(asked.found.people)))
    people = range(1, len(asked.found.people) + 1)
    return list(export_people(asked, [folder / f"person-{number:0{width}}{ending}" for number in people]))


def _verify(path: Path, access: Access, *, json: bool) -> None:
    from pydp_cli.cli.render import note, print_json
    from pydp_cli.cli.rights import open_keyring_of
    from pydp_cli.subjects.bundle_verify import verify_bundle

    public_keys = None
    if access.brings_something():
        from pydp_cli.audit.signing import public_keys_of

        public_keys = public_keys_of(open_keyring_of(opt.find_and_load_policy(access.policy), access), "export")
    checked = verify_bundle(path, public_keys=public_keys)
    if json:
        print_json(
            {"files": len(checked.manifest["files"]), "signed_by": checked.signed_by, "trusted": checked.trusted}
        )
        return
    by = "by the keyring's key" if checked.trusted else "by the key that it names" if checked.signed_by else "by nobody"
    note(f"{path}: {len(checked.manifest['files'])} files are as they were written, signed {by}")
