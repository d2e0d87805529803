"""Run a command under strace, let one system call fail or kill it there, and see what is left.

The calls are those that a first, undisturbed run makes on files of its folder. Each is counted as strace counts:
among all calls of that name of the main process.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHANGES = ("openat", "mkdir", "write", "pwrite64", "ftruncate", "fchmod", "fsync", "fdatasync", "rename", "renameat")
CHANGES += ("renameat2", "unlink", "unlinkat", "link", "linkat")
READS = ("read", "pread64", "getdents64", "flock")
SWEEP = os.environ.get("PYDP_CRASH_SWEEP") == "1"
"""Whether every call is struck in every way, which takes long; else a sample of them."""

_LINE = re.compile(r"^(\d+)\s+(\w+)\((.*)$")
_HERE = re.compile(r"AT_FDCWD<[^>]*>")
"""How strace shows the folder that paths begin in, whatever the path."""
_NAMED = re.compile(r'"([^"]+)"')
_OPENED = re.compile(r"\d<([^>]*)>")
_VISIBLE = re.compile(r"/?data/[^./][^/]*")
"""What names a data file itself, and not what is staged beside it."""

FAILURES = ("error=EIO", "error=ENOSPC")
HOWS = ("signal=KILL", *FAILURES)


@dataclass(frozen=True)
class Call:
    """One call of a run on its folder: the `when`-th of its name, and whether it changes something, or a data file."""

    name: str
    when: int
    changes: bool
    at_data: bool


@dataclass(frozen=True)
class Fault:
    """One call that does not go well: the `when`-th of its name, with what happens to it."""

    call: str
    when: int
    how: str

    def __str__(self):
        return f"{self.call} {self.when} {self.how}"


def calls_on(folder, command):
    """Run the command undisturbed; name its calls on the folder."""
    log = Path(folder).parent / "strace.log"
    names = [*CHANGES, *READS]
    strace = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(log), "-e", f"trace={','.join(names)}"]
    done = subprocess.run([*strace, *command], cwd=folder, capture_output=True, check=False, env=_environment())
    assert done.returncode == 0, done.stderr.decode()
    counts, found, main = {}, [], None
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        process, call, rest = match.groups()
        rest = _HERE.sub("", rest)
        main = main or process
        if process != main:
            continue
        counts[call] = counts.get(call, 0) + 1
        paths = [path for path in (*_NAMED.findall(rest), *_OPENED.findall(rest)) if _within(path, folder)]
        if paths and "ENOENT" not in rest:
            changes = call in CHANGES and "O_RDONLY" not in rest
            at_data = call != "openat" and changes and any(_VISIBLE.fullmatch(_below(path, folder)) for path in paths)
            found.append(Call(call, counts[call], changes, at_data))
    log.unlink()
    return found


def _within(path, folder):
    """Tell whether a path that strace shows is of the folder; those of the interpreter are absolute."""
    return (not path.startswith("/") and ":" not in path) or path.startswith(f"{folder}/")


def _below(path, folder):
    return path.removeprefix(f"{folder}/")


def faults(calls, count):
    """Choose faults: all of them in a sweep, else about `count`, spread over calls and ways, the same every time.

    To be killed at a call that only reads is to be killed at the next one that changes something, and a disk is not
    full for it: it only fails. What changes a data file itself is always among them: there a file can be lost.
    """
    if SWEEP:
        return [Fault(call.name, call.when, how) for call in calls for how in (HOWS if call.changes else HOWS[1:2])]
    changing = [call for call in calls if call.changes]
    killed = [Fault(call.name, call.when, HOWS[0]) for call in changing]
    failed = [Fault(call.name, call.when, FAILURES[n % 2 * call.changes]) for n, call in enumerate(calls)]
    kills = count * 2 // 3
    close = [Fault(call.name, call.when, HOWS[0]) for call in changing if call.at_data]
    chosen = [*_spread(close, kills), *_spread(killed, kills - min(len(close), kills // 2))]
    return list(dict.fromkeys([*chosen, *_spread(failed, count - kills)]))


def strike(folder, command, fault, *, tracebacks=True):
    """Run the command with one fault; give its exit code."""
    inject = f"inject={fault.call}:{fault.how}:when={fault.when}"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={fault.call}", "-e", inject]
    done = subprocess.run([*strace, *command], cwd=folder, capture_output=True, check=False, env=_environment())
    sound = b"Traceback" not in done.stderr or _struck_python(done.stderr)
    assert sound or not tracebacks, f"{fault}: {done.stderr.decode()}"
    return done.returncode


def _environment():
    """Compile nothing: else the calls of one run would not be those of the next."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def _struck_python(said):
    """Tell whether the fault struck the interpreter while it started or imported, before code of ours could meet it."""
    ours = re.findall(rb'File "[^"]*/pydp_cli/[^"]*", line \d+, in (\S+)', said)
    starting = b"Fatal Python error" in said or all(name == b"<module>" for name in ours)
    last = said.rsplit(b"Traceback", 1)[1]
    return starting or b"<frozen importlib" in last or b"importlib/metadata" in last


def pydp(*arguments):
    """Give the command line of the installed command, in one process."""
    return [sys.executable, "-m", "pydp_cli.cli.app", *map(str, arguments)]


def strays(folder):
    """Name what a run has left that is nobody's file."""
    found = [path for path in Path(folder).rglob("*") if path.name.startswith(".") and path.is_file()]
    return sorted(path.name for path in found if path.suffix in {".tmp", ".staged"})


def _spread(faults_, count):
    if len(faults_) <= count:
        return faults_
    return [faults_[n * len(faults_) // count] for n in range(count)]
