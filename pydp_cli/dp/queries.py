"""What is asked of the data: a question, read from the policy or the options, refused where it cannot be private."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil, floor

from pydantic import ValidationError

from pydp_cli.errors import UsageError
from pydp_cli.policy.condition_syntax import parse_condition
from pydp_cli.policy.conditions import columns_of
from pydp_cli.policy.model import DatasetPolicy
from pydp_cli.policy.statistics import Measure, Statistics, StatisticsQuery, measure_of, randomized_response

MOST_UNITS = 1 << 31
"""The greatest value, counted in units, whose square still fits 64 bits with room for a sum."""


@dataclass(frozen=True)
class Randomized:
    """Randomized response that a column went through: the probability with which a true answer was kept."""

    kept: Fraction
    epsilon: float


@dataclass(frozen=True)
class GroupColumn:
    """A column to group by: with keys that are public, or with keys that are private and have to be selected.

    The answers of a `randomized` one are not all true, which its counts are corrected for.
    """

    name: str
    keys: tuple[str, ...] | None
    randomized: Randomized | None = None


@dataclass(frozen=True)
class Question:
    """A query, whole: everything that decides its sensitivity is in here, and nothing of it comes from the data."""

    name: str
    dataset: str
    user: str | None
    groups: int
    rows_per_group: int
    group_by: tuple[GroupColumn, ...]
    where: str | None
    measures: tuple[tuple[str, Measure], ...]
    epsilon: Fraction | None
    rho: Fraction | None
    delta: Fraction
    mechanisms: str = "own"
    totals: bool = False

    @property
    def selects(self) -> bool:
        """Whether the set of groups is private, so that only those with enough people may be named."""
        return any(column.keys is None for column in self.group_by)

    @property
    def randomized(self) -> GroupColumn | None:
        """The column whose counts are corrected for randomized response."""
        return next((column for column in self.group_by if column.randomized is not None), None)

    @property
    def unit(self) -> str:
        """What one unit of privacy is, in words."""
        return "one row" if self.user is None else f'one person (all rows with the same "{self.user}")'

    @property
    def digest(self) -> str:
        """SHA-256 of all that is asked."""
        said = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()


def question_of(name: str, query: StatisticsQuery, said: Statistics, dataset: DatasetPolicy) -> Question:
    """Make a question of what the policy (or the command line) says; raises `UsageError` with the reason to refuse."""
    budget = said.budget
    user = query.user or said.user
    contribution = query.contribution or said.contribution
    if user is None and said.unit != "row":
        raise UsageError(
            "no column tells whose rows are whose, so a person with many rows would not be protected",
            place=f'query "{name}"',
            hint="name the person's column as `user` (--user), or write `unit: row` if each row is another person",
        )
    if query.epsilon is None and query.rho is None:
        raise UsageError("no epsilon (or rho) is given", place=f'query "{name}"', hint="for example --epsilon 1")
    if query.epsilon is not None and query.rho is not None:
        raise UsageError("both epsilon and rho are given", place=f'query "{name}"', hint="choose one of them")
    delta = query.delta if query.delta is not None else (budget.delta or 0) / 10 if budget else 0
    grouped = tuple(_group_column(raw, name, dataset) for raw in query.group_by)
    by_row = user is None
    question = Question(
        name=name,
        dataset=query.dataset,
        user=user,
        groups=1 if by_row or not grouped else contribution.groups,
        rows_per_group=1 if by_row else contribution.rows_per_group,
        group_by=grouped,
        where=query.where,
        measures=tuple((label, measure_of(raw)) for label, raw in query.release.items()),
        epsilon=None if query.epsilon is None else Fraction(str(query.epsilon)),
        rho=None if query.rho is None else Fraction(str(query.rho)),
        delta=Fraction(str(delta)),
        mechanisms=said.mechanisms,
        totals=query.totals,
    )
    _refuse(question, said, dataset)
    return question


def _group_column(raw: str | dict[str, object], query: str, dataset: DatasetPolicy) -> GroupColumn:
    place = f'query "{query}", group_by'
    if isinstance(raw, str):
        raise UsageError(
            f'"{raw}" says neither that its values are public nor that they are not',
            place=place,
            hint=f"write {{{raw}: {{keys: [A, B]}}}} for public values, or {{{raw}: {{unknown: true}}}}",
        )
    (column, options), *more = raw.items()
    if more or not isinstance(options, dict):
        raise UsageError("a group column is written {COLUMN: {keys: […]}}", place=place)
    if options.get("unknown") is True and "keys" not in options:
        return GroupColumn(column, None)
    if "randomized" in options:
        if set(options) != {"randomized"}:
            raise UsageError(f'"{column}" has the keys that `randomized` says', place=place)
        return _randomized_column(column, options["randomized"], dataset, place)
    keys = options.get("keys")
    if not isinstance(keys, (list, tuple)) or not keys:
        raise UsageError(f'"{column}" has neither keys nor `unknown: true`', place=place)
    return GroupColumn(column, tuple(dict.fromkeys(map(str, keys))))


def _randomized_column(column: str, said: object, dataset: DatasetPolicy, place: str) -> GroupColumn:
    """Read how a column was randomized: as the dataset's `anonymize` says, or as is written here."""
    options: object = said
    if said is True:
        treated = dataset.columns.get(column)
        steps = () if treated is None else treated.anonymize or ()
        options = next((step.options for step in steps if step.name == "randomized_response"), None)
        if options is None:
            raise UsageError(
                f'the policy does not say how "{column}" was randomized',
                place=place,
                hint=f"write {{{column}: {{randomized: {{categories: [A, B], epsilon: 1}}}}}}",
            )
    try:
        chosen = randomized_response(options)
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(f"`randomized`: {message}", place=place) from None
    return GroupColumn(column, tuple(chosen.categories), Randomized(chosen.kept(), chosen.epsilon))


def _refuse_randomized(question: Question, place: str) -> None:
    """Refuse what cannot be corrected for randomized response."""
    if sum(column.randomized is not None for column in question.group_by) > 1:
        raise UsageError("one column at most can be corrected for randomized response", place=place)
    if question.totals:
        raise UsageError("corrected counts have no totals", place=place, hint="leave out `totals`")
    if question.selects:
        raise UsageError("a randomized column goes with groups that are public", place=place, hint="list their keys")
    for label, measure in question.measures:
        if measure.kind not in {"count", "count_users"}:
            raise UsageError(
                f'"{measure.kind}" cannot be corrected for randomized response: whose answer is true is not known',
                place=f"{place}, {label}",
                hint="count only, or group by `keys:` for the answers as they are",
            )


def _refuse(question: Question, said: Statistics, dataset: DatasetPolicy) -> None:
    """Refuse what cannot be released privately, with the reason."""
    place = f'query "{question.name}"'
    if question.totals and not question.group_by:
        raise UsageError("totals are for groups, and there are none", place=place, hint="leave out `totals`")
    if question.randomized is not None:
        _refuse_randomized(question, place)
    cap = said.budget.per_query if said.budget else None
    if cap is not None and question.epsilon is not None and question.epsilon > Fraction(str(cap)):
        raise UsageError(f"epsilon is above {cap:g}, the most that the policy allows one query", place=place)
    if question.selects and question.delta <= 0:
        raise UsageError(
            "the groups are not public, and without delta their names would tell who is in the data",
            place=place,
            hint="give delta (well below one in the number of people, such as 1e-6), or list the public keys",
        )
    if question.where is not None:
        identifying = {question.user, *dataset.identifiers, *dataset.links}
        if named := sorted(columns_of(parse_condition(question.where)) & {name for name in identifying if name}):
            raise UsageError(
                f'`where` asks for "{named[0]}", which identifies people: it would single one out', place=place
            )
    for label, measure in question.measures:
        if measure.bounds is not None and max(map(abs, units_of(measure))) >= MOST_UNITS:
            raise UsageError(
                "the bounds are too wide for the unit", place=f"{place}, {label}", hint="choose a coarser unit"
            )


def units_of(measure: Measure) -> tuple[int, int]:
    """Give the bounds as whole numbers of units, within what was declared."""
    assert measure.bounds is not None
    unit = Fraction(str(measure.unit))
    low, high = (Fraction(str(bound)) / unit for bound in measure.bounds)
    return (ceil(low), floor(high)) if floor(high) > ceil(low) else (floor(low), ceil(high))


def names_of(label: str, measure: Measure) -> list[str]:
    """Name the columns that a statistic is released as."""
    if measure.kind == "quantiles":
        return [f"{label}_{share:g}" for share in measure.shares]
    if measure.kind == "histogram":
        last = len(measure.edges) - 2
        return [
            f"{label}_{low:g}_to_{high:g}" if place < last else f"{label}_{low:g}_up"
            for place, (low, high) in enumerate(zip(measure.edges, measure.edges[1:], strict=False))
        ]
    return [label]
