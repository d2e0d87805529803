"""The log's files: segments of 1,024 lines each, their seals, the head and the last signed checkpoint.

audit/000000.jsonl      lines 0 to 1023
audit/000000.seal       the checkpoint at line 1024, with the segment's root
audit/000001.jsonl      the segment that is written to
audit/head              how long the log is now (what a cut-off end is noticed by)
audit/checkpoint        the last signed one
audit/conflict-*.txt    a head or checkpoint that the log did not agree with when it was next written to
audit/keys              the public keys that signed here
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydp_cli.audit.checkpoints import Found, read_checkpoint
from pydp_cli.audit.merkle import Tree, leaf_hash
from pydp_cli.errors import InputError

SEGMENT_LINES = 1024
_SEGMENT = re.compile(r"(\d{6,})\.(jsonl|seal)")


@dataclass(frozen=True)
class Folder:
    """The folder of a log."""

    path: Path

    @property
    def head(self) -> Path:
        """Where the length of the log is noted."""
        return self.path / "head"

    @property
    def signed(self) -> Path:
        """Where the last signed checkpoint is."""
        return self.path / "checkpoint"

    @property
    def keys(self) -> Path:
        """Where the public keys are."""
        return self.path / "keys"

    def segment(self, number: int) -> Path:
        """Name a segment's file."""
        return self.path / f"{number:06d}.jsonl"

    def seal(self, number: int) -> Path:
        """Name a segment's seal."""
        return self.path / f"{number:06d}.seal"

    def numbers(self, kind: str) -> list[int]:
        """List the segments that have a file of a kind, `jsonl` or `seal`."""
        try:
            names = [path.name for path in self.path.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = (_SEGMENT.fullmatch(name) for name in names)
        return sorted(int(match[1]) for match in found if match and match[2] == kind)

    def conflicts(self) -> list[Path]:
        """List what was set aside because the log did not agree with it."""
        return sorted(self.path.glob("conflict-*.txt"))

    def lines(self, number: int) -> tuple[list[bytes], bytes]:
        """Give the whole lines of a segment, without newlines, and what follows the last of them."""
        try:
            raw = self.segment(number).read_bytes()
        except FileNotFoundError:
            return [], b""
        except OSError as error:
            place = str(self.segment(number))
            raise InputError(f"the audit log cannot be read ({error.strerror})", place=place) from error
        *lines, rest = raw.split(b"\n")
        return lines, rest

    def checkpoint(self, path: Path) -> Found | None:
        """Read a checkpoint's file, if it is there."""
        try:
            return read_checkpoint(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise InputError("not a checkpoint of an audit log", place=str(path)) from None
        except OSError as error:
            raise InputError(f"the audit log cannot be read ({error.strerror})", place=str(path)) from error

    def tree(self, roots: Mapping[int, bytes] | None = None) -> Tree:
        """Give the tree; `roots` are those that were computed from the lines, and come before what seals say."""

        def sealed_root(number: int) -> bytes | None:
            if roots is not None and number in roots:
                return roots[number]
            found = self.checkpoint(self.seal(number))
            return None if found is None else found.checkpoint.segment_root

        kept: dict[int, list[bytes]] = {}

        def leaves(number: int) -> list[bytes]:
            if number not in kept:
                kept.clear()
                kept[number] = [leaf_hash(line) for line in self.lines(number)[0]]
            return kept[number]

        return Tree(SEGMENT_LINES, sealed_root, leaves)

    def all_lines(self) -> Iterator[bytes]:
        """Give the whole lines of the segments that are still there, in order."""
        for number in self.numbers("jsonl"):
            yield from self.lines(number)[0]


def folder_of(state_dir: Path) -> Folder:
    """Give the log's folder in a state folder."""
    return Folder(Path(state_dir) / "audit")
