"""What is written down when pydp meets a bug: where it happened, and never what the data was."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import traceback

_FRAME = re.compile(r'^  File "(.+)", line (\d+), in (\S+)$', re.MULTILINE)


def report_crash(error: BaseException) -> None:
    """Write a crash report, and print its path.

    The report holds the types and the places of the errors. Their messages are left out, because libraries quote
    values in them; so are local variables.
    """
    from importlib.metadata import version

    lines = [f"pydp {version('pydp-cli')}, Python {platform.python_version()}, {platform.platform()}", ""]
    cause: BaseException | None = error
    while cause is not None:
        lines.append(type(cause).__name__)
        lines.extend(
            f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(cause.__traceback__)
        )
        if type(cause).__name__ == "_RemoteTraceback":  # of a worker; its lines of code may quote values
            lines.extend(f"  {file}:{line} {name} (worker)" for file, line, name in _FRAME.findall(str(cause)))
        cause = cause.__cause__ or cause.__context__
    handle, path = tempfile.mkstemp(prefix="pydp-crash-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as report:
        report.write("\n".join(lines) + "\n")
    print(f"pydp: error: internal error ({type(error).__name__}): this is a bug in pydp", file=sys.stderr)
    print(f"pydp: hint: a report without any data was written to {path}", file=sys.stderr)
