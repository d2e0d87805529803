"""Read from object stores by URL (s3, gs, abfs) through pyarrow's file systems; `file:` works the same way."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydp_cli.datasets.globs import has_magic, is_data_name
from pydp_cli.errors import InputError, MissingExtra, UsageError

_EXTRAS = {"file": None, "s3": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure"}


def is_url(location: str) -> bool:
    """Tell a URL from a path; a file of that name is written as `./s3://…`."""
    return "://" in location and location.partition("://")[0].isalnum()


def shown(location: str) -> str:
    """Give a URL as messages and reports may show it: without a user's name, password or query."""
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def find_objects(location: str) -> list[tuple[str, str, Any]]:
    """List the objects under a URL: path, name relative to the URL, file system; sorted by path."""
    from pyarrow import fs

    filesystem, path = open_filesystem(location)
    try:
        info = filesystem.get_file_info(path)
        if info.type == fs.FileType.File:
            return [(path, info.base_name, filesystem)]
        if info.type == fs.FileType.NotFound:
            if has_magic(path):
                raise InputError("globs work on local files only", place=shown(location), hint="name the folder")
            raise InputError("no such object", place=shown(location))
        entries = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    except OSError as error:
        raise InputError("the object store cannot be read", place=shown(location), hint=_hint(error)) from error
    root = path.rstrip("/") + "/"
    found = [(entry.path, entry.path[len(root) :]) for entry in entries if entry.type == fs.FileType.File]
    found = [(path, name) for path, name in found if all(is_data_name(part) for part in name.split("/"))]
    if not found:
        raise InputError("the folder holds no data files", place=shown(location))
    return [(path, name, filesystem) for path, name in sorted(found)]


def open_filesystem(location: str) -> tuple[Any, str]:
    """Find the file system for a URL, and the path within it.

    Raises `MissingExtra` where this installation has no client for it.
    """
    import pyarrow as pa
    from pyarrow import fs

    scheme = urlsplit(location).scheme
    if scheme not in _EXTRAS:
        raise UsageError(
            f'unknown kind of location "{scheme}://"', place=shown(location), hint=f"one of: {', '.join(_EXTRAS)}"
        )
    try:
        filesystem, path = fs.FileSystem.from_uri(location)
    except (ImportError, pa.ArrowNotImplementedError) as error:
        raise MissingExtra(
            f"{scheme}:// needs an extra", place=shown(location), hint=f"pip install 'pydp-cli[{_EXTRAS[scheme]}]'"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError("the location cannot be opened", place=shown(location), hint=_hint(error)) from error
    return filesystem, path


def _hint(error: Exception) -> str:
    """Keep to the kind of failure: a store's own text may repeat credentials from a URL."""
    text = str(error).lower()
    if any(word in text for word in ("access denied", "forbidden", "credential", "403", "unauthorized")):
        return "check the credentials and that they may read it"
    return "check the address and the network"
