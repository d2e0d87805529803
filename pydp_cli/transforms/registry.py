"""What a transform is, and the registry that names them.

A transform is a frozen pydantic model of its options with an `apply` over one Arrow column. Listing, policy
validation, `explain`, the JSON Schema, `--set` and the reference docs all come from that one definition.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from pydp_cli.errors import UnsupportedType, UsageError
from pydp_cli.transforms.ages import today
from pydp_cli.transforms.types import TypeSet


class Rows(Protocol):
    """The rows that a column belongs to, for transforms that look at neighbouring columns.

    Text-like columns come as `pa.StringArray`, whatever their physical type in the file.
    """

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        ...

    def original(self, column: str) -> pa.Array:
        """Give a column as it was read."""
        ...

    def treated(self, column: str) -> pa.Array:
        """Give a column as it will be written."""
        ...


class ColumnFunction(Protocol):
    """A bound, picklable transform: a column in, a column of equal length out."""

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Treat one column; `rows` are the rows it belongs to."""
        ...


class DeriveKey(Protocol):
    """Hands out column keys: HKDF over a key of the keyring (never the key itself)."""

    def __call__(self, purpose: str, scope: str, column: str = "", *, length: int = 64) -> bytes:
        """Derive `length` bytes for a purpose (`pseudonym`, `token`, …), a scope (domain or dataset), a column."""
        ...


@dataclass(frozen=True)
class Binding:
    """Where a transform is put to work: its column, the type it takes there, its keys and its files' folder."""

    dataset: str
    column: str
    taken: pa.DataType
    derive_key: DeriveKey
    base_dir: Path = field(default_factory=Path)
    release: str | None = None
    normalize: Callable[[str], tuple[str, ...]] = lambda _domain: ()
    """The identity's normalisation rules (`nfkc`, `strip`, `casefold`, `e164`) for a pseudonym domain."""
    as_of: date = field(default_factory=today)
    """The day on which ages count where a policy names none."""


@dataclass(frozen=True)
class TransformInfo:
    """What the registry knows of a transform besides its options."""

    name: str
    takes: TypeSet
    reversible: bool
    leaks: str
    main_option: str | None
    keyed: bool


class TransformOptions(BaseModel):
    """The options of a transform, validated; subclasses implement `apply` or `bind`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    info: ClassVar[TransformInfo]

    def asks(self) -> pa.DataType | None:
        """Name the type that text is to be parsed to before `apply`, or None where text is taken as it is."""
        return None

    def gives(self, taken: pa.DataType) -> pa.DataType | None:
        """Name the type that comes out where `taken` goes in; None where the column is dropped."""
        return taken

    def leak(self) -> str:
        """Say what the treated column still tells, with these options."""
        return self.info.leaks

    def privacy_loss(self) -> Fraction | None:
        """Give the epsilon that a transform costs each person, where it is differentially private by itself."""
        return None

    def key_label(self, column: str) -> str | None:
        """Name the key that is used on `column`, as `purpose/scope`; None where there is none."""
        del column
        return None

    def makes_null(self) -> bool:
        """Tell whether a value that is not null may come out null, so that a required column becomes nullable."""
        return False

    def reads(self) -> tuple[str, ...]:
        """Name the other columns of the row that are read."""
        return ()

    def bind(self, binding: Binding) -> ColumnFunction:
        """Make the function that treats a column; keys are derived and files are read here, once."""
        del binding
        return Unary(self)

    def apply(self, column: pa.Array) -> pa.Array:
        """Treat a column; null stays null unless the transform says otherwise."""
        raise NotImplementedError

    def check_takes(self, kind: pa.DataType, column: str) -> None:
        """Raise `UnsupportedType` where a column's type is not one that this transform takes."""
        if not self.info.takes.accepts(kind):
            raise UnsupportedType(
                f'transform "{self.info.name}" takes {self.info.takes.name}, not {kind}',
                place=f'column "{column}"',
            )


@dataclass(frozen=True)
class Unary:
    """A transform that looks at nothing but the column."""

    options: TransformOptions

    def __call__(self, column: pa.Array, rows: Rows) -> pa.Array:
        """Apply the transform."""
        del rows
        return self.options.apply(column)


T = TypeVar("T", bound=type[TransformOptions])
_REGISTRY: dict[str, type[TransformOptions]] = {}


def transform(
    name: str,
    *,
    takes: TypeSet,
    reversible: bool,
    leaks: str,
    main_option: str | None = None,
    keyed: bool = False,
) -> Callable[[T], T]:
    """Register a transform under the name it has in a policy.

    `main_option` is the option that a lone value sets (`prefix: 3`). `leaks` ends the sentence "it still tells …".
    Raises `UsageError` where another transform has the name.
    """

    def register(options: T) -> T:
        _refuse_taken(name, options)
        options.info = TransformInfo(name, takes, reversible, leaks, main_option, keyed)
        _REGISTRY[name] = options
        return options

    return register


def _refuse_taken(name: str, options: type[TransformOptions]) -> None:
    """Refuse a name that another transform has, ours included, even where that is not loaded yet."""
    ours = f"pydp_cli.transforms.{name}"
    if name in _modules() and options.__module__ != ours:
        importlib.import_module(ours)
    taken = _REGISTRY.get(name)
    if taken is not None and (taken.__module__, taken.__qualname__) != (options.__module__, options.__qualname__):
        raise UsageError(
            f'there is a transform "{name}" already',
            place=f"{options.__module__}.{options.__qualname__}",
            hint=f"it is {taken.__module__}.{taken.__qualname__}: give this one another name",
        )


@cache
def find_transform(name: str) -> type[TransformOptions] | None:
    """Find a transform by its name, without loading the others: ours are each in a module of that name."""
    if name not in _REGISTRY and name in _modules():
        importlib.import_module(f"pydp_cli.transforms.{name}")
    return _REGISTRY.get(name) or transforms().get(name)


@cache
def _modules() -> frozenset[str]:
    package = importlib.import_module("pydp_cli.transforms")
    return frozenset(module.name for module in pkgutil.iter_modules(package.__path__))


@cache
def transforms() -> dict[str, type[TransformOptions]]:
    """Give all transforms by name: ours, and those that installed packages offer as `pydp.transforms`."""
    for module in _modules():
        importlib.import_module(f"pydp_cli.transforms.{module}")
    for entry in entry_points(group="pydp.transforms"):
        _offer(entry)
    return dict(sorted(_REGISTRY.items()))


def _offer(entry: EntryPoint) -> None:
    """Take in a transform that an installed package offers; loading it registers it under its own name."""
    offered = entry.load()
    if _REGISTRY.setdefault(entry.name, offered) is not offered:
        raise UsageError(
            f'there is a transform "{entry.name}" already',
            place=f"the entry point {entry.value}",
            hint="rename the entry point, or remove the package that offers it",
        )


def options_of(name: str) -> dict[str, Any]:
    """Give the JSON Schema of a transform's options."""
    return transforms()[name].model_json_schema()
