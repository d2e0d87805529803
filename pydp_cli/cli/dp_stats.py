"""`pydp dp-stats`: statistics with differential privacy, with error bars, debited from the ledger."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.arrow import load_arrow
from pydp_cli.cli.render import fits, note, print_json, print_table
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.dp.ledger import Ledger, Witness
    from pydp_cli.dp.queries import Question
    from pydp_cli.policy.model import Policy

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLE = """\b
Example:
  pydp dp-stats fixtures/data/orders.csv --user customer_id --epsilon 1 --count --mean total:0:500 \\
    --group-by currency=EUR,USD
"""
Texts = list[str] | None


@app.command("dp-stats", epilog=EXAMPLE)
def dp_stats(
    inputs: opt.Inputs = None,
    *,
    query: Annotated[str | None, typer.Option("--query", metavar="NAME", help="A query of the policy.")] = None,
    policy: opt.PolicyFile = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="COLUMN", help="The column of the person: the unit of privacy.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="UNIT", help="row, where each row is another person.")
    ] = None,
    epsilon: Annotated[float | None, typer.Option("--epsilon", help="The privacy loss to spend.")] = None,
    rho: Annotated[float | None, typer.Option("--rho", help="The loss in zCDP instead (Gaussian noise).")] = None,
    delta: Annotated[float | None, typer.Option("--delta", help="For private groups: well below 1/people.")] = None,
    count: Annotated[bool, typer.Option("--count", help="Count rows.")] = False,
    count_users: Annotated[bool, typer.Option("--count-users", help="Count people.")] = False,
    sums: Annotated[Texts, typer.Option("--sum", metavar="COLUMN:LOW:HIGH[:UNIT]", help="A sum.")] = None,
    means: Annotated[Texts, typer.Option("--mean", metavar="COLUMN:LOW:HIGH[:UNIT]", help="A mean.")] = None,
    stds: Annotated[Texts, typer.Option("--std", metavar="COLUMN:LOW:HIGH[:UNIT]", help="A spread.")] = None,
    quantiles: Annotated[
        Texts, typer.Option("--quantiles", metavar="COLUMN:LOW:HIGH[:Q,Q]", help="Quantiles; the median alone if none.")
    ] = None,
    histograms: Annotated[Texts, typer.Option("--histogram", metavar="COLUMN:EDGE,EDGE,…", help="Counts.")] = None,
    group_by: Annotated[
        Texts, typer.Option("--group-by", metavar="COLUMN[=KEY,KEY]", help="Groups; without keys they are private.")
    ] = None,
    totals: Annotated[bool, typer.Option("--totals", help="Add lines with what the groups add up to.")] = False,
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="A condition on the rows that count.")
    ] = None,
    groups_per_person: Annotated[int, typer.Option(min=1, help="How many groups of a person count.")] = 1,
    rows_per_group: Annotated[int, typer.Option(min=1, help="How many rows of a person count in a group.")] = 1,
    output: opt.Output = None,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Write a page with bars and error bars.")
    ] = None,
    force: opt.Force = False,
    json: opt.Json = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Tell the accuracy that the budget buys, and read no data.")
    ] = False,
    target_error: Annotated[
        str | None, typer.Option(metavar="NAME=HALF_WIDTH", help="Tell the epsilon that this accuracy needs.")
    ] = None,
    suggest_bounds: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Spend the epsilon on finding bounds of a column.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Try it on data that is public, named as INPUT; nothing is debited.")
    ] = False,
    input_format: opt.InputFormat = None,
    workers: opt.Workers = None,
    as_of: opt.AsOf = None,
    quiet: opt.Quiet = False,
) -> None:
    """Release statistics that protect every single person, each number with its error.

    The privacy loss is debited before anything is computed. The same query over the same files is answered from the
    ledger, at no cost.
    """
    load_arrow()
    from pydp_cli.dp.calibration import calibrate

    adhoc = _adhoc_release(count, count_users, sums, means, stds, quantiles, histograms, suggest_bounds)
    loaded, name = _policy_of(
        query,
        policy,
        adhoc,
        inputs,
        {
            "user": user,
            "unit": unit,
            "epsilon": epsilon,
            "rho": rho,
            "delta": delta,
            "group_by": group_by,
            "where": where,
            "totals": totals,
            "groups": groups_per_person,
            "rows": rows_per_group,
        },
    )
    question = _question(loaded, name, epsilon if query else None, delta if query else None)
    if target_error is not None:
        _show_target(question, target_error, json=json)
        return
    if plan:
        _show_plan(question, calibrate(question), json=json)
        return
    released, stored_at = _answer(
        question,
        loaded,
        inputs,
        input_format,
        dry_run,
        opt.workers_or_cores(workers),
        opt.day_of(as_of),
        query is not None,
    )
    if stored_at is not None and not quiet:
        note(f"this was released on {stored_at}, and is given again at no cost")
    if dry_run and not quiet:
        note("a dry run on data that is said to be public: nothing was debited, and this is no private release")
    if suggest_bounds is not None:
        _show_bounds(suggest_bounds, released, json=json)
        return
    _show(released, output, html, json=json, force=force, quiet=quiet)


def _adhoc_release(  # noqa: PLR0917 - the options, in their order
    count: bool,
    count_users: bool,
    sums: Texts,
    means: Texts,
    stds: Texts,
    quantiles: Texts,
    histograms: Texts,
    bounds_of: str | None,
) -> dict[str, Any]:
    release: dict[str, Any] = {}
    if count:
        release["count"] = "count"
    if count_users:
        release["people"] = "count_users"
    for kind, texts in (("sum", sums), ("mean", means), ("std", stds)):
        for text in texts or ():
            column, low, high, *step = _parts(text, f"--{kind}", "total:0:500")
            release[f"{kind}_{column}"] = {kind: column, "bounds": [low, high], "unit": step[0] if step else 0.01}
    for text in quantiles or ():
        column, low, high, *shares = _parts(text, "--quantiles", "total:0:500:0.25,0.5,0.75")
        listed = shares[0] if shares else "0.5"
        release[f"quantile_{column}"] = {
            "quantiles": [_number(share, "--quantiles") for share in listed.split(",")],
            "of": column,
            "bounds": [low, high],
        }
    for text in histograms or ():
        column, colon, edges = text.rpartition(":")
        if not colon:
            raise UsageError("a histogram is written COLUMN:EDGE,EDGE,…", place="--histogram")
        release[f"histogram_{column}"] = {
            "histogram": column,
            "edges": [_number(edge, "--histogram") for edge in edges.split(",")],
        }
    if bounds_of is not None:
        powers = [float(2**power) for power in range(41)]
        release["bounds"] = {"histogram": bounds_of, "edges": [*(-p for p in reversed(powers)), 0.0, *powers]}
    return release


def _parts(text: str, option: str, example: str) -> list[Any]:
    column, *rest = text.split(":")
    if len(rest) not in (2, 3) or not column:
        raise UsageError(
            "no bounds: without them one person could change the answer without limit"
            if not rest
            else "not understood",
            place=option,
            hint=f"write them as in {option} {example}; do not take them from the data",
        )
    return [
        column,
        _number(rest[0], option),
        _number(rest[1], option),
        *(rest[2:] if option == "--quantiles" else [_number(one, option) for one in rest[2:]]),
    ]


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError("not a number", place=option) from None


def _policy_of(
    query: str | None, path: Path | None, release: dict[str, Any], inputs: list[str] | None, said: dict[str, Any]
) -> tuple[Policy, str]:
    """Load the policy of a named query, or make one of the options."""
    from pydantic import ValidationError

    from pydp_cli.policy.model import Policy

    if query is not None:
        if release:
            raise UsageError("--query has its statistics in the policy", hint="leave out --count, --sum and the like")
        loaded = opt.find_and_load_policy(path)
        if loaded.statistics is None or query not in loaded.statistics.queries:
            known = ", ".join(loaded.statistics.queries) if loaded.statistics else ""
            raise UsageError(f'the policy has no query "{query}"', hint=f"it has: {known}" if known else None)
        return loaded, query
    if not release:
        raise UsageError(
            "nothing is asked", hint="name a --query of the policy, or use --count, --mean COLUMN:LOW:HIGH …"
        )
    if not inputs:
        raise UsageError("no input", hint="name a file, or a --query of the policy")
    groups = []
    for text in said["group_by"] or ():
        column, equals, keys = text.partition("=")
        groups.append({column: {"keys": keys.split(",")} if equals else {"unknown": True}})
    name = "; ".join(os.path.realpath(one) if "://" not in one else one for one in inputs)
    data = {
        "version": 1,
        "datasets": {name: {"path": inputs[0], "other_columns": "keep"}},
        "statistics": {
            "user": said["user"],
            "unit": said["unit"],
            "contribution": {"groups": said["groups"], "rows_per_group": said["rows"]},
            "queries": {
                "command line": {
                    "dataset": name,
                    "group_by": groups,
                    "where": said["where"],
                    "totals": said["totals"],
                    "release": release,
                    **{key: said[key] for key in ("epsilon", "rho", "delta")},
                }
            },
        },
    }
    try:
        return Policy.model_validate(data).located(Path(), None), "command line"
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(message) from None


def _question(policy: Policy, name: str, epsilon: float | None, delta: float | None) -> Question:
    from pydp_cli.dp.queries import question_of

    said = policy.statistics
    assert said is not None
    query = said.queries[name]
    changes: dict[str, Any] = {} if epsilon is None else {"epsilon": epsilon, "rho": None}
    if delta is not None:
        changes["delta"] = delta
    return question_of(name, query.model_copy(update=changes), said, policy.datasets[query.dataset])


def _answer(  # noqa: PLR0917 - one caller, above
    question: Question,
    policy: Policy,
    inputs: list[str] | None,
    input_format: str | None,
    dry_run: bool,
    workers: int,
    today: Any,
    in_policy: bool,
) -> tuple[dict[str, Any], str | None]:
    from pydp_cli.datasets.locations import find_inputs
    from pydp_cli.datasets.memory import use_little_memory
    from pydp_cli.dp.ask import Asking, allowance_of, ask, budget_of, compute, period_of
    from pydp_cli.dp.calibration import calibrate
    from pydp_cli.pipeline.transform_files import dataset_path

    use_little_memory()
    said = policy.statistics
    assert said is not None
    paths = inputs or [dataset_path(policy, question.dataset)]
    files = find_inputs(paths, input_format=input_format)
    state = policy.state_dir if in_policy else opt.seen_folder()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    asking = Asking(files, policy.datasets[question.dataset], state, workers)
    if dry_run:
        if not inputs:
            raise UsageError(
                "a dry run is for public data only", place="--dry-run", hint="name a public sample as INPUT"
            )
        return compute(question, asking, calibrate(question)), None
    ledger = open_ledger_of(policy) if in_policy else open_ledger(state)
    try:
        allowed = allowance_of(said.budget, ledger, question.dataset)
        budget, period = budget_of(allowed), period_of(allowed.per if allowed else None, today)
        answer = ask(question, asking, ledger=ledger, budget=budget, period=period, policy_digest=policy.digest)
        identity = ledger.identity()
    finally:
        ledger.close()
    if in_policy and answer.stored_at is None:
        from pydp_cli.cli.rights import record

        told = {"query": question.name, "dataset": question.dataset, "period": period, "files": len(files), **identity}
        record(policy, "dp-stats.released", told, None)
    return answer.release, answer.stored_at


def open_ledger(state: Path) -> Ledger:
    """Open the ledger of a folder; what this user's machine has seen of it is its witness."""
    from pydp_cli.dp.witness import FileWitness

    return _opened(state, FileWitness(opt.seen_folder()))


def open_ledger_of(policy: Policy) -> Ledger:
    """Open the ledger of a policy; what its audit log says of it is a witness, too."""
    from pydp_cli.dp.witness import AuditWitness, FileWitness

    policy.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _opened(policy.state_dir, AuditWitness(policy.state_dir, FileWitness(opt.seen_folder())))


def _opened(state: Path, witness: Witness) -> Ledger:
    import getpass

    from pydp_cli.dp.ledger import Ledger

    def now() -> datetime:
        return datetime.now(timezone.utc)

    return Ledger(state / "ledger.sqlite", witness, now, getpass.getuser())


def _show(
    released: dict[str, Any], output: str | None, html: str | None, *, json: bool, force: bool, quiet: bool
) -> None:
    from pydp_cli.dp.outputs import long_rows, table_rows, write_table
    from pydp_cli.dp.wording import promises

    if html is not None:
        from pydp_cli.datasets.publish import staged
        from pydp_cli.dp.render_html import page

        with staged(html, force=force) as stream:
            stream.write(page(released).encode())
    if output is not None:
        write_table(released, output, force=force)
    elif json:
        print_json(released)
    else:
        wide = table_rows(released)
        print_table(wide if fits(wide) else long_rows(released))
    if not quiet and not json and output != "-":
        print(file=sys.stderr)
        for sentence in promises(released):
            note(sentence)


def _show_plan(question: Question, calibration: Any, *, json: bool) -> None:
    from pydp_cli.dp.release import expected_errors

    rows = [
        {"statistic": label, "rows in the group": size, "95 % interval: ±": float(f"{half:.4g}")}
        for label, size, half in expected_errors(question, calibration)
    ]
    if json:
        print_json(rows)
    else:
        print_table(rows)


def _show_target(question: Question, text: str, *, json: bool) -> None:
    from pydp_cli.dp.planning import epsilon_for

    name, equals, wanted = text.partition("=")
    if not equals:
        raise UsageError("written NAME=HALF_WIDTH, as in count=50", place="--target-error")
    epsilon = float(epsilon_for(question, name, _number(wanted, "--target-error")))
    if json:
        print_json({"epsilon": epsilon, "statistic": name, "half_width": float(wanted)})
    else:
        print(f"epsilon {epsilon:.4g} gives {name} with a 95 % interval of ± {wanted}")


def _show_bounds(column: str, released: dict[str, Any], *, json: bool) -> None:
    from pydp_cli.dp.planning import bounds_from

    low, high = bounds_from(released)
    if json:
        print_json({"column": column, "bounds": [low, high], "epsilon": released["epsilon"]})
    else:
        print(f"bounds: [{low:g}, {high:g}]")
        note(f'these bounds of "{column}" are private; finding them cost epsilon {released["epsilon"]:g}')
