"""The certificate of an erasure: what was measured, signed, without personal data.

It says for each file how many rows were deleted or changed and its digests before and after, what stayed and why, what
holds kept, what a fresh search and the scan for residue found afterwards, and what pydp cannot reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pydp_cli.audit.signing import Signer
from pydp_cli.subjects.erase import ErasurePlan, needles_of
from pydp_cli.subjects.erase_actions import shown_path
from pydp_cli.subjects.erasures import Erasure
from pydp_cli.subjects.processing import controller_of
from pydp_cli.subjects.shred import Shredding
from pydp_cli.subjects.signed_document import read_document, signed_document

KIND = "pydp-certificate-1"
LIMITS = (
    "Backups, snapshots and copies outside of the policy's datasets are not reached.",
    "Who comes back by a restore is erased again by `pydp erase-user --reapply`.",
    "What a file system or a drive keeps of replaced files is not reached; encrypted storage covers that.",
    "People are found by the identifiers and links that the policy declares.",
)
LIMITS_OF_KEYS = (
    "Whoever has a copy of the keyring and one of the store of people's keys, both from before, can read cells still.",
)


@dataclass(frozen=True)
class Certificate:
    """A certificate as it is written: what it says, and its bytes."""

    said: dict[str, Any]
    raw: bytes

    @property
    def is_complete(self) -> bool:
        """Whether nothing was found afterwards that should be gone."""
        return bool(self.said["verdict"] == "erased")


def certify(
    erasure: Erasure,
    last: ErasurePlan,
    people: Sequence[Sequence[str]],
    changed: Sequence[dict[str, Any]],
    found: Sequence[dict[str, Any]],
    *,
    unclear: Sequence[dict[str, Any]] = (),
    shredded: Shredding | None,
    now: datetime,
    tool: str,
    signer: Signer,
) -> Certificate:
    """Write the certificate of an erasure.

    `last` is the plan of its last round, `people` the references of whom it is about, `changed` what was done to each
    file, `found` what is left where it should not be, `unclear` what may be, and `shredded` what became of people's own
    keys.
    """
    policy = last.catalogue.policy
    staying = [one.as_json() for one in last.files if one.kept or one.review or one.held]
    facts = {
        "id": erasure.id,
        "request": erasure.request,
        "made": now.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "tool": tool,
        "policy": erasure.policy,
        "plan": erasure.plan,
        "controller": controller_of(policy),
        "people": [list(one) for one in people],
        "verdict": "incomplete" if found else "erased",
        "totals": {
            "files": len({file["path"] for file in changed}),
            "deleted": sum(file["deleted"] for file in changed),
            "changed": dict(sum((Counter(file["changed"]) for file in changed), Counter[str]())),
            "kept": sum(one["kept"] for one in staying),
            "review": sum(one["review"] for one in staying),
            "held": sum(sum(one["held"].values()) for one in staying),
        },
        "files": [{name: value for name, value in file.items() if name != "real"} for file in changed],
        "staying": staying,
        "holds": sorted({hold for one in staying for hold in one["held"]}),
        "found": list(found),
        "unclear": list(unclear),
        "shredded": None if shredded is None else shredded.as_json(),
        "not_searched": _not_searched(last),
        "recipients": sorted({name for purpose in policy.purposes.values() for name in purpose.recipients}),
        "models": sorted({model for dataset in policy.datasets.values() for model in dataset.models}),
        "limits": [*LIMITS, *(LIMITS_OF_KEYS if shredded is not None else ())],
    }
    raw = signed_document(KIND, facts, signer)
    return Certificate(read_document(KIND, raw, "", public_keys=[signer.public]), raw)


def verify_certificate(raw: bytes, place: str, *, public_keys: Iterable[bytes] | None = None) -> dict[str, Any]:
    """Verify a certificate offline; raises `Refused` with what is wrong."""
    return read_document(KIND, raw, place, public_keys=public_keys)


def _not_searched(plan: ErasurePlan) -> list[dict[str, str]]:
    """Name the datasets and files in which nobody could be looked for."""
    policy = plan.catalogue.policy
    told = [
        {"dataset": name, "why": "the policy names no way from a person to it"}
        for name, dataset in policy.datasets.items()
        if dataset.path is not None and not plan.catalogue.keys_of(name)
    ]
    needles = needles_of(plan.known)
    for matches in plan.found.files:
        if matches.num_rows < 0:
            why = "nothing is known of the people by which it could be searched"
            path = shown_path(plan.catalogue, matches, needles)
            told.append({"dataset": matches.dataset, "path": path, "why": why})
    return told
