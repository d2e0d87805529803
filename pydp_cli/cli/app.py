"""The `pydp` command: a table of lazily imported commands, and the one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import signal
import sys
from typing import Any

import typer
import typer.core
import typer.main

from pydp_cli.errors import OutputError, PydpError, UsageError

COMMANDS = {
    "init": ("pydp_cli.cli.init", "Write a starter policy for files, every column to be decided."),
    "policy": ("pydp_cli.cli.policy", "Check, explain and document a policy."),
    "anonymize": ("pydp_cli.cli.anonymize", "Anonymize or pseudonymize files as a policy says."),
    "encrypt": ("pydp_cli.cli.encrypt", "Encrypt columns of files, or whole files."),
    "decrypt": ("pydp_cli.cli.decrypt", "Decrypt what encrypt made, and undo tokens."),
    "lookup": ("pydp_cli.cli.lookup", "Say what to search an encrypted column for."),
    "rotate-keys": ("pydp_cli.cli.rotate_keys", "New keys for old: re-wrap, re-encrypt, retire; nothing is lost."),
    "dp-stats": ("pydp_cli.cli.dp_stats", "Release statistics with differential privacy, within a budget."),
    "budget": ("pydp_cli.cli.budget", "Look at the ledger of privacy loss: what was spent, what is left."),
    "keys": ("pydp_cli.cli.keys", "Make and look after the keyring."),
    "export-user": ("pydp_cli.cli.export_user", "Write a copy of a person's data, found over all datasets."),
    "erase-user": ("pydp_cli.cli.erase_user", "Erase a person's data in all datasets, with a certificate."),
    "purge": ("pydp_cli.cli.purge", "Delete what is past the time that the policy keeps it for."),
    "guard": ("pydp_cli.cli.guard", "Leave out of data who was erased before, and comes back."),
    "certificate": ("pydp_cli.cli.certificate", "Check certificates of erasure."),
    "hold": ("pydp_cli.cli.hold", "Keep rows from being deleted while a legal matter is open."),
    "requests": ("pydp_cli.cli.requests", "Keep track of what people asked for, and when it is due."),
    "consent": ("pydp_cli.cli.consent", "Record what people agree to, and look it up."),
    "audit": ("pydp_cli.cli.audit", "Verify, search and prove the log of what every command did."),
}

INTERRUPTED = 128

UsageProblem: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer's own usage error: what a wrong option or a missing argument raises."""


class LazyGroup(typer.core.TyperGroup):
    """A group that knows its commands' names and one-line helps, and imports a command when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the commands in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of a command, and give the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        return typer.main.get_command(module.app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands from the table, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(cls=LazyGroup, name="pydp", rich_markup_mode=None, add_completion=False, no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("pydp-cli"))
        raise typer.Exit


@app.callback(epilog="Start with: pydp init FILE. Documentation of a command: pydp COMMAND --help.")
def pydp(
    *,
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True, callback=_print_version),
) -> None:
    """Make tabular data safe to use, share and delete: encrypt, anonymize, summarise, export, erase."""
    del version


def main() -> None:
    """Run the command line, and end the process with the exit code of what happened.

    Everything is cleaned up by then. To tear down the libraries costs a tenth of a short run, and where a signal caught
    their threads half-way it would abort.
    """
    gc.set_threshold(100_000)  # what is imported is there to stay, and need not be looked through
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # `run` has told it
            stream.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command, print its error if there is one, and give the exit code."""
    command = typer.main.get_command(app)
    try:
        _refuse_nul(arguments)
        result = command.main(args=arguments or ["--help"], prog_name="pydp", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the last line of defence: a bug must not print data
        return _exit_code(error)
    return result if isinstance(result, int) else 0


def _refuse_nul(arguments: list[str]) -> None:
    """Refuse what no file can be called: a shell cannot pass it, another program can."""
    for position, argument in enumerate(arguments, 1):
        if "\0" in argument:
            raise UsageError(f"argument {position} holds a NUL character")


def _exit_code(error: BaseException) -> int:
    """Tell the user what ended the run, and give its exit code."""
    from pydp_cli.cli.render import print_error, print_usage_problem

    if isinstance(error, PydpError):
        print_error(error)
        return error.exit_code
    if isinstance(error, UsageProblem):
        print_usage_problem(error)
        return 2
    cause = error.__context__ if isinstance(error, SystemExit) else error  # Typer ends the process on a closed pipe
    if isinstance(cause, BrokenPipeError):
        _silence_stdout()
        return 0
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        print_error(OutputError("the disk is full", place=str(error.filename or "standard output")))
        return OutputError.exit_code
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return INTERRUPTED + signal.SIGINT
    from pydp_cli.cli.crash import report_crash

    report_crash(error)
    return 1


def _silence_stdout() -> None:
    """Let the interpreter end quietly when the reader of a pipe has gone away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
