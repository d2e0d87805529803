"""The catalogue: which columns people are known by, in which datasets, and how datasets hang together.

Every column that identifies people or links datasets is a *key* in a *space*: the identity that it holds
(`customer_id`), or the column at the end of its links (`orders.id`). Values of one space are compared with each other,
whatever dataset they are in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from pydp_cli.datasets.locations import InputFile, find_inputs
from pydp_cli.errors import InputError, UsageError
from pydp_cli.pipeline.transform_files import dataset_path
from pydp_cli.policy.model import Identity, Policy


@dataclass(frozen=True)
class Key:
    """One column that joins. `other` is a column about other people: rows are found by it, and it leads no further."""

    dataset: str
    column: str
    space: str
    other: bool = False


@dataclass(frozen=True)
class Catalogue:
    """The keys of every dataset of a policy."""

    policy: Policy
    keys: tuple[Key, ...]

    def keys_of(self, dataset: str) -> tuple[Key, ...]:
        """Give the keys of a dataset."""
        return tuple(key for key in self.keys if key.dataset == dataset)

    def keys_in(self, space: str) -> tuple[Key, ...]:
        """Give the keys of a space."""
        return tuple(key for key in self.keys if key.space == space)

    def identity(self, space: str) -> Identity | None:
        """Give the identity that a space is; None for one that only joins datasets."""
        return self.policy.identities.get(space)

    @cached_property
    def subject_spaces(self) -> frozenset[str]:
        """The identities that name one person each: two of one person are an ambiguity.

        Those that links lead to; where none leads to any, the first of the policy that people are known by.
        """
        found = set()
        for name, dataset in self.policy.datasets.items():
            for column in dataset.links:
                space = self._space_of(name, column)
                if space in self.policy.identities:
                    found.add(space)
        used = (name for name in self.policy.identities if self.keys_in(name))
        return frozenset(found or set(islice(used, 1)))

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The datasets with keys, those that links lead to first, so that one pass finds what hangs together."""
        done: dict[str, bool] = {}
        for name in self.policy.datasets:
            self._visit(name, done)
        return tuple(name for name in done if self.keys_of(name))

    def _visit(self, name: str, done: dict[str, bool]) -> None:
        waiting: list[tuple[str, bool]] = [(name, False)]
        entered: set[str] = set()
        while waiting:
            at, left = waiting.pop()
            if left:
                done.setdefault(at, True)
            elif at not in entered and at not in done and at in self.policy.datasets:
                entered.add(at)
                waiting.append((at, True))
                dataset = self.policy.datasets[at]
                targets = {target[0] for column in dataset.links if (target := dataset.link_of(column)) is not None}
                waiting += [(target, False) for target in sorted(targets)]

    def _space_of(self, dataset: str, column: str) -> str:
        return space_of(self.policy, dataset, column)

    def files(self, dataset: str) -> list[InputFile]:
        """List a dataset's files; none where there are none yet."""
        path = self.policy.datasets[dataset].path
        if path is None or path == "-":
            return []
        try:
            return find_inputs([dataset_path(self.policy, dataset)])
        except InputError as error:
            if error.message in {"no such file", "no file matches", "the folder holds no data files"}:
                return []
            raise

    def check_space(self, name: str, place: str) -> str:
        """Refuse an identifier that the policy does not know."""
        if name not in {key.space for key in self.keys}:
            known = sorted({key.space for key in self.keys if key.space in self.policy.identities})
            hint = f"one of: {', '.join(known)}" if known else "declare `identities:` and `identifiers:`"
            raise UsageError(f'no dataset is searched by "{name}"', place=place, hint=hint)
        return name


def catalogue_of(policy: Policy) -> Catalogue:
    """Compile the catalogue of a policy."""
    return Catalogue(policy, tuple(_keys(policy)))


def space_of(policy: Policy, dataset: str, column: str) -> str:
    """Name the space of a column: the identity that it or its links hold, else the column that its links end at."""
    identity = policy.identity_of(dataset, column)
    if identity is not None:
        return identity
    seen: set[tuple[str, str]] = set()
    while (dataset, column) not in seen and dataset in policy.datasets:
        seen.add((dataset, column))
        target = policy.datasets[dataset].link_of(column)
        if target is None:
            break
        dataset, column = target
    return f"{dataset}.{column}"


def _keys(policy: Policy) -> Iterator[Key]:
    targets = {
        target
        for dataset in policy.datasets.values()
        for column in dataset.links
        if (target := dataset.link_of(column)) is not None
    }
    for name, dataset in policy.datasets.items():
        linked = [column for at, column in sorted(targets) if at == name]
        for column in dict.fromkeys([*dataset.links, *linked, *dataset.identifiers]):
            yield Key(name, column, space_of(policy, name, column), column in dataset.other_people)
