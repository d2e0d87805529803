"""`pydp budget`: what the ledger says was spent, by whom and for what, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pydp_cli.cli import options as opt
from pydp_cli.cli.dp_stats import open_ledger, open_ledger_of
from pydp_cli.cli.render import note, print_json, print_table
from pydp_cli.errors import UsageError

if TYPE_CHECKING:
    from pydp_cli.dp.ledger import Ledger
    from pydp_cli.policy.model import Policy
    from pydp_cli.policy.statistics import Budget

EXAMPLE = """\b
Example:
  pydp budget show
  pydp budget history --json
  pydp budget set orders --epsilon 1 --per P1Y
  pydp budget close orders
"""
app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, epilog=EXAMPLE)
DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset of the policy, or a file's full path.")]


@app.callback()
def budget() -> None:
    """Look at the ledger of privacy loss: what was spent, and what is left."""


@app.command(epilog=EXAMPLE)
def show(*, policy: opt.PolicyFile = None, as_of: opt.AsOf = None, json: opt.Json = False) -> None:
    """Show, for each dataset and period, what was spent and what is left."""
    from pydp_cli.dp.accounting import epsilon_at
    from pydp_cli.dp.ask import period_of

    loaded = _loaded(policy)
    ledger = _ledger(loaded)
    today = opt.day_of(as_of)
    rows = []
    try:
        known = {entry.dataset: None for entry in ledger.history()}
        for query in loaded.statistics.queries.values() if loaded and loaded.statistics else ():
            known[query.dataset] = None
        for dataset in known:
            allowed = _allowed(loaded, ledger, dataset)
            period = period_of(allowed.per if allowed else None, today)
            spent = ledger.spent(dataset, period)
            delta = max(allowed.delta or 0.0 if allowed else 1e-6, float(spent.delta))
            used = epsilon_at(spent, delta)
            row: dict[str, Any] = {"dataset": dataset, "period": period, "epsilon spent": float(f"{used:.6g}")}
            row |= {"delta spent": float(spent.delta), "rho spent": float(f"{float(spent.rho):.6g}")}
            row["left"] = _left(allowed, used, float(spent.rho))
            row["closed"] = "yes" if ledger.is_closed(dataset, period) else "no"
            rows.append(row)
    finally:
        ledger.close()
    _print(rows, json=json)


@app.command(epilog=EXAMPLE)
def history(*, policy: opt.PolicyFile = None, json: opt.Json = False) -> None:
    """List every debit: when, by whom, for which query, and what it cost."""
    ledger = _ledger(_loaded(policy))
    try:
        rows = [
            {
                "at": entry.at,
                "by": entry.actor,
                "dataset": entry.dataset,
                "query": entry.query,
                "digest": entry.query_digest[:12],
                "policy": entry.policy_digest[:12],
                "epsilon": "-" if entry.loss.epsilon is None else f"{float(entry.loss.epsilon):g}",
                "delta": float(entry.loss.delta),
                "rho": float(f"{float(entry.loss.rho):.6g}"),
                "state": entry.state,
            }
            for entry in ledger.history()
        ]
    finally:
        ledger.close()
    _print(rows, json=json)


@app.command("set", epilog=EXAMPLE)
def set_(
    dataset: DatasetName,
    *,
    epsilon: Annotated[float | None, typer.Option(help="What may be spent in a period.")] = None,
    delta: Annotated[float, typer.Option(help="And the delta.")] = 0.0,
    rho: Annotated[float | None, typer.Option(help="Or the loss in zCDP.")] = None,
    per: Annotated[str | None, typer.Option(help="The period, such as P1Y; without one it is never renewed.")] = None,
    policy: opt.PolicyFile = None,
) -> None:
    """Set the budget of a dataset that no policy gives one; what was spent stays spent."""
    from pydantic import ValidationError

    from pydp_cli.policy.statistics import Budget

    loaded = _loaded(policy)
    if loaded and loaded.statistics and loaded.statistics.budget:
        raise UsageError("the policy sets the budget", hint="change `statistics: budget:` there, where it is reviewed")
    try:
        wanted = Budget(epsilon=epsilon, delta=delta, rho=rho, per=per)
    except ValidationError as error:
        raise UsageError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
    ledger = _ledger(loaded)
    try:
        ledger.set_allowance(_name(loaded, dataset), wanted.model_dump_json())
        identity = ledger.identity()
    finally:
        ledger.close()
    _record(loaded, "budget.set", {"dataset": dataset, "budget": wanted.model_dump_json(), **identity})


@app.command(epilog=EXAMPLE)
def close(dataset: DatasetName, *, policy: opt.PolicyFile = None, as_of: opt.AsOf = None) -> None:
    """Allow no more releases from a dataset in this period; stored ones are still given."""
    from pydp_cli.dp.ask import period_of

    loaded = _loaded(policy)
    ledger = _ledger(loaded)
    try:
        name = _name(loaded, dataset)
        allowed = _allowed(loaded, ledger, name)
        period = period_of(allowed.per if allowed else None, opt.day_of(as_of))
        ledger.close_budget(name, period)
        identity = ledger.identity()
    finally:
        ledger.close()
    _record(loaded, "budget.closed", {"dataset": dataset, "period": period, **identity})
    note(f"closed for the period: {period}")


def _record(policy: Policy | None, event: str, details: dict[str, Any]) -> None:
    """Append a change of a policy's budgets to its audit log."""
    if policy is not None:
        from pydp_cli.cli.rights import record

        record(policy, event, details, None)


def _loaded(path: Path | None) -> Policy | None:
    """Give the policy, if there is one with a budget or a ledger."""
    from pydp_cli.policy.loader import find_policy, load_policy

    found = path or find_policy(Path.cwd())
    loaded = load_policy(found) if found is not None else None
    if loaded is None or loaded.statistics is not None or path is not None:
        return loaded
    return loaded if (loaded.state_dir / "ledger.sqlite").exists() else None


def _ledger(policy: Policy | None) -> Ledger:
    """Open the policy's ledger, else that of this user."""
    return open_ledger(opt.seen_folder()) if policy is None else open_ledger_of(policy)


def _name(policy: Policy | None, dataset: str) -> str:
    if policy is None:
        return str(Path(dataset).resolve())
    if dataset not in policy.datasets:
        raise UsageError(f'the policy has no dataset "{dataset}"', hint=f"one of: {', '.join(policy.datasets)}")
    return dataset


def _allowed(policy: Policy | None, ledger: Ledger, dataset: str) -> Budget | None:
    from pydp_cli.dp.ask import allowance_of

    return allowance_of(policy.statistics.budget if policy and policy.statistics else None, ledger, dataset)


def _left(allowed: Budget | None, epsilon: float, rho: float) -> str:
    if allowed is None:
        return "no budget is set"
    if allowed.rho is not None:
        return f"rho {max(0.0, allowed.rho - rho):.4g} of {allowed.rho:g}"
    assert allowed.epsilon is not None
    return f"epsilon {max(0.0, allowed.epsilon - epsilon):.4g} of {allowed.epsilon:g}"


def _print(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json(rows)
    elif rows:
        print_table(rows)
    else:
        note("nothing was spent")
