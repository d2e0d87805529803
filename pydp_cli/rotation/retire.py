"""Retire old versions of keys: those that a scan over everything shows to be unused are disabled and destroyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydp_cli.errors import Refused, UsageError
from pydp_cli.keys.keyring import Keyring
from pydp_cli.pipeline.key_scan import FileKeys, Policy
from pydp_cli.rotation.usage import PROVABLE, destroy_unused, prove_unused, usage

RETIRABLE = frozenset({"enabled", "disabled"})


@dataclass
class Retired:
    """Which versions were destroyed, and which stay, each with the reason."""

    destroyed: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    digest: str = ""
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """Give the report."""
        return {**vars(self), "kept": [{"key": key, "reason": reason} for key, reason in self.kept]}


def retire(
    keyring: Keyring,
    *,
    policy: Policy | None,
    paths: Sequence[str] = (),
    dry_run: bool = False,
    progress: Callable[[FileKeys], None] | None = None,
) -> tuple[Keyring, Retired]:
    """Destroy the old versions that nothing is under, in all of the policy's datasets and in `paths`.

    Versions of the `file` key only where paths are named, which tell where encrypted whole files are.
    """
    if policy is None:
        raise UsageError(
            "only a policy tells where a key could still be needed",
            hint="name it with -p, with every dataset that was ever encrypted; name archives as PATH",
        )
    used = usage(keyring, policy=policy, paths=paths, progress=progress)
    done = Retired(digest=used.digest, dry_run=dry_run)
    for version in keyring.versions():
        if version.state not in RETIRABLE or version.name.partition("/")[0] not in PROVABLE:
            continue
        try:
            prove_unused(used, version.key_id)
        except Refused as error:
            done.kept.append((version.key_id.hex(), str(error)))
            continue
        if not dry_run:
            keyring = destroy_unused(keyring, version.key_id, used)
            used = used.at(keyring)
        done.destroyed.append(version.key_id.hex())
    return keyring, done
