"""`pydp policy`: check a policy, explain what it compiles to, and print its JSON Schema."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.access import Access, with_access
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.pipeline.explain import ColumnStory
    from pydp_cli.policy.model import Policy

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Check a policy, explain what it compiles to, and print its JSON Schema.",
)


@app.command(
    epilog="""\b
Example:
  pydp policy check -p fixtures/pydp.yml
"""
)
def check(*, policy: opt.PolicyFile = None, dataset: opt.Dataset = None, json: opt.Json = False) -> None:
    """Check the policy alone, and against the files of its datasets where there are any.

    Every problem is told, with its place. Ends with 2 where one is an error.
    """
    load_arrow()
    from pydp_cli.cli.render import note, print_error, print_json
    from pydp_cli.errors import PolicyError
    from pydp_cli.pipeline.survey import check_files
    from pydp_cli.policy.checks import check_policy

    loaded = opt.find_and_load_policy(policy)
    names = [dataset] if dataset is not None else list(loaded.datasets)
    problems = check_policy(loaded)
    checked = 0
    for name in names:
        files, found = check_files(loaded, name)
        checked += files
        problems += [problem for problem in found if problem not in problems]
    if json:
        print_json([vars(problem) for problem in problems])
    elif problems:
        print_error(PolicyError(problems))
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(2)
    if not json:
        datasets = f"{len(names)} dataset{'s' * (len(names) != 1)}"
        note(f"the policy is sound: {datasets}, checked against {checked} file{'s' * (checked != 1)}")


@app.command(
    epilog="""\b
Example:
  pydp policy explain -p fixtures/pydp.yml --dataset customers
"""
)
@with_access
def explain(*, access: Access, dataset: opt.Dataset = None, json: opt.Json = False) -> None:
    """Show the compiled pipeline: each column's type in, steps, type out, key, and what it still tells.

    Without an unlocked keyring the keys are shown by name only.
    """
    load_arrow()
    from pydp_cli.cli.render import print_json
    from pydp_cli.pipeline.survey import explain_dataset

    loaded = opt.find_and_load_policy(access.policy)
    names = [dataset] if dataset is not None else list(loaded.datasets)
    unlock = access.unlock() if access.brings_something() else None
    path = access.keyring or loaded.keyring_path
    stories = {name: explain_dataset(loaded, name, opt.open_if_unlocked(path, unlock)) for name in names}
    if json:
        print_json({name: [vars(story) for story in told] for name, told in stories.items()})
        return
    for name, told in stories.items():
        _show(loaded, name, told)


@app.command(
    epilog="""\b
Example:
  pydp policy schema > pydp.schema.json
"""
)
def schema() -> None:
    """Print the policy's JSON Schema, by which editors complete and check it."""
    load_arrow()
    from pydp_cli.cli.render import print_json
    from pydp_cli.policy.schema import policy_json_schema

    print_json(policy_json_schema())


@app.command(
    epilog="""\b
Example:
  pydp policy free-text-accuracy fixtures/free_text/labelled.jsonl
"""
)
def free_text_accuracy(
    labelled: Annotated[Path, typer.Argument(help="Texts, one JSON object a line, identifiers as [[kind|value]].")],
    *,
    json: opt.Json = False,
) -> None:
    """Measure what `free_text` finds in a labelled set: precision, recall and coverage of each kind of identifier.

    Precision is the share of what it reports that is right, recall the share of the labels that it reports under their
    kind, coverage the share of the labels of which nothing is left to read.
    """
    load_arrow()
    from dataclasses import asdict

    from pydp_cli.cli.render import print_json, print_table
    from pydp_cli.transforms.free_text_accuracy import measure, read_labelled

    found = measure(read_labelled(labelled))
    shares = ("precision", "recall", "coverage")
    rows = [asdict(kind) | {name: round(getattr(kind, name), 4) for name in shares} for kind in found]
    if json:
        print_json(rows)
    else:
        print_table([{name: row[name] for name in ("kind", "labelled", "claimed", *shares)} for row in rows])


@app.command(
    epilog="""\b
Example:
  pydp policy ropa -p fixtures/pydp.yml --format markdown > ropa.md
"""
)
def ropa(
    *,
    policy: opt.PolicyFile = None,
    format_: Annotated[str, typer.Option("--format", metavar="FORMAT", help="csv or markdown.")] = "csv",
) -> None:
    """Print the record of processing activities (GDPR Art. 30) that the policy stands for.

    What the law asks for and the policy does not say is shown as not said.
    """
    load_arrow()
    from pydp_cli.subjects.ropa import ropa_csv, ropa_markdown

    if format_ not in {"csv", "markdown"}:
        raise UsageError("--format is one of: csv, markdown")
    loaded = opt.find_and_load_policy(policy)
    typer.echo(ropa_csv(loaded) if format_ == "csv" else ropa_markdown(loaded), nl=False)


def _show(policy: Policy, name: str, told: list[ColumnStory]) -> None:
    """Print a dataset's columns, each as a heading line and what is done to it below."""
    from pydp_cli.cli.render import BOLD, styled

    typer.echo(styled(f"{name}: {policy.datasets[name].path}", BOLD, sys.stdout))
    width = max((len(story.column) for story in told), default=0)
    for story in told:
        types = story.type_in if story.type_out in {None, story.type_in} else f"{story.type_in} → {story.type_out}"
        facts = [" → ".join(story.steps), *(f"key {key}" for key in story.keys)]
        if story.reversible:
            facts.append("can be undone by the key")
        indent = " " * (width + 4)
        typer.echo(f"  {styled(story.column.ljust(width), BOLD, sys.stdout)}  {types}")
        for text in (", ".join(facts), f"still tells {story.leaks}"):
            lines = wrap(
                text, shutil.get_terminal_size().columns, initial_indent=indent, subsequent_indent=indent + "  "
            )
            typer.echo("\n".join(lines))
    typer.echo()
