"""`--whole-file`: any file as one encrypted envelope, and back; what `pydp encrypt` and `pydp decrypt` hand over to."""

# Paths are strings here, as users wrote them.
# ruff: noqa: PTH112, PTH118, PTH119, PTH122, PTH202

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydp_cli.errors import InputError, PydpError, UsageError

if TYPE_CHECKING:
    from pydp_cli.crypto.container import Unwrap, Wrap
    from pydp_cli.datasets.publish import Publication
    from pydp_cli.keys.unlock import Unlock

SUFFIX = {"pydp": ".pydp", "age": ".age", "fernet": ".fernet"}
STDIN = STDOUT = "-"


@dataclass(frozen=True)
class WholeFile:
    """What the command line asks for."""

    inputs: tuple[str, ...]
    output: str | None = None
    format: str = "pydp"
    recipients: tuple[str, ...] = ()
    identities: tuple[Path, ...] = ()
    name: str | None = None
    context: str | None = None
    force: bool = False
    quiet: bool = False
    keyring: Path | None = None
    policy: Path | None = None
    passphrase_file: Path | None = None
    parquet_modular: bool = False
    columns: tuple[str, ...] = ()
    unlock: Unlock | None = field(default=None, repr=False)


def run_whole_file_encrypt(request: WholeFile, others: Mapping[str, object] | None = None) -> None:
    """Encrypt each input as one file: `NAME` becomes `NAME.pydp`, or what the output says; all of them or none."""
    _check(request, others or {})
    if request.parquet_modular:
        from pydp_cli.cli.parquet_modular import modular_encryption

        _run_modular(request, modular_encryption(request, _keyring(request), request.columns))
        return
    pairs = _pairs(request, partial(_encrypted_name, suffix=SUFFIX[request.format]))
    if request.format != "pydp":
        from pydp_cli.cli.whole_file_formats import age_encryption

        if request.format == "fernet":
            raise UsageError("Fernet files are only read", hint="leave out --format, or use --format age")
        foreign = age_encryption(request)
        _run(request, pairs, lambda source, sink, _: foreign(source, sink))
        return
    wraps = _wraps(request)
    created = int(time.time())

    def encrypt(source: Any, sink: Any, names: _Names) -> None:
        from pydp_cli.crypto.container import encrypt_stream

        name = os.fsencode(request.name if request.name is not None else names.to_bind)
        encrypt_stream(source, sink, wraps, created=created, name=name, context=_context(request))

    _run(request, pairs, encrypt)


def run_whole_file_decrypt(request: WholeFile, others: Mapping[str, object] | None = None) -> None:
    """Decrypt each input: `NAME.pydp` becomes `NAME`, or what the output says; all of them or none."""
    _check(request, others or {})
    if request.parquet_modular:
        from pydp_cli.cli.parquet_modular import modular_decryption

        _run_modular(request, modular_decryption(request, _keyring(request)))
        return
    pairs = _pairs(request, _decrypted_name)
    if request.format != "pydp":
        from pydp_cli.cli.whole_file_formats import age_decryption, fernet_decryption

        foreign = (age_decryption if request.format == "age" else fernet_decryption)(request)
        _run(request, pairs, lambda source, sink, _: foreign(source, sink))
        return
    unwraps = _unwraps(request)

    def decrypt(source: Any, sink: Any, names: _Names) -> None:
        from pydp_cli.cli.render import warn
        from pydp_cli.crypto.container import decrypt_stream

        name = request.name if request.name is not None else names.now
        opened = decrypt_stream(
            source, sink, unwraps, name=None if name is None else os.fsencode(name), context=_context(request)
        )
        if len(opened.sound) < 2 and not request.quiet:
            warn(
                f"{names.place}: one of the two copies of the header is damaged or out of date",
                "`pydp rotate-keys --mode rewrap-files` writes both anew",
            )

    _run(request, pairs, decrypt)


@dataclass(frozen=True)
class _Names:
    """An input and its output; the name that an envelope is bound to, and the one that it goes by now."""

    source: str
    target: str

    @property
    def place(self) -> str:
        return "standard input" if self.source == STDIN else self.source

    @property
    def to_bind(self) -> str:
        """The name that decryption will find: the envelope's own without its suffix, else the input's."""
        if self.target != STDOUT:
            return os.path.basename(self.target).removesuffix(SUFFIX["pydp"])
        return "" if self.source == STDIN else os.path.basename(self.source)

    @property
    def now(self) -> str | None:
        return None if self.source == STDIN else os.path.basename(self.source).removesuffix(SUFFIX["pydp"])


def _run(request: WholeFile, pairs: Sequence[_Names], treat: Callable[[Any, Any, _Names], None]) -> None:
    """Treat every file, then let all outputs appear."""
    import typer

    from pydp_cli.cli.render import note
    from pydp_cli.datasets.publish import Publication
    from pydp_cli.datasets.signals import Terminated, terminate_as_exception

    began, taken = time.monotonic(), 0
    try:
        with terminate_as_exception(), Publication(force=request.force) as publication:
            for names in pairs:
                taken += _treat_one(names, publication, treat)
            publication.commit()
    except Terminated as ending:
        raise typer.Exit(128 + ending.signum) from ending
    if not request.quiet:
        files = f"{len(pairs)} files" if len(pairs) > 1 else "1 file"
        note(f"{files}, {taken:,} bytes, {time.monotonic() - began:.1f} s")


def _run_modular(request: WholeFile, treat: Callable[[str, Any], None]) -> None:
    """Treat Parquet files, which are read from many places at once and so by name."""
    if STDIN in request.inputs:
        raise UsageError("--parquet-modular reads files, not standard input", hint="name a file")

    def by_name(source: Any, sink: Any, names: _Names) -> None:
        treat(names.source, sink)
        source.count = os.path.getsize(names.source)

    _run(request, _pairs(request, str), by_name)


def _treat_one(names: _Names, publication: Publication, treat: Callable[[Any, Any, _Names], None]) -> int:
    with _Reader(names) as source:
        sink = publication.stage(names.target, make_folders=True)
        try:
            treat(source, sink.stream, names)
        except PydpError as error:
            error.place = error.place or names.place
            raise
        return source.count


class _Reader:
    """An input as a stream of bytes, that counts them, and whose errors name it."""

    def __init__(self, names: _Names) -> None:
        self.names, self.count = names, 0
        try:
            opened: str | int = sys.stdin.fileno() if names.source == STDIN else names.source
            self.file = open(opened, "rb", buffering=0, closefd=names.source != STDIN)  # noqa: SIM115 - closed on exit
        except OSError as error:
            raise self._problem(error) from error

    def __enter__(self) -> _Reader:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        return self

    def __exit__(self, *ended: object) -> None:
        self.file.close()

    def readinto(self, buffer: Any, /) -> int:
        try:
            count = self.file.readinto(buffer) or 0
        except OSError as error:
            raise self._problem(error) from error
        self.count += count
        return count

    def _problem(self, error: OSError) -> InputError:
        return InputError(f"cannot be read ({(error.strerror or 'error').lower()})", place=self.names.place)


def _check(request: WholeFile, others: Mapping[str, object]) -> None:
    """Refuse what does not go together; `others` are options about columns, with what was said."""
    for option, said in others.items():
        if said:
            raise UsageError(f"{option} does not go with --whole-file or --parquet-modular")
    if request.format not in SUFFIX:
        raise UsageError(f"--format is one of: {', '.join(SUFFIX)}")
    if not request.inputs:
        raise UsageError("whole files need an input", hint="name a file, or - for standard input")
    if request.name is not None and len(request.inputs) > 1:
        raise UsageError("--name is the name of one file, and there are several inputs")


def _pairs(request: WholeFile, named: Callable[[str], str]) -> list[_Names]:
    """Decide each file's output; clashes are found before anything is read."""
    from pydp_cli.datasets.globs import expand_glob, has_magic

    sources: list[str] = []
    for given in request.inputs:
        if given != STDIN and has_magic(given) and not os.path.lexists(given):
            found = [path for path, _ in expand_glob(given)]
            if not found:
                raise InputError("no file matches", place=given)
            sources += found
        else:
            sources.append(given)
    for source in sources:
        if "://" in source:
            raise UsageError("whole files are read from local folders only", place=source, hint="copy it first")
        if os.path.isdir(source):
            raise UsageError("this is a folder", place=source, hint="name its files, or pack it with tar first")
    output = request.output
    if output is not None and output != STDOUT and (output.endswith("/") or os.path.isdir(output)):
        pairs = [_Names(source, os.path.join(output, os.path.basename(named(source)))) for source in sources]
    elif output is not None:
        if len(sources) > 1:
            raise UsageError("several inputs need a folder as output", place=output, hint="name a folder with -o")
        pairs = [_Names(sources[0], output)]
    else:
        pairs = [_Names(source, STDOUT if source == STDIN else named(source)) for source in sources]
    _refuse_clashes(pairs)
    return pairs


def _encrypted_name(source: str, *, suffix: str) -> str:
    if source == STDIN:
        raise UsageError("standard input has no name for a file in a folder", hint="name the output file with -o")
    return source + suffix


def _decrypted_name(source: str) -> str:
    name, suffix = os.path.splitext(source)
    if suffix not in SUFFIX.values() or not os.path.basename(name):
        raise UsageError(
            "the name does not tell what the decrypted file is called", place=source, hint="name it with -o"
        )
    return name


def _refuse_clashes(pairs: Sequence[_Names]) -> None:
    seen: dict[str, str] = {}
    for names in pairs:
        if names.target == STDOUT:
            if sys.stdout.isatty():
                raise UsageError("binary data would go to the terminal", hint="write to a file with -o")
            continue
        real = os.path.realpath(names.target)
        if any(pair.source != STDIN and os.path.realpath(pair.source) == real for pair in pairs):
            raise UsageError("the output is an input", place=names.target, hint="name another file with -o")
        if real in seen:
            raise UsageError(f"{seen[real]} and {names.source} would have the same output", place=names.target)
        seen[real] = names.source


def _wraps(request: WholeFile) -> list[Wrap]:
    """Give what wraps the file key: the recipients, and the keyring where it is named or there are none."""
    from pydp_cli.keys.file_keys import wrap_to, wrap_with_keyring
    from pydp_cli.keys.identities import read_recipient

    wraps = [wrap_to(read_recipient(named)) for named in request.recipients]
    if request.keyring is not None or not wraps:
        wraps.insert(0, wrap_with_keyring(_keyring(request)))
    return wraps


def _unwraps(request: WholeFile) -> list[Unwrap]:
    from pydp_cli.keys.file_keys import unwrap_with, unwrap_with_keyring
    from pydp_cli.keys.identities import read_identity_file

    unwraps = [unwrap_with(read_identity_file(path)) for path in request.identities]
    if request.keyring is not None or not unwraps:
        unwraps.insert(0, unwrap_with_keyring(_keyring(request)))
    return unwraps


def _keyring(request: WholeFile) -> Any:
    from pydp_cli.cli.options import keyring_path, seen_folder
    from pydp_cli.keys.keyring import open_keyring
    from pydp_cli.keys.unlock import Unlock

    path = keyring_path(request.policy, request.keyring)
    return open_keyring(path, request.unlock or Unlock(), seen=seen_folder())


def _context(request: WholeFile) -> bytes | None:
    return None if request.context is None else os.fsencode(request.context)
