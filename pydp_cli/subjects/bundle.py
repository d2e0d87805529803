"""Write a bundle: files with their hashes, a manifest over all of them, and a signature over the manifest.

The signature is a C2SP signed note over the manifest's SHA-256, so that standard tools check it. A bundle is a zip, or
a folder; the bytes depend on nothing but what is put in.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydp_cli.audit.lines import canonical
from pydp_cli.audit.notes import Verifier, sign_note
from pydp_cli.audit.signing import Signer
from pydp_cli.datasets.staging_files import output_error
from pydp_cli.errors import OutputError

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
SIGNER_NAME = "pydp-export"
FORMAT = "pydp-export-1"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass
class Bundle:
    """A bundle that is being written. `open_file` gives a stream for a name; names are added once, in order."""

    open_file: Callable[[str], Any]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, pieces: Iterable[bytes], **more: Any) -> None:
        """Write a file from pieces, and note its size and hash; `more` goes into the manifest with them."""
        digest, size = hashlib.sha256(), 0
        with self.open_file(name) as stream:
            for piece in pieces:
                stream.write(piece)
                digest.update(piece)
                size += len(piece)
        self.files[name] = {"bytes": size, "sha256": digest.hexdigest(), **more}

    def add_json(self, name: str, value: Any) -> None:
        """Write plain data as canonical JSON."""
        self.add(name, [canonical(value) + b"\n"])

    def finish(self, facts: dict[str, Any], signer: Signer | None) -> str:
        """Write the manifest and its signature; give the manifest's hash."""
        manifest = {"format": FORMAT, "complete": True, **facts, "files": dict(sorted(self.files.items()))}
        if signer is not None:
            manifest["signed_by"] = Verifier(SIGNER_NAME, signer.public).to_text()
        raw = canonical(manifest) + b"\n"
        digest = hashlib.sha256(raw).hexdigest()
        with self.open_file(MANIFEST) as stream:
            stream.write(raw)
        if signer is not None:
            with self.open_file(SIGNATURE) as stream:
                stream.write(sign_note(signed_text(digest), SIGNER_NAME, signer.key).encode())
        return digest


def signed_text(digest: str) -> str:
    """Give what the signature of a manifest covers."""
    return f"{FORMAT}\n{digest}\n"


@contextmanager
def zip_bundle(stream: IO[bytes]) -> Iterator[Bundle]:
    """Write a bundle as a zip into a stream; every entry has the same time, so that equal contents are equal bytes."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, strict_timestamps=True) as archive:

        def open_file(name: str) -> IO[bytes]:
            info = zipfile.ZipInfo(name, _FIXED_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            return archive.open(info, "w", force_zip64=True)

        yield Bundle(open_file)


@contextmanager
def folder_bundle(folder: Path) -> Iterator[Bundle]:
    """Write a bundle as files in a new folder (0700, files 0600), which appears when it is complete."""
    if folder.exists():
        raise OutputError("output already exists", place=str(folder), hint="choose another name")
    temp = folder.with_name(f".{folder.name}.tmp")
    try:
        temp.mkdir(mode=0o700)
    except FileExistsError:
        raise OutputError("another export is being written here", place=str(temp), hint="remove it if not") from None
    except OSError as error:
        raise output_error(error, str(folder)) from error

    def open_file(name: str) -> IO[bytes]:
        path = temp / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stream = path.open("xb")
        path.chmod(0o600)
        return stream

    try:
        yield Bundle(open_file)
        temp.rename(folder)
    except OSError as error:
        raise output_error(error, str(folder)) from error
    finally:
        _remove(temp)


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()
