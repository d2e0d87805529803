"""`pydp erase-user`: a person's data, erased everywhere the policy reaches, with a certificate."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.rights import Merge, Subjects, SubjectsFile
from pydp_cli.errors import Refused, UsageError
from pydp_cli.wording import counted

if TYPE_CHECKING:
    from pydp_cli.keys.keyring import Keyring
    from pydp_cli.policy.model import Policy
    from pydp_cli.subjects.catalogue import Catalogue
    from pydp_cli.subjects.certificate import Certificate
    from pydp_cli.subjects.erase import ErasurePlan, Run
    from pydp_cli.subjects.erasures import Erasure
    from pydp_cli.subjects.shred import Shredding
    from pydp_cli.subjects.subject import Subject

PLAN_KIND = "pydp-erasure-plan-1"
HELD, LEFT = 5, 3

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="""\b
Example:
  pydp erase-user -p pydp.yml --subject customer_id=001822 --key-file pydp.key
  pydp erase-user --subjects leavers.csv --plan leavers.plan.json --key-file pydp.key
  pydp erase-user --apply leavers.plan.json --key-file pydp.key
"""
)
@with_access
def erase_user(
    *,
    access: Access,
    subject: Subjects = None,
    subjects: SubjectsFile = None,
    merge: Merge = False,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Write what would happen, to be reviewed.")
    ] = None,
    apply: Annotated[
        Path | None, typer.Option("--apply", metavar="FILE", help="Do what a plan says, if it still holds.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Finish what was interrupted.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Give up what was not committed yet.")] = False,
    reapply: Annotated[
        bool, typer.Option("--reapply", help="Erase those again who were erased and have come back, by a restore.")
    ] = False,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="Where the certificate goes, too: NAME.json.")
    ] = None,
    request: Annotated[
        str | None, typer.Option("--request", metavar="NUMBER", help="The number of the request.")
    ] = None,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait for another run to end.")] = 0,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Find a person in every dataset of the policy, and erase them as its `erase:` rules say.

    Shows what will happen and asks. All files change together, or none does; row groups and lines without the person
    stay as they are to the byte. Rows under a legal hold stay (exit code 5). Afterwards everything is searched once
    more, and a signed certificate says what was measured; what is still there makes it exit code 3.
    """
    load_arrow()
    if sum([bool(subject or subjects), apply is not None, resume, abort, reapply]) > 1:
        raise UsageError("--subject, --subjects, --apply, --resume, --abort and --reapply exclude each other")
    from pydp_cli.cli import rights
    from pydp_cli.keys.keyring import utc_now
    from pydp_cli.rewrite.lock import run_lock
    from pydp_cli.subjects.catalogue import catalogue_of
    from pydp_cli.subjects.erase import Run
    from pydp_cli.subjects.erasures import COMMAND

    policy = opt.find_and_load_policy(access.policy)
    keyring = rights.required_keyring(policy, access, "erasing a person")
    work = _Work(
        policy, catalogue_of(policy), keyring, Run(keyring, utc_now().date(), policy.state_dir), json=json, quiet=quiet
    )
    with run_lock(policy.state_dir, COMMAND, wait_seconds=wait):
        if abort or resume:
            work.tidy()
        if abort:
            work.abort()
        elif resume:
            work.resume(certificate)
        elif apply is not None:
            work.apply(apply, certificate, request)
        elif reapply:
            work.reapply(certificate, request, yes=yes)
        else:
            people = rights.subjects_of(work.catalogue, subject, subjects)
            work.refuse_unfinished()
            made = work.planned(people, merge=merge)
            if plan is not None:
                work.write_plan(made, plan)
            else:
                work.ask(made, yes=yes)
                work.carry_out(made, certificate, request=request)


@dataclass(frozen=True)
class _Work:
    """One call of the command, which holds the lock."""

    policy: Policy
    catalogue: Catalogue
    keyring: Keyring
    run: Run
    json: bool
    quiet: bool

    def planned(self, people: list[Subject], *, merge: bool) -> ErasurePlan:
        """Search everything, and plan."""
        from pydp_cli.subjects.erase import plan_erasure

        return plan_erasure(self.catalogue, people, keyring=self.keyring, today=self.run.today, merge=merge)

    def refuse_unfinished(self) -> None:
        """Refuse to begin while an earlier erasure is not finished."""
        from pydp_cli.errors import TemporaryFailure
        from pydp_cli.subjects.erasures import unfinished

        for one in unfinished(self.policy.state_dir):
            raise TemporaryFailure(
                "an earlier erasure was interrupted",
                place=one.id,
                hint="finish it with --resume, or give it up with --abort",
            )

    def write_plan(self, plan: ErasurePlan, path: Path) -> None:
        """Write a plan for review; it names nobody in clear."""
        from pydp_cli.audit.signing import signer_of
        from pydp_cli.cli.render import note
        from pydp_cli.datasets.publish import Publication
        from pydp_cli.subjects.erase import digest_of_facts
        from pydp_cli.subjects.erasures import sealed
        from pydp_cli.subjects.signed_document import signed_document

        facts = plan.facts(self.keyring)
        digest = digest_of_facts(facts)
        people = sealed(self.keyring, digest, list(plan.subjects))
        facts |= {"digest": digest, "sealed_people": people, "merge": plan.merge}
        raw = signed_document(PLAN_KIND, facts, signer_of(self.keyring, "plan"))
        with Publication(force=False) as publication:
            publication.stage(str(path)).stream.write(raw)
            publication.commit()
        self.show(plan)
        if not self.quiet:
            note(f"{path}: nothing was changed; review it, and do it with --apply {path}")

    def apply(self, path: Path, certificate: Path | None, request: str | None) -> None:
        """Do what a plan says, after making sure that it would come out the same now."""
        from base64 import b64decode

        from pydp_cli.audit.signing import public_keys_of
        from pydp_cli.cli.render import note
        from pydp_cli.subjects.erase import digest_of_facts
        from pydp_cli.subjects.erasures import all_erasures
        from pydp_cli.subjects.sealed_people import open_people
        from pydp_cli.subjects.signed_document import read_document

        said = read_document(PLAN_KIND, _read(path), str(path), public_keys=public_keys_of(self.keyring, "plan"))
        if any(one.plan == said["digest"] and one.finished for one in all_erasures(self.policy.state_dir)):
            note(f"{path}: this plan was carried out already, and nothing is left to do")
            return
        self.refuse_unfinished()
        people = open_people(self.keyring, "erasure", said["digest"], b64decode(said["sealed_people"]))
        plan = self.planned(people, merge=said["merge"])
        facts = plan.facts(self.keyring)
        for name in ("policy", "holds", "people", "files", "searched"):
            if facts[name] != said[name]:
                raise Refused(
                    f"what it was planned on has changed since: {_WHAT[name]}",
                    place=str(path),
                    hint="plan again, and review",
                )
        self.carry_out(plan, certificate, request=request, plan_digest=digest_of_facts(facts))

    def ask(self, plan: ErasurePlan, *, yes: bool) -> None:
        """Show what will happen, and ask."""
        self.show(plan)
        if yes or not plan.changing:
            return
        if not sys.stdin.isatty():
            raise UsageError("there is nobody to ask", hint="add --yes, or write a plan with --plan FILE and review it")
        typer.confirm("Erase this? It cannot be undone.", abort=True, err=True)

    def show(self, plan: ErasurePlan) -> None:
        """Show what happens to each dataset."""
        from pydp_cli.cli.render import note, print_grid

        if self.quiet or self.json:
            return
        if not plan.files:
            files = sum(len(plan.found.of_dataset(name)) for name in self.catalogue.order)
            note(f"nothing was found of this person in {files:,} files")
            return
        headings = ("dataset", "file", "found", "what happens")
        print_grid("What happens", headings, [_row(one.as_json()) for one in plan.files])

    def carry_out(
        self, plan: ErasurePlan, certificate: Path | None, *, request: str | None, plan_digest: str | None = None
    ) -> None:
        """Erase, verify, certify."""
        from pydp_cli.subjects.erase import begin
        from pydp_cli.subjects.shred import check_store

        check_store(self.policy, self.keyring)
        erasure = begin(plan, self.run, plan_digest=plan_digest, request=request)
        self.finish(plan, erasure, certificate)

    def finish(self, plan: ErasurePlan, erasure: Erasure, certificate: Path | None) -> None:
        """Bring an erasure that has begun to its end."""
        from pydp_cli.audit.signing import signer_of
        from pydp_cli.cli import rights
        from pydp_cli.keys.keyring import utc_now
        from pydp_cli.subjects.erase import erase_all, remains_of
        from pydp_cli.subjects.erasures import changes_of, finish
        from pydp_cli.subjects.residue import scan_residue
        from pydp_cli.subjects.shred import shred_people
        from pydp_cli.subjects.signed_document import digest_of_document
        from pydp_cli.subjects.suppression import every_spelling, suppress

        last, fresh = erase_all(plan, erasure, self.run)
        people = [one.identities for one in plan.found.people]
        shredded = shred_people(fresh, self.keyring, people, today=self.run.today, clock=utc_now)
        changed = [one["real"] for one in changes_of(self.policy.state_dir, erasure)]
        residue = scan_residue(self.catalogue, erasure.subjects(self.keyring), last.held, changed)
        found = [one.as_json() for one in remains_of(fresh)] + [one.as_json() for one in residue if one.certain]
        unclear = [one.as_json() for one in residue if not one.certain]
        identities = [every_spelling(self.catalogue, self.keyring, people)]
        suppress(
            self.policy.state_dir, self.keyring, identities, clock=utc_now, signer=signer_of(self.keyring, "audit")
        )
        made = self.certified(erasure, last, found, unclear, shredded)
        places = self.keep_certificate(made, certificate)
        digest = digest_of_document(made.said)
        told = {"erasure": erasure.id, "certificate": digest, "verdict": made.said["verdict"], **made.said["totals"]}
        rights.record(self.policy, "erase-user.done", told, self.keyring)
        finish(self.policy.state_dir, erasure, digest)
        self.tell(made, places)

    def certified(
        self,
        erasure: Erasure,
        last: ErasurePlan,
        found: list[dict[str, Any]],
        unclear: list[dict[str, Any]],
        shredded: Shredding | None,
    ) -> Certificate:
        """Write the certificate."""
        from importlib.metadata import version

        from pydp_cli.audit.signing import signer_of
        from pydp_cli.keys.keyring import utc_now
        from pydp_cli.subjects.certificate import certify
        from pydp_cli.subjects.erase import references_of
        from pydp_cli.subjects.erasures import changes_of

        subjects = erasure.subjects(self.keyring)
        identities = [_by_space(subject) for subject in subjects]
        people = references_of(self.keyring, identities)
        changed = changes_of(self.policy.state_dir, erasure)
        return certify(
            erasure,
            last,
            people,
            changed,
            found,
            unclear=unclear,
            shredded=shredded,
            now=utc_now(),
            tool=f"pydp {version('pydp-cli')}",
            signer=signer_of(self.keyring, "certificate"),
        )

    def keep_certificate(self, made: Certificate, certificate: Path | None) -> list[Path]:
        """Put the certificate and its page into the state folder, and where it was asked for."""
        from pydp_cli.datasets.publish import Publication
        from pydp_cli.subjects.certificate_page import certificate_page

        folder = self.policy.state_dir / "certificates"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = [folder / f"{made.said['id']}.json", *([] if certificate is None else [certificate])]
        with Publication(force=True) as publication:
            for name in names:
                publication.stage(str(name)).stream.write(made.raw)
                publication.stage(str(name.with_suffix(".html"))).stream.write(certificate_page(made.said))
            publication.commit()
        return names

    def tell(self, made: Certificate, places: list[Path]) -> None:
        """Say what came of it, and end with its exit code."""
        from pydp_cli.cli.render import note, print_json, warn

        totals = made.said["totals"]
        if self.json:
            print_json(made.said)
        elif not self.quiet:
            cells = sum(totals["changed"].values())
            changed = f"{counted(totals['deleted'], 'row')} deleted and {counted(cells, 'cell')} changed"
            note(f"{changed} in {counted(totals['files'], 'file')}")
            if made.said["shredded"]:
                note(f"destroyed {counted(made.said['shredded']['keys'], 'key')} of people")
            note(f"certificate: {places[-1]}")
        if totals["review"]:
            warn(f"{totals['review']:,} rows are to be looked at by hand")
        for one in [*made.said["found"], *made.said["unclear"]]:
            warn(f"{one['path']}: {one['what']}")
        if not made.is_complete:
            raise typer.Exit(LEFT)
        held_keys = (made.said["shredded"] or {}).get("holds", ())
        if held_keys:
            warn(f"no key of a person was destroyed, because of a legal hold ({', '.join(held_keys)})")
        if totals["held"]:
            warn(f"{totals['held']:,} rows stay under a legal hold ({', '.join(made.said['holds'])})")
        if totals["held"] or held_keys:
            raise typer.Exit(HELD)

    def tidy(self) -> None:
        """Remove what a run that ended half-way had not put in place in the state folder."""
        from pydp_cli.audit import log
        from pydp_cli.subjects import erasures
        from pydp_cli.subjects.suppression import suppression_folder

        erasures.tidy(self.policy.state_dir)
        for folder in (self.policy.state_dir, suppression_folder(self.policy.state_dir)):
            log.tidy(folder)

    def resume(self, certificate: Path | None) -> None:
        """Finish the swaps of a committed transaction, and then every erasure that has begun."""
        from pydp_cli.cli.render import note
        from pydp_cli.rewrite import recovery
        from pydp_cli.subjects.erase import known_of, plan_erasure, remove_named_folders
        from pydp_cli.subjects.erasures import unfinished

        for _, outcome in recovery.resume(self.policy.state_dir):
            remove_named_folders(outcome.deleted)
        waiting = unfinished(self.policy.state_dir)
        if not waiting:
            note("nothing was interrupted")
        for erasure in waiting:
            if erasure.policy != self.policy.digest:
                raise Refused(
                    "the policy has changed since this erasure began",
                    place=erasure.id,
                    hint="resume it with the policy as it was",
                )
            people = erasure.subjects(self.keyring)
            plan = plan_erasure(
                self.catalogue,
                people,
                keyring=self.keyring,
                today=self.run.today,
                merge=True,
                known=known_of(people),
            )
            self.finish(plan, erasure, certificate)

    def abort(self) -> None:
        """Undo what was staged; refuse where something was committed."""
        from pydp_cli.cli.render import note
        from pydp_cli.rewrite import recovery
        from pydp_cli.subjects.erasures import changes_of, forget, unfinished

        recovery.abort(self.policy.state_dir)
        for erasure in unfinished(self.policy.state_dir):
            if changes_of(self.policy.state_dir, erasure):
                raise Refused("files were changed already", place=erasure.id, hint="finish it with --resume")
            forget(self.policy.state_dir, erasure)
            note(f"{erasure.id}: given up, and nothing was changed")

    def reapply(self, certificate: Path | None, request: str | None, *, yes: bool) -> None:
        """Erase those again who were erased before, and are in the data."""
        from pydp_cli.cli.render import note
        from pydp_cli.subjects.suppression import returned

        self.refuse_unfinished()
        people = returned(self.catalogue, self.keyring)
        if not people:
            note("nobody who was erased is in the data")
            return
        plan = self.planned(people, merge=True)
        self.ask(plan, yes=yes)
        self.carry_out(plan, certificate, request=request)


_WHAT = {
    "policy": "the policy",
    "holds": "the legal holds",
    "people": "who the person is",
    "files": "the files, or what is found in them",
    "searched": "the datasets",
}


def _read(path: Path) -> bytes:
    from pydp_cli.errors import InputError

    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=str(path)) from error


def _by_space(subject: Subject) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for space, value in subject.given:
        found.setdefault(space, []).append(value)
    return found


def _row(told: dict[str, Any]) -> list[str]:
    because = f" ({told['because']})" if told["because"] else ""
    happens = [
        *([f"delete {counted(told['deleted'], 'row')}"] if told["deleted"] else []),
        *(f"change {count:,} {name}" for name, count in told["changed"].items()),
        *([f"keep {counted(told['kept'], 'row')}{because}"] if told["kept"] else []),
        *([f"leave {counted(told['review'], 'row')} to be looked at"] if told["review"] else []),
        *(f"keep {counted(count, 'row')} under hold {hold}" for hold, count in told["held"].items()),
    ]
    return [told["dataset"], told["path"], f"{told['found'] + told['mentions']:,}", "\n".join(happens) or "nothing"]
