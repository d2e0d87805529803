"""Verify the log: tell altered, missing, re-ordered and cut-off lines apart, and check every signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydp_cli.audit.checkpoints import Found, read_checkpoint
from pydp_cli.audit.lines import NO_LINE, Entry, digest_of, read_line
from pydp_cli.audit.merkle import leaf_hash, root_of
from pydp_cli.audit.notes import Verifier, read_verifier
from pydp_cli.audit.segments import SEGMENT_LINES, Folder, folder_of
from pydp_cli.errors import InputError, Refused

Kind = Literal["altered", "missing", "re-ordered", "truncated", "conflict", "bad signature", "unknown key", "malformed"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where."""

    kind: Kind
    place: str
    message: str


@dataclass
class Verdict:
    """What verification found. `signed_lines` is how many of the first lines a signature covers."""

    lines: int = 0
    signed_lines: int = 0
    dropped_segments: int = 0
    repairs: int = 0
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(state_dir: Path, *, public_keys: Iterable[bytes] | None = None, against: Iterable[Path] = ()) -> Verdict:
    """Verify the whole log.

    `public_keys` are the keys that are trusted (those of the keyring); without them the keys that lie beside the log
    are taken at their word. `against` are checkpoints that were kept elsewhere: only they prove that an end which was
    cut off together with the head is missing.
    """
    return _Verification(folder_of(state_dir), public_keys, tuple(against)).run()


class _Verification:
    def __init__(self, folder: Folder, public_keys: Iterable[bytes] | None, against: tuple[Path, ...]) -> None:
        self.folder, self.against = folder, against
        self.trusted = None if public_keys is None else set(public_keys)
        self.verdict = Verdict()
        self.roots: dict[int, bytes] = {}  # of the segments whose lines are there
        self.origin: str | None = None  # the name that the first line gives the log
        self.broken_from: int | None = None  # the first line that the chain does not vouch for

    def run(self) -> Verdict:
        numbers = self.folder.numbers("jsonl")
        seals = self.folder.numbers("seal")
        if not numbers and not seals and not self.folder.head.exists() and not self.folder.signed.exists():
            if self.against:
                self._note("truncated", str(self.folder.path), "the whole log is gone")
            else:
                self.verdict.warnings.append("there is no audit log")
            return self.verdict
        self._walk(range(max([*numbers, *seals], default=-1) + 1))
        for number in seals:
            self._check_seal(number)
        for path, strict in [(self.folder.signed, True), (self.folder.head, False)]:
            if path.exists():
                self._check(path, signed=strict)
        for path in self.folder.conflicts():
            self._check(path, signed=False, conflict=True)
        for path in self.against:
            self._check(path, signed=True)
        if not self.folder.head.exists():
            self._note("missing", str(self.folder.head), "the note of the log's length is gone")
        self._warn()
        return self.verdict

    def _warn(self) -> None:
        verdict = self.verdict
        if not verdict.signed_lines:
            verdict.warnings.append("nothing is signed: whoever can write the log can make it anew")
        elif verdict.signed_lines < verdict.lines:
            verdict.warnings.append(f"the last {verdict.lines - verdict.signed_lines} lines are not signed yet")

    def _note(self, kind: Kind, place: str, message: str) -> None:
        finding = Finding(kind, place, message)
        if finding not in self.verdict.findings:
            self.verdict.findings.append(finding)

    def _walk(self, numbers: Iterable[int]) -> None:
        """Follow the chain through the segments."""
        chain = _Chain(self)
        dropped: list[int] = []
        for number in numbers:
            lines, torn = self.folder.lines(number)
            if not self.folder.segment(number).exists():
                seal = self._read(self.folder.seal(number))
                if seal is None or seal.checkpoint.last is None:
                    first = number * SEGMENT_LINES
                    self._note(
                        "missing", str(self.folder.segment(number)), f"lines {first} to {first + SEGMENT_LINES - 1}"
                    )
                    chain.skip(first + SEGMENT_LINES)
                else:
                    dropped.append(number)
                    chain.jump(seal.checkpoint.size, seal.checkpoint.last)
                continue
            if not number:
                self.origin = origin_of(lines)
            chain.follow(lines, str(self.folder.segment(number)))
            self.roots[number] = root_of([leaf_hash(line) for line in lines])
            if torn:
                self.verdict.warnings.append(
                    f"{self.folder.segment(number).name}: the last line is torn; the next entry will repair it"
                )
        self.verdict.lines = chain.expected
        self.verdict.repairs = chain.repairs
        self.verdict.dropped_segments = len(dropped)
        for number in dropped:
            if number not in chain.dropped:
                self._note(
                    "missing",
                    str(self.folder.segment(number)),
                    "the segment is gone, and no entry says that it was dropped",
                )

    def _check_seal(self, number: int) -> None:
        path = self.folder.seal(number)
        found = self._check(path, signed=False)
        if found is not None and self.roots.get(number, found.checkpoint.segment_root) != found.checkpoint.segment_root:
            first = number * SEGMENT_LINES
            self._note("altered", str(path), f"lines {first} to {first + SEGMENT_LINES - 1} are not what was sealed")

    def _read(self, path: Path) -> Found | None:
        try:
            return read_checkpoint(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            return None
        except (InputError, UnicodeDecodeError):
            self._note("malformed", str(path), "not a checkpoint")
            return None
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", place=str(path)) from error

    def _check(self, path: Path, *, signed: bool, conflict: bool = False) -> Found | None:
        """Check a checkpoint's signature, and the lines that it saw against those that are there."""
        found = self._read(path)
        if found is None:
            if path in self.against and not path.exists():
                raise InputError("no such file", place=str(path))
            return None
        vouched = self._check_signature(found, path, needed=signed)
        if self.origin is not None and found.checkpoint.origin != self.origin:
            self._note("altered", str(path), "it is of another log")
        checkpoint, lines = found.checkpoint, self.verdict.lines
        what: Kind = "conflict" if conflict else "truncated"
        if checkpoint.size > lines:
            self._note(what, str(path), f"{checkpoint.size - lines} lines are cut off after line {lines - 1}")
        elif self._can_recompute(checkpoint.size):
            root = self.folder.tree(self.roots).root(checkpoint.size)
            if root != checkpoint.root:
                self._note_mismatch(path, checkpoint.size, conflict=conflict)
            elif vouched:
                self.verdict.signed_lines = max(self.verdict.signed_lines, checkpoint.size)
        return found

    def _note_mismatch(self, path: Path, size: int, *, conflict: bool) -> None:
        if conflict:
            self._note("conflict", str(path), f"the log had other lines among the first {size}")
        elif self.broken_from is None or self.broken_from >= size:
            self._note("altered", str(path), f"the first {size} lines are not those that it saw")

    def _check_signature(self, found: Found, path: Path, *, needed: bool) -> bool:
        try:
            signed_by = found.signed_by(self._verifiers(found.checkpoint.origin))
        except Refused:
            self._note("bad signature", str(path), "the signature is wrong")
            return False
        if signed_by is None and (needed or found.note.signatures):
            signed = bool(found.note.signatures)
            self._note("unknown key", str(path), "signed by an unknown key" if signed else "not signed")
        return signed_by is not None

    def _verifiers(self, origin: str) -> list[Verifier]:
        beside = self._keys_beside()
        return beside if self.trusted is None else [Verifier(origin, public) for public in self.trusted]

    def _keys_beside(self) -> list[Verifier]:
        try:
            known = self.folder.keys.read_text(encoding="utf-8").splitlines()
            return [read_verifier(vkey) for vkey in known]
        except FileNotFoundError:
            return []
        except (InputError, UnicodeDecodeError):
            self._note("malformed", str(self.folder.keys), "not a list of keys")
            return []

    def _can_recompute(self, size: int) -> bool:
        """Tell whether the lines up to here are there, or whole segments of them are sealed."""
        return size % SEGMENT_LINES == 0 or self.folder.segment(size // SEGMENT_LINES).exists()


@dataclass
class _Chain:
    """Follows the chain from line to line. `expected` is the next number."""

    verification: _Verification
    expected: int = 0
    prev: str | None = NO_LINE
    repairs: int = 0
    dropped: set[int] = field(default_factory=set)
    _hashes: set[str] = field(default_factory=set)

    def jump(self, size: int, last: str) -> None:
        """Go on behind a dropped segment."""
        self.expected, self.prev = size, last

    def skip(self, size: int) -> None:
        """Go on behind a segment that is missing: nothing vouches for the first line there."""
        self._broken(self.expected)
        self.expected, self.prev = size, None

    def follow(self, lines: list[bytes], place: str) -> None:
        """Check each line of a segment against the line before."""
        digests = [digest_of(line) for line in lines]
        here = set(digests)
        for line, digest in zip(lines, digests, strict=True):
            entry = read_line(line)
            if entry is None:
                self._note("altered", place, self.expected, self.expected)
                self.expected, self.prev = self.expected + 1, None
                continue
            if self.prev is not None and entry.prev != self.prev:
                self._classify(entry, here | self._hashes, place)
            elif self.prev is None and entry.seq > self.expected:
                self._note("missing", place, self.expected, entry.seq - 1)
            elif entry.seq != self.expected and self.prev is not None:
                self._note("altered", place, self.expected, self.expected)
                entry = Entry(**{**vars(entry), "seq": self.expected})
            self.expected, self.prev = max(entry.seq, self.expected - 1) + 1, digest
            self._learn(entry)
        self._hashes = {*digests[-1:]}

    def _classify(self, entry: Entry, present: set[str], place: str) -> None:
        """Tell why a line does not name the one before it."""
        if entry.prev in present and entry.seq == self.expected and self.verification.broken_from is not None:
            return  # it is in its place; the line before it is not, and was told of
        if entry.prev in present or entry.seq < self.expected - 1:
            self._note("re-ordered", place, entry.seq, entry.seq)
        elif entry.seq > self.expected:
            self._note("missing", place, self.expected, entry.seq - 1)
        else:
            self._note("altered", place, max(self.expected - 1, 0), max(self.expected - 1, 0))

    def _learn(self, entry: Entry) -> None:
        if entry.event == "audit.repaired":
            self.repairs += 1
        if entry.event == "audit.dropped":
            self.dropped |= {number for number in entry.details.get("segments", ()) if isinstance(number, int)}

    def _note(self, kind: Kind, place: str, first: int, last: int) -> None:
        self._broken(first)
        lines = f"line {first}" if first == last else f"lines {first} to {last}"
        self.verification._note(kind, place, lines)  # noqa: SLF001 - one verification, in two parts

    def _broken(self, line: int) -> None:
        before = self.verification.broken_from
        self.verification.broken_from = line if before is None else min(before, line)


def origin_of(lines: Sequence[bytes]) -> str | None:
    """Give the name that the first line of a log gives it."""
    entry = read_line(lines[0]) if lines else None
    name = None if entry is None else entry.details.get("log")
    return name if isinstance(name, str) else None


def latest(state_dir: Path, wanted: Callable[[Entry], bool]) -> Entry | None:
    """Give the last entry of a kind; reads from the end of the log."""
    folder = folder_of(state_dir)
    for number in reversed(folder.numbers("jsonl")):
        for line in reversed(folder.lines(number)[0]):
            entry = read_line(line)
            if entry is not None and wanted(entry):
                return entry
    return None


def entries(state_dir: Path) -> Iterator[Entry]:
    """Give the entries that can be read, in order."""
    for line in folder_of(state_dir).all_lines():
        entry = read_line(line)
        if entry is not None:
            yield entry
