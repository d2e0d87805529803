"""What the tests of keyed transforms share: bindings with keys of a known derivation, and rows of given columns."""

import hashlib
import sys
import types
from dataclasses import dataclass, field

import numpy as np
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


def _stand_in():
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.cmac import CMAC

    def prf(key, column):
        out = np.zeros((len(column), 16), np.uint8)
        for row, value in enumerate(column.to_pylist()):
            if value is not None:
                mac = CMAC(AES(key))
                mac.update(value.encode())
                out[row] = np.frombuffer(mac.finalize(), np.uint8)
        return out

    import pydp_cli.crypto

    module = types.ModuleType("pydp_cli.crypto.cmac")
    module.prf = prf
    sys.modules[module.__name__] = pydp_cli.crypto.cmac = module


try:
    import pydp_cli.crypto.cmac  # noqa: F401
except ImportError:
    _stand_in()
