"""Make every system call of a change fail in turn, or kill the process at it, and count what is left.

The calls are those of `os` that change or sync files, or tell what is there. A run happens in a forked child, whose
n-th such call raises or ends the process.
"""

import errno
import os
import sys
import traceback

CALLS = ("open", "write", "fsync", "replace", "rename", "unlink", "truncate", "fchmod", "stat", "lstat")


class Injector:
    """Counts the calls, and strikes at the n-th: `kill` before it, `after` right after it, or with an error."""

    def __init__(self, at, how):
        self.at, self.how, self.count = at, how, 0

    def wrap(self, original):
        def call(*arguments, **options):
            self.count += 1
            if self.count != self.at:
                return original(*arguments, **options)
            if self.how == "kill":
                os._exit(137)
            if self.how == "after":
                original(*arguments, **options)
                os._exit(137)
            raise OSError(self.how, os.strerror(self.how))

        return call

    def install(self):
        for name in CALLS:
            setattr(os, name, self.wrap(getattr(os, name)))


def strike(run, at, how):
    """Run in a child with a fault at the `at`-th call; tell whether it came that far, and how it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        injector = Injector(at, how)
        code = 0
        try:
            os.close(reader)
            injector.install()
            run()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported to the parent
            code = 1
            sys.__stderr__.write("".join(traceback.format_exception_only(error)))
        os._exit(code if injector.count >= at else 99)
    os.close(writer)
    os.close(reader)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def every_fault(run, prepare, check, how, limit=400):
    """Strike at each call in turn until a run has fewer; gives the number of strikes."""
    for at in range(1, limit):
        prepare()
        code = strike(run, at, how)
        if code == 99:
            return at - 1
        check(code)
    raise AssertionError("the run never came to its end")


KINDS = ["kill", "after", errno.EIO, errno.ENOSPC]
