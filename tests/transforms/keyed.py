"""What the tests of keyed transforms share: bindings with keys of a known derivation, and rows of given columns."""

import hashlib
from dataclasses import dataclass, field

import pyarrow as pa

from pydp_cli.transforms.registry import Binding


def derive_key(purpose, scope, column="", *, length=64):
    """A stand-in for the keyring: any function that keeps purposes, scopes and columns apart."""
    return hashlib.shake_256(repr((purpose, scope, column)).encode()).digest(length)


def binding(column="email", taken=pa.string(), **more):  # noqa: B008
    return Binding(dataset="customers", column=column, taken=taken, derive_key=derive_key, **more)


@dataclass
class GivenRows:
    originals: dict
    treated_columns: dict = field(default_factory=dict)

    @property
    def num_rows(self):
        return len(next(iter(self.originals.values())))

    def original(self, column):
        return self.originals[column]

    def treated(self, column):
        return self.treated_columns[column]


def treat(options, column, *, rows=None, name="email", **more):
    """Bind a transform and treat one column."""
    options.check_takes(column.type, name)
    result = options.bind(binding(name, column.type, **more))(column, rows or GivenRows({name: column}))
    result.validate(full=True)
    assert result.type == options.gives(column.type)
    assert len(result) == len(column)
    return result


def texts(*values):
    return pa.array(values, pa.string())
